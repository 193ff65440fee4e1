use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn encoded(frames: &[Vec<u8>]) -> Vec<u8> {
    frames.iter().flat_map(|frame| [&u32::try_from(frame.len()).unwrap().to_be_bytes()[..], frame].concat()).collect()
}

/// Feeds `bytes` in reads of the given lengths, over and over.
fn decoded(mut bytes: &[u8], reads: &[usize]) -> Result<Vec<Vec<u8>>, Giant> {
    let mut decoder = Decoder::new();
    let mut frames = Vec::new();
    let mut reads = reads.iter().cycle();
    while !bytes.is_empty() {
        let space = decoder.space();
        assert!(!space.is_empty());
        let length = reads.next().unwrap().min(&space.len()).min(&bytes.len()).to_owned();
        space[..length].copy_from_slice(&bytes[..length]);
        bytes = &bytes[length..];
        decoder.filled(length);
        while let Some(frame) = decoder.next_frame()? {
            frames.push(frame.to_vec());
        }
    }
    Ok(frames)
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251).try_into().unwrap()).collect()
}

/// A stream that takes so many bytes per call, over and over; with 0 it would block.
struct Stream {
    taken: Vec<u8>,
    appetite: Vec<usize>,
    calls: usize,
}

impl Stream {
    fn new(appetite: &[usize]) -> Self {
        Self { taken: Vec::new(), appetite: appetite.to_owned(), calls: 0 }
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let appetite = self.appetite[self.calls % self.appetite.len()];
        self.calls += 1;
        if appetite == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).take(appetite).collect();
        self.taken.extend(&bytes);
        Ok(bytes.len())
    }
}

#[test]
fn frames_of_all_lengths_arrive() {
    let frames: Vec<_> = [1, 0, 14, 60, 1514, 9014, LONGEST, LONGEST, 1, LONGEST].map(pattern).into();
    for reads in [1, 3, 4, 5, 1500, 65_536, BUFFER] {
        assert_eq!(decoded(&encoded(&frames), &[reads]), Ok(frames.clone()), "in reads of {reads}");
    }
}

#[test]
fn giants_are_fatal() {
    let length = u32::try_from(LONGEST + 1).unwrap();
    for length in [length, u32::MAX] {
        let bytes = [encoded(&[pattern(60)]), length.to_be_bytes().into()].concat();
        assert_eq!(decoded(&bytes, &[7]), Err(Giant { length }));
    }
    let mut decoder = Decoder::new();
    decoder.space()[..4].copy_from_slice(&[0xff; 4]);
    decoder.filled(4);
    for _ in 0..2 {
        assert_eq!(decoder.next_frame(), Err(Giant { length: u32::MAX }));
    }
}

/// Sends all frames, however long that takes.
fn send_all(outbox: &mut Outbox, mut frames: &[Vec<u8>], stream: &mut Stream) {
    while !frames.is_empty() || !outbox.is_empty() {
        outbox.flush(|slices| stream.write(slices)).unwrap();
        match outbox.send(frames.iter().map(Vec::as_slice), |slices| stream.write(slices)) {
            Ok(sent) => frames = &frames[sent..],
            Err(Unsent::Full) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn frames_are_sent_with_one_call_and_not_copied() {
    let frames = [1514, 60, 0, 9014].map(pattern);
    let (mut outbox, mut stream) = (Outbox::default(), Stream::new(&[usize::MAX]));
    let sent = outbox.send(frames.iter().map(Vec::as_slice), |slices| stream.write(slices)).unwrap();
    assert_eq!((sent, stream.calls, outbox.waiting.capacity()), (4, 1, 0));
    assert_eq!(decoded(&stream.taken, &[1000]), Ok(frames.into()));
}

#[test]
fn a_frame_once_begun_is_finished() {
    let frames = [60, 61].map(pattern);
    // In the middle of its length, at the end of that, and in its middle; then the same for the second one.
    for (taken, counted) in [(1, 1), (4, 1), (30, 1), (64, 1), (65, 2), (68, 2), (100, 2)] {
        let (mut outbox, mut stream) = (Outbox::default(), Stream::new(&[taken, 0, 5]));
        let mut send =
            |frames: &[Vec<u8>]| outbox.send(frames.iter().map(Vec::as_slice), |slices| stream.write(slices));
        assert_eq!(send(&frames).unwrap(), counted);
        if taken != 64 {
            assert!(matches!(send(&frames), Err(Unsent::Full)));
            assert_eq!(stream.calls, 1, "nothing is written ahead of what waits");
        }
        send_all(&mut outbox, &frames[counted..], &mut stream);
        assert_eq!(decoded(&stream.taken, &[1000]), Ok(frames.clone().into()));
    }
}

#[test]
fn nothing_is_sent_that_the_other_side_would_refuse() {
    let frames = [60, LONGEST + 1].map(pattern);
    let (mut outbox, mut stream) = (Outbox::default(), Stream::new(&[usize::MAX]));
    let mut send = |frames: &[Vec<u8>]| outbox.send(frames.iter().map(Vec::as_slice), |slices| stream.write(slices));
    assert_eq!(send(&frames).unwrap(), 1);
    assert!(matches!(send(&frames[1..]), Err(Unsent::Giant)));
    assert_eq!(stream.calls, 1);
}

#[test]
fn a_broken_stream_is_told() {
    let broken = |_: &[IoSlice<'_>]| Err(io::ErrorKind::BrokenPipe.into());
    let frame = || [&[1_u8][..]].into_iter();
    assert!(matches!(Outbox::default().send(frame(), broken), Err(Unsent::Broken(_))));
    assert!(matches!(Outbox::default().send(frame(), |_| Ok(0)), Err(Unsent::Broken(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_cut_gives_the_same_frames(
        lengths in vec(prop_oneof![4 => 0_usize..100, 3 => 0_usize..2000, 1 => 60_000..=LONGEST], 0..40),
        reads in vec(prop_oneof![1_usize..20, 1_usize..5000, 1..=BUFFER], 1..20),
    ) {
        let frames: Vec<_> = lengths.into_iter().map(pattern).collect();
        prop_assert_eq!(decoded(&encoded(&frames), &reads), Ok(frames));
    }

    #[test]
    fn any_bytes_are_frames_or_giants(bytes in vec(any::<u8>(), 0..5000), reads in vec(1_usize..600, 1..5)) {
        if let Ok(frames) = decoded(&bytes, &reads) {
            let found = encoded(&frames);
            prop_assert_eq!(&bytes[..found.len()], found);
        }
    }

    #[test]
    fn partial_writes_lose_nothing(lengths in vec(0_usize..300, 1..200), mut appetite in vec(0_usize..4000, 1..20)) {
        appetite.push(1);
        let frames: Vec<_> = lengths.into_iter().map(pattern).collect();
        let mut stream = Stream::new(&appetite);
        send_all(&mut Outbox::default(), &frames, &mut stream);
        prop_assert_eq!(decoded(&stream.taken, &[100]), Ok(frames));
    }
}
