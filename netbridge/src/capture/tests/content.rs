//! Whatever is captured can be read again.

use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::InterfaceDescriptionOption;
use pcap_file::pcapng::blocks::section_header::SectionHeaderOption;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Event {
    Frame { interface: String, direction: Option<Direction>, at: u64, data: Vec<u8>, cut: usize },
    Comment(String),
}

/// Events with the texts that `text` matches.
fn events(text: &'static str, most: usize) -> impl Strategy<Value = Vec<Event>> {
    let direction = prop_oneof![Just(None), Just(Some(Direction::In)), Just(Some(Direction::Out))];
    // Comments are younger than all frames.
    let frame =
        ("[a-d]|[é∀a-z]{1,20}", direction, 0..1_000_000_000_000_000_000_u64, vec(any::<u8>(), 0..3000), 0..9usize)
            .prop_map(|(interface, direction, at, data, cut)| Event::Frame { interface, direction, at, data, cut });
    vec(prop_oneof![4 => frame, 1 => text.prop_map(Event::Comment)], 0..most)
}

fn write(path: &Path, events: &[Event], options: CaptureOptions) -> CaptureSummary {
    let (capture, sink) = begin(path, options).unwrap();
    for event in events {
        match event {
            Event::Frame { interface, direction, at, data, cut } => {
                let time = SystemTime::UNIX_EPOCH + Duration::from_nanos(*at);
                sink.frame(&interface.as_str().into(), *direction, time, data, data.len() + cut);
            }
            Event::Comment(text) => sink.comment(text),
        }
    }
    block_on(capture.finish()).unwrap()
}

/// A frame as it is read: interface, direction, time, data, length and comments.
type Read = (String, Option<Direction>, u64, Vec<u8>, u32, Vec<String>);

/// What a file should have of `events`: its frames, and the comments that no frame follows.
fn expected(events: &[Event]) -> (Vec<Read>, Vec<String>) {
    let (mut frames, mut comments) = (Vec::new(), Vec::new());
    for event in events {
        match event {
            Event::Frame { interface, direction, at, data, cut } => {
                let length = u32::try_from(data.len() + cut).unwrap();
                let comments = std::mem::take(&mut comments);
                frames.push((interface.clone(), *direction, *at, data.clone(), length, comments));
            }
            Event::Comment(text) => comments.push(text.clone()),
        }
    }
    (frames, comments)
}

fn read(path: &Path) -> (Vec<Read>, Vec<String>) {
    let (mut frames, mut comments, mut interfaces) = (Vec::new(), Vec::new(), Vec::new());
    for block in blocks(path) {
        match block {
            Block::SectionHeader(header) => {
                interfaces.clear();
                comments.extend(header.options.iter().filter_map(|option| match option {
                    SectionHeaderOption::Comment(text) => Some(text.to_string()),
                    _ => None,
                }));
            }
            Block::InterfaceDescription(interface) => {
                let name = interface.options.iter().find_map(|option| match option {
                    InterfaceDescriptionOption::IfName(name) => Some(name.to_string()),
                    _ => None,
                });
                interfaces.push(name.unwrap());
            }
            Block::EnhancedPacket(packet) => frames.push(frame_of(&packet, &interfaces)),
            _ => {}
        }
    }
    (frames, comments)
}

fn frame_of(packet: &EnhancedPacketBlock, interfaces: &[String]) -> Read {
    let (mut direction, mut comments) = (None, Vec::new());
    for option in &packet.options {
        match option {
            EnhancedPacketOption::Flags(1) => direction = Some(Direction::In),
            EnhancedPacketOption::Flags(2) => direction = Some(Direction::Out),
            EnhancedPacketOption::Comment(text) => comments.push(text.to_string()),
            other => panic!("{other:?}"),
        }
    }
    let interface = interfaces[packet.interface_id as usize].clone();
    let time = u64::try_from(packet.timestamp.as_nanos()).unwrap();
    (interface, direction, time, packet.data.to_vec(), packet.original_len, comments)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn what_was_captured_is_read_again(events in events("\\PC{0,200}", 60)) {
        let (_directory, path) = directory();
        let (frames, comments) = expected(&events);
        let summary = write(&path, &events, NO_LIMIT);
        prop_assert_eq!(summary, CaptureSummary { frames: frames.len() as u64, dropped: 0 });
        prop_assert_eq!(read(&path), (frames, comments));
    }

    #[test]
    fn with_a_limit_the_end_is_read_again(events in events("\\PC{0,200}", 120)) {
        let (_directory, path) = directory();
        let (frames, comments) = expected(&events);
        write(&path, &events, CaptureOptions { limit: Some(1 << 16) });
        let (left, ending) = read(&path);
        prop_assert!(fs::metadata(&path).unwrap().len() <= (1 << 16) + 4000);
        prop_assert!(frames.ends_with(&left), "{} of {}", left.len(), frames.len());
        prop_assert!(left.len() >= frames.len().min(8), "{} of {}", left.len(), frames.len());
        prop_assert_eq!(ending, comments);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn tshark_reads_it_as_well(events in events("[a-z é]{1,40}", 60)) {
        if !has("tshark") {
            return Ok(());
        }
        let (_directory, path) = directory();
        write(&path, &events, NO_LIMIT);
        let rows = expected(&events).0.into_iter().map(|(interface, direction, time, data, length, comments)| {
            let time = format!("{}.{:09}", time / 1_000_000_000, time % 1_000_000_000);
            let flags = direction.map_or("", |direction| match direction {
                Direction::In => "0x00000001",
                Direction::Out => "0x00000002",
            });
            let data = data.len().to_string();
            vec![interface, flags.to_owned(), time, data, length.to_string(), comments.join(";")]
        });
        // Nothing looks into the frames: some of these would offend dissectors.
        let fields = [
            "frame.interface_name",
            "frame.packet_flags_direction",
            "frame.time_epoch",
            "frame.cap_len",
            "frame.len",
            "frame.comment",
        ];
        prop_assert_eq!(tshark(&path, &fields), rows.collect::<Vec<_>>());
    }
}

#[test]
fn texts_and_frames_that_are_too_long_are_cut() {
    let (_directory, path) = directory();
    let long = format!("a{}", "é".repeat(40_000));
    let mut events = vec![Event::Comment(long.clone())];
    let [interface, data] = [(long.clone(), vec![7; 300_000]), ("b".to_owned(), Vec::new())]
        .map(|(interface, data)| Event::Frame { interface, direction: None, at: 0, data, cut: 0 });
    events.extend([interface, data, Event::Comment(long.clone())]);
    write(&path, &events, NO_LIMIT);
    let (frames, comments) = read(&path);
    let cut = &long[..65_535];
    assert_eq!(comments, [cut]);
    assert_eq!(frames[0], (cut.to_owned(), None, 0, vec![7; 1 << 18], 300_000, vec![cut.to_owned()]));
    if has("tshark") {
        assert_eq!(tshark(&path, &["frame.cap_len", "frame.len"]), [["262144", "300000"], ["0", "0"]]);
    }
}
