//! Frames as senders leave them, and what a receiver makes of complete ones.

use crate::frame::{NEEDS_CHECKSUM, Offload};
use crate::offload::segmentation::{GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4};

pub(super) const SOURCE_MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 1, 1];
const TARGET_MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 1, 2];
const IPV6: [u8; 16] = [0x20, 0x01, 0x0d, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
/// Destination options that say nothing (RFC 8200, section 4.6), but for what follows them.
const EXTENSION: [u8; 7] = [0, 1, 4, 0, 0, 0, 0];

pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;

/// What a frame is made of.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    /// TPID and TCI of each tag.
    pub(super) tags: Vec<(u16, u16)>,
    pub(super) is_ipv6: bool,
    /// An IPv6 extension header stands between.
    pub(super) is_extended: bool,
    pub(super) protocol: u8,
    /// 32-bit words of TCP options.
    pub(super) options: u8,
    pub(super) flags: u8,
    pub(super) id: u16,
    pub(super) sequence: u32,
    pub(super) payload: Vec<u8>,
    pub(super) size: u16,
    pub(super) needs_checksum: bool,
}

impl Sample {
    pub(super) fn frame(&self) -> (Vec<u8>, Offload) {
        let mut frame = [TARGET_MAC, SOURCE_MAC].concat();
        for (tpid, tci) in &self.tags {
            frame.extend([tpid.to_be_bytes(), tci.to_be_bytes()].concat());
        }
        let header = if self.protocol == TCP { 20 + usize::from(self.options) * 4 } else { 8 };
        let length = u16::try_from(header + self.payload.len()).unwrap();

        let (addresses, extension) = if self.is_ipv6 {
            let extension = if self.is_extended { [&[self.protocol], &EXTENSION[..]].concat() } else { Vec::new() };
            frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
            frame.extend((length + u16::try_from(extension.len()).unwrap()).to_be_bytes());
            frame.extend([if self.is_extended { 60 } else { self.protocol }, 64]);
            let mut target = IPV6;
            target[15] = 2;
            ([IPV6, target].concat(), extension)
        } else {
            frame.extend([0x08, 0x00, 0x45, 0]);
            frame.extend((length + 20).to_be_bytes());
            frame.extend(self.id.to_be_bytes());
            // Not to be fragmented; the checksum is what it may be.
            frame.extend([0x40, 0, 64, self.protocol, 0xab, 0xcd]);
            (vec![192, 168, 1, 1, 192, 168, 1, 2], Vec::new())
        };
        frame.extend(&addresses);
        frame.extend(extension);

        let start = frame.len();
        frame.extend([0x03, 0xe8, 0x00, 0x50]);
        let offset = if self.protocol == TCP {
            frame.extend(self.sequence.to_be_bytes());
            frame.extend([0, 0, 0, 7, (5 + self.options) << 4, self.flags, 2, 0, 0, 0, 0, 0]);
            frame.extend(std::iter::repeat_n(1, usize::from(self.options) * 4));
            16
        } else {
            frame.extend(length.to_be_bytes());
            frame.extend([0, 0]);
            6
        };
        if self.needs_checksum {
            let pseudo = pseudo_sum(&addresses, self.protocol, length);
            frame[start + offset..][..2].copy_from_slice(&pseudo.to_be_bytes());
        }
        let header_length = u16::try_from(frame.len()).unwrap();
        frame.extend(&self.payload);
        let gso_type = match (self.protocol, self.is_ipv6) {
            (TCP, false) => GSO_TCPV4,
            (TCP, true) => GSO_TCPV6,
            _ => GSO_UDP_L4,
        };
        let offload = Offload {
            flags: if self.needs_checksum { NEEDS_CHECKSUM } else { 0 },
            gso_type,
            header_length,
            gso_size: self.size,
            checksum_start: u16::try_from(start).unwrap(),
            checksum_offset: u16::try_from(offset).unwrap(),
        };
        (frame, offload)
    }

    /// The headers and the payload of a frame made from this one, once its lengths and checksums are found right.
    pub(super) fn parse<'a>(&self, frame: &'a [u8]) -> (&'a [u8], Segment, &'a [u8]) {
        let ip = 14 + 4 * self.tags.len();
        let word = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
        let (addresses, start) = if self.is_ipv6 {
            assert_eq!(usize::from(word(ip + 4)), frame.len() - ip - 40, "IPv6 payload length");
            (ip + 8..ip + 40, ip + 40 + if self.is_extended { 8 } else { 0 })
        } else {
            assert_eq!(usize::from(word(ip + 2)), frame.len() - ip, "IPv4 total length");
            assert_eq!(slow_sum(&frame[ip..ip + 20]), 0xffff, "IPv4 header checksum");
            (ip + 12..ip + 20, ip + 20)
        };
        let length = u16::try_from(frame.len() - start).unwrap();
        let pseudo = pseudo_sum(&frame[addresses], self.protocol, length);
        let behind = slow_sum(&frame[start..]);
        assert_eq!(slow_sum(&[pseudo.to_be_bytes(), behind.to_be_bytes()].concat()), 0xffff, "transport checksum");
        if self.protocol == UDP {
            assert_eq!(word(start + 4), length, "UDP length");
            assert_ne!(word(start + 6), 0, "no UDP checksum");
        }
        let is_tcp = self.protocol == TCP;
        let header = if is_tcp { usize::from(frame[start + 12] >> 4) * 4 } else { 8 };
        let segment = Segment {
            id: if self.is_ipv6 { 0 } else { word(ip + 4) },
            sequence: if is_tcp { u32::from(word(start + 4)) << 16 | u32::from(word(start + 6)) } else { 0 },
            flags: if is_tcp { frame[start + 13] } else { 0 },
        };
        (&frame[..ip], segment, &frame[start + header..])
    }
}

/// What differs between segments.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) id: u16,
    pub(super) sequence: u32,
    pub(super) flags: u8,
}

fn pseudo_sum(addresses: &[u8], protocol: u8, length: u16) -> u16 {
    slow_sum(&[addresses, &[0, protocol], &length.to_be_bytes()].concat())
}

/// The sum word by word, as RFC 1071 defines it.
pub(super) fn slow_sum(bytes: &[u8]) -> u16 {
    let mut sum = 0;
    for pair in bytes.chunks(2) {
        let word = u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]);
        let (added, carry) = word.overflowing_add(sum);
        sum = added + u16::from(carry);
    }
    sum
}
