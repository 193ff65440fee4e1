//! What holds for frames of any shape.

use proptest::collection::vec;
use proptest::prelude::*;

use super::completed;
use super::sample::{Sample, TCP, UDP, slow_sum};
use crate::frame::Offload;
use crate::offload::checksum::sum;
use crate::offload::{frames, insert_tag, wire_length};

const FIN_AND_PSH: u8 = 0x09;
const CWR: u8 = 0x80;

prop_compose! {
    fn samples()(
        tags in vec((prop_oneof![Just(0x8100), Just(0x88a8)], any::<u16>()), 0..4),
        (is_ipv6, is_tcp, needs_checksum, is_extended) in any::<(bool, bool, bool, bool)>(),
        options in 0..=10_u8,
        (flags, id, sequence) in any::<(u8, u16, u32)>(),
        payload in prop_oneof![vec(any::<u8>(), 0..400), vec(any::<u8>(), 20_000..65_000)],
        size in prop_oneof![8..100_u16, 500..=u16::MAX],
    ) -> Sample {
        let protocol = if is_tcp { TCP } else { UDP };
        // Only who fills in the checksum knows where extension headers end.
        let is_extended = is_ipv6 && needs_checksum && is_extended;
        Sample { tags, is_ipv6, is_extended, protocol, options, flags, id, sequence, payload, size, needs_checksum }
    }
}

fn offloads() -> impl Strategy<Value = Offload> {
    any::<[u8; Offload::LENGTH]>().prop_map(Offload::from_bytes)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_sum_is_that_of_its_words(bytes in vec(any::<u8>(), 0..300)) {
        prop_assert_eq!(sum(&bytes), slow_sum(&bytes));
    }

    #[test]
    fn segments_are_the_frame_again(sample in samples()) {
        let (frame, offload) = sample.frame();
        let segments = completed(&frame, offload).unwrap();
        prop_assert_eq!(frames(&frame, offload), segments.len());
        prop_assert_eq!(wire_length(&frame, offload), segments.iter().map(Vec::len).sum::<usize>());

        let mut payload = Vec::new();
        let (mut id, last) = (sample.id, segments.len() - 1);
        for (number, segment) in segments.iter().enumerate() {
            let (ethernet, header, data) = sample.parse(segment);
            prop_assert_eq!(ethernet, &frame[..ethernet.len()]);
            if !sample.is_ipv6 {
                prop_assert_eq!(header.id, id);
            }
            if sample.protocol == TCP {
                let sequence = sample.sequence.wrapping_add(u32::try_from(payload.len()).unwrap());
                let on_last = if number == last { FIN_AND_PSH } else { 0 };
                let on_first = if number == 0 { CWR } else { 0 };
                prop_assert_eq!(header.sequence, sequence);
                prop_assert_eq!(header.flags, sample.flags & (!(FIN_AND_PSH | CWR) | on_last | on_first));
            }
            prop_assert!(number == last || data.len() == usize::from(sample.size));
            prop_assert!(data.len() <= usize::from(sample.size));
            payload.extend_from_slice(data);
            id = id.wrapping_add(1);
        }
        prop_assert_eq!(payload, sample.payload);
    }

    #[test]
    fn a_tag_put_back_is_cut_like_one_in_place(sample in samples(), tag in any::<u16>()) {
        let (mut frame, mut offload) = sample.frame();
        let length = frame.len();
        frame.extend([0; 4]);
        prop_assert_eq!(insert_tag(&mut frame, length, &mut offload, 0x8100, tag), Some(length + 4));
        let mut tagged = sample;
        tagged.tags.insert(0, (0x8100, tag));
        let (expected, expected_offload) = tagged.frame();
        prop_assert_eq!(completed(&frame, offload), completed(&expected, expected_offload));
    }

    #[test]
    fn garbage_does_no_harm(data in vec(any::<u8>(), 0..200), offload in offloads()) {
        let _ = (completed(&data, offload), frames(&data, offload), wire_length(&data, offload));
    }

    /// Garbage that gets further: all but a little is right.
    #[test]
    fn a_spoilt_frame_does_no_harm(
        sample in samples(),
        spoilt in vec((0..100_usize, any::<u8>()), 0..4),
        (at, byte) in (0..20_usize, any::<u8>()),
        length in prop_oneof![0..200_usize, Just(usize::MAX)],
    ) {
        let (mut frame, offload) = sample.frame();
        frame.truncate(length);
        for (at, byte) in spoilt {
            if let Some(spoilt) = frame.get_mut(at) {
                *spoilt = byte;
            }
        }
        let mut header = offload.to_bytes();
        if let Some(spoilt) = header.get_mut(at) {
            *spoilt = byte;
        }
        let offload = Offload::from_bytes(header);
        let (count, length) = (frames(&frame, offload), wire_length(&frame, offload));
        if let Ok(frames) = completed(&frame, offload) {
            prop_assert_eq!((count, length), (frames.len(), frames.iter().map(Vec::len).sum::<usize>()));
        }
    }
}
