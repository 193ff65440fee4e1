//! Frames on their way through user space.

use std::borrow::Cow;

/// What a frame still lacks: the kernel's `struct virtio_net_hdr`, ten bytes in the host's byte order (`linux/virtio_net.h`).
///
/// Senders leave checksums and the cutting into segments to whoever can do it last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Offload {
    /// `VIRTIO_NET_HDR_F_*`.
    pub(crate) flags: u8,
    /// `VIRTIO_NET_HDR_GSO_*`.
    pub(crate) gso_type: u8,
    /// Length of all headers, a hint only.
    pub(crate) header_length: u16,
    /// Payload bytes of each segment.
    pub(crate) gso_size: u16,
    /// Where the checksummed part begins, from the start of the frame.
    pub(crate) checksum_start: u16,
    /// Where the checksum belongs, from there.
    pub(crate) checksum_offset: u16,
}

impl Offload {
    /// Its length on the wire.
    pub(crate) const LENGTH: usize = 10;

    pub(crate) fn from_bytes(bytes: [u8; Self::LENGTH]) -> Self {
        let word = |at: usize| u16::from_ne_bytes([bytes[at], bytes[at + 1]]);
        Self {
            flags: bytes[0],
            gso_type: bytes[1],
            header_length: word(2),
            gso_size: word(4),
            checksum_start: word(6),
            checksum_offset: word(8),
        }
    }

    pub(crate) fn to_bytes(self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        (bytes[0], bytes[1]) = (self.flags, self.gso_type);
        for (at, word) in
            [(2, self.header_length), (4, self.gso_size), (6, self.checksum_start), (8, self.checksum_offset)]
        {
            bytes[at..at + 2].copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }

    /// Whether the frame is complete as it is.
    pub(crate) fn is_none(self) -> bool {
        self.gso_type == GSO_NONE && self.flags & NEEDS_CHECKSUM == 0
    }
}

/// `VIRTIO_NET_HDR_F_NEEDS_CSUM`.
pub(crate) const NEEDS_CHECKSUM: u8 = 1;
/// `VIRTIO_NET_HDR_GSO_NONE`.
pub(crate) const GSO_NONE: u8 = 0;

/// An Ethernet frame from its destination address on, without its check sequence; 802.1Q tags are in their place.
#[derive(Clone, Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) data: Cow<'a, [u8]>,
    pub(crate) offload: Offload,
}

/// The shortest that can be a frame: its addresses and its type.
pub(crate) const HEADER: usize = 14;
