//! Frames whose every byte is known.

use super::completed;
use super::sample::{Sample, TCP, UDP};
use crate::frame::{NEEDS_CHECKSUM, Offload};
use crate::offload::checksum::sum;
use crate::offload::segmentation::GSO_ECN;
use crate::offload::{Malformed, frames, insert_tag, wire_length};

/// The old UDP fragmentation offload.
const GSO_UDP: u8 = 3;

const FIN_PSH_ACK_CWR: u8 = 0x99;

fn tcp() -> Sample {
    Sample {
        tags: Vec::new(),
        is_ipv6: false,
        is_extended: false,
        protocol: TCP,
        options: 0,
        flags: FIN_PSH_ACK_CWR,
        id: 0xffff,
        sequence: 0xffff_fffe,
        payload: b"abcdefg".to_vec(),
        size: 3,
        needs_checksum: true,
    }
}

fn udp_v6(payload: &[u8], size: u16) -> Sample {
    Sample { is_ipv6: true, protocol: UDP, payload: payload.to_vec(), size, ..tcp() }
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

#[test]
fn sums() {
    // The example of RFC 1071, section 3, with all its remainders.
    let example = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
    let sums = [0x0000, 0x0000, 0x0001, 0xf201, 0xf204, 0xe605, 0xe6fa, 0xdcfb, 0xddf2];
    for (length, expected) in sums.into_iter().enumerate() {
        assert_eq!(sum(&example[..length]), expected, "of {length} bytes");
    }
    assert_eq!(sum(&vec![0xff; 65536]), 0xffff);
}

#[test]
fn a_tcp_frame_is_cut() {
    let expected = [
        "525400120102 525400120101 0800  4500 002b ffff 4000 4006 b779 c0a80101 c0a80102
         03e8 0050 fffffffe 00000007 5090 0200 615d 0000  616263",
        "525400120102 525400120101 0800  4500 002b 0000 4000 4006 b779 c0a80101 c0a80102
         03e8 0050 00000001 00000007 5010 0200 5bd8 0000  646566",
        "525400120102 525400120101 0800  4500 0029 0001 4000 4006 b77a c0a80101 c0a80102
         03e8 0050 00000004 00000007 5019 0200 bf33 0000  67",
    ];
    let (frame, offload) = tcp().frame();
    let with_ecn = Offload { gso_type: offload.gso_type | GSO_ECN, ..offload };
    for offload in [offload, with_ecn] {
        assert_eq!(completed(&frame, offload), Ok(expected.map(bytes).to_vec()));
        assert_eq!((frames(&frame, offload), wire_length(&frame, offload)), (3, 3 * 54 + 7));
    }
}

#[test]
fn a_udp_frame_is_cut_and_none_goes_without_checksum() {
    // The second segment's sum comes to 0xffff, whose complement would say that there is no checksum.
    let expected = [
        "525400120102 525400120101 86dd  60000000 000a 1140 20010db8000100000000000000000001
         20010db8000100000000000000000002  03e8 0050 000a 3ec9 6162",
        "525400120102 525400120101 86dd  60000000 000a 1140 20010db8000100000000000000000001
         20010db8000100000000000000000002  03e8 0050 000a ffff a02b",
        "525400120102 525400120101 86dd  60000000 0009 1140 20010db8000100000000000000000001
         20010db8000100000000000000000002  03e8 0050 0009 3d2d 63",
    ];
    let (frame, offload) = udp_v6(b"ab\xa0\x2bc", 2).frame();
    assert_eq!(completed(&frame, offload), Ok(expected.map(bytes).to_vec()));
}

#[test]
fn a_checksum_is_filled_in() {
    let expected = "525400120102 525400120101 86dd  60000000 000a 1140 20010db8000100000000000000000001
                    20010db8000100000000000000000002  03e8 0050 000a 3ec9 6162";
    let (frame, offload) = udp_v6(b"ab", 2).frame();
    let offload = Offload { gso_type: 0, ..offload };
    assert_eq!(completed(&frame, offload), Ok(vec![bytes(expected)]));
    assert_eq!((frames(&frame, offload), wire_length(&frame, offload)), (1, frame.len()));

    // It has to be in the frame, as must be what it covers.
    for (checksum_start, checksum_offset) in [(62, 1), (63, 0), (64, 0), (u16::MAX, u16::MAX)] {
        let offload = Offload { checksum_start, checksum_offset, ..offload };
        assert_eq!(completed(&frame, offload), Err(Malformed), "{offload:?}");
    }
    let last = Offload { checksum_start: 62, checksum_offset: 0, ..offload };
    assert_eq!(completed(&frame, last).unwrap()[0][62..], [!0x61, !0x62]);
}

#[test]
fn a_complete_frame_is_neither_read_nor_copied() {
    for data in [&[][..], &[1, 2, 3]] {
        let mut scratch = Vec::new();
        let mut seen = None;
        let each = |frame: &[u8]| seen = Some(frame.as_ptr_range());
        assert_eq!(super::complete(data, Offload::default(), &mut scratch, each), Ok(()));
        assert_eq!(seen, Some(data.as_ptr_range()));
        assert_eq!(wire_length(data, Offload::default()), data.len());
    }
}

#[test]
fn headers_that_lie_are_refused() {
    let (frame, good) = tcp().frame();
    let offloads = [
        ("no size", Offload { gso_size: 0, ..good }),
        ("UDP fragments", Offload { gso_type: GSO_UDP, ..good }),
        ("UDP in TCP", Offload { gso_type: 5, ..good }),
        ("the other IP", Offload { gso_type: 4, ..good }),
        ("an unknown type", Offload { gso_type: 0x41, ..good }),
        ("none with congestion", Offload { gso_type: GSO_ECN, ..good }),
        ("a checksum elsewhere", Offload { checksum_offset: 6, ..good }),
        ("a start in the IP header", Offload { checksum_start: 33, ..good }),
        ("a start behind the header", Offload { checksum_start: 35, ..good }),
        ("a start beyond the end", Offload { checksum_start: 62, ..good }),
    ];
    for (what, offload) in offloads {
        assert_eq!(completed(&frame, offload), Err(Malformed), "{what}");
        assert_eq!((frames(&frame, offload), wire_length(&frame, offload)), (1, frame.len()), "{what}");
    }
    let bytes = [
        ("another type", 12, 0x88),
        ("the other version", 14, 0x65),
        ("a short IP header", 14, 0x44),
        ("a long IP header", 14, 0x46),
        ("another protocol", 23, UDP),
        ("a short TCP header", 46, 0x40),
        ("a long TCP header", 46, 0xf0),
    ];
    for (what, at, byte) in bytes {
        let mut frame = frame.clone();
        frame[at] = byte;
        assert_eq!(completed(&frame, good), Err(Malformed), "{what}");
    }
    let (v6, good_v6) = Sample { is_ipv6: true, ..tcp() }.frame();
    for checksum_start in 0..54 {
        let offload = Offload { checksum_start, ..good_v6 };
        assert_eq!(completed(&v6, offload), Err(Malformed), "a start at {checksum_start}, in the IPv6 header");
    }
    for length in 0..54 {
        assert_eq!(completed(&frame[..length], good), Err(Malformed), "{length} bytes of it");
    }
}

#[test]
fn nobody_makes_work_by_tiny_segments() {
    let sample = |size, length| Sample { payload: vec![0; length], size, ..tcp() }.frame();
    let (frame, offload) = sample(8, 65_000);
    assert_eq!(completed(&frame, offload).unwrap().len(), 8125);
    let (frame, offload) = sample(7, 65_000);
    assert_eq!(completed(&frame, offload), Err(Malformed));
}

#[test]
fn nobody_makes_work_by_long_headers() {
    // The addresses, the type and the other headers are 54 bytes.
    let sample = |tags| Sample { tags: vec![(0x8100, 1); tags], ..tcp() }.frame();
    let (frame, offload) = sample(306);
    assert_eq!(wire_length(&frame, offload), 3 * (306 * 4 + 54) + 7);
    let (frame, offload) = sample(307);
    assert_eq!(completed(&frame, offload), Err(Malformed));
}

#[test]
fn a_segment_fits_the_length_of_its_header() {
    let sample = |length, size| Sample { payload: vec![0; length], size, ..tcp() }.frame();
    let (mut frame, offload) = sample(65_495, 65_535);
    assert_eq!(completed(&frame, offload).unwrap()[0][16..18], [0xff, 0xff]);
    frame.push(0);
    assert_eq!(completed(&frame, offload), Err(Malformed));
    // A whole may well be longer than what its header can say.
    assert_eq!(completed(&frame, Offload { gso_size: 65_495, ..offload }).unwrap().len(), 2);
}

#[test]
fn what_is_no_longer_than_a_segment_is_one() {
    for payload in [&b""[..], b"abc"] {
        let sample = Sample { payload: payload.to_vec(), ..tcp() };
        let (frame, offload) = sample.frame();
        let whole = completed(&frame, offload).unwrap();
        assert_eq!(whole.len(), 1);
        let (_, segment, rest) = sample.parse(&whole[0]);
        assert_eq!((segment.flags, rest), (FIN_PSH_ACK_CWR, payload));
    }
}

#[test]
fn a_tag_is_put_back() {
    let sample = Sample { tags: vec![(0x88a8, 0x2005), (0x8100, 0x0fff)], ..tcp() };
    let (expected, expected_offload) = sample.frame();
    let (frame, mut offload) = tcp().frame();
    let mut buffer = frame.clone();
    buffer.extend([0xee; 8]);
    let length = insert_tag(&mut buffer, frame.len(), &mut offload, 0x8100, 0x0fff).unwrap();
    let length = insert_tag(&mut buffer, length, &mut offload, 0x88a8, 0x2005).unwrap();
    assert_eq!(length, buffer.len());
    assert_eq!((&buffer, offload), (&expected, expected_offload));

    // There is no space any more.
    assert_eq!(insert_tag(&mut buffer, length, &mut offload, 0x8100, 1), None);
    assert_eq!((&buffer, offload), (&expected, expected_offload));
}

#[test]
fn a_tag_moves_no_checksum_that_is_not_asked_for() {
    let mut offload = Offload::default();
    let mut buffer = [7; 18];
    assert_eq!(insert_tag(&mut buffer, 14, &mut offload, 0x8100, 0x6001), Some(18));
    assert_eq!(buffer, [7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 0x81, 0, 0x60, 1, 7, 7]);
    assert_eq!(offload.checksum_start, 0);

    assert_eq!(insert_tag(&mut buffer, 13, &mut offload, 0x8100, 1), None);
    assert_eq!(insert_tag(&mut buffer, usize::MAX, &mut offload, 0x8100, 1), None);
    let mut offload = Offload { flags: NEEDS_CHECKSUM, checksum_start: u16::MAX, ..Offload::default() };
    assert_eq!(insert_tag(&mut buffer, 14, &mut offload, 0x8100, 1), None);
}
