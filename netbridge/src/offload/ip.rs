//! Finding the IP header of a frame.

use std::ops::Range;

use crate::frame::HEADER;

/// Length of an 802.1Q or 802.1ad tag.
pub(super) const TAG: u16 = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    V4,
    V6,
}

/// An IP header, all of which is in the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) version: Version,
    /// Where it begins.
    pub(super) at: usize,
    /// Its length; of IPv6, without extension headers.
    pub(super) length: usize,
    /// What follows it.
    pub(super) protocol: u8,
}

impl Header {
    /// Finds it behind any number of tags.
    pub(super) fn find(frame: &[u8]) -> Option<Self> {
        let mut at = HEADER;
        let version = loop {
            match *frame.get(at - 2..at)? {
                [0x08, 0x00] => break Version::V4,
                [0x86, 0xdd] => break Version::V6,
                [0x81, 0x00] | [0x88, 0xa8] => at += usize::from(TAG),
                _ => return None,
            }
        };
        let first = *frame.get(at)?;
        let (number, length, protocol) = match version {
            Version::V4 => (4, usize::from(first & 0xf) * 4, 9),
            Version::V6 => (6, 40, 6),
        };
        let header = frame.get(at..at + length)?;
        (first >> 4 == number && length >= 20).then(|| Self { version, at, length, protocol: header[protocol] })
    }

    /// Where both addresses are.
    pub(super) fn addresses(&self) -> Range<usize> {
        match self.version {
            Version::V4 => self.at + 12..self.at + 20,
            Version::V6 => self.at + 8..self.at + 40,
        }
    }
}
