//! Cutting a frame into segments: generic segmentation offload.

use super::checksum;
use super::ip::{Header, Version};
use crate::frame::{NEEDS_CHECKSUM, Offload};

/// `VIRTIO_NET_HDR_GSO_*`.
pub(super) const GSO_TCPV4: u8 = 1;
pub(super) const GSO_TCPV6: u8 = 4;
pub(super) const GSO_UDP_L4: u8 = 5;
/// Comes on top of a TCP type: the first segment alone may say that the congestion window was reduced (RFC 3168). It says so if the whole
/// does, and no other does in any case.
pub(super) const GSO_ECN: u8 = 0x80;

/// More segments than any sender has of a frame: it keeps a hostile one from making work. Linux sends no segments below 8 bytes.
const MAX_SEGMENTS: usize = 65535 / 8;

/// The same for headers, which every segment repeats. They fit the smallest MTU of IPv6 (RFC 7112).
const MAX_HEADERS: usize = 1280;

const FIN_AND_PSH: u8 = 0x09;
const CWR: u8 = 0x80;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Transport {
    Tcp,
    Udp,
}

impl Transport {
    /// Its number in an IP header.
    fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }

    /// Where its header has the checksum.
    fn checksum(self) -> u8 {
        match self {
            Self::Tcp => 16,
            Self::Udp => 6,
        }
    }
}

/// A frame whose headers have been found to be what they should be, and within it.
pub(super) struct Segmentation<'a> {
    headers: &'a [u8],
    payload: &'a [u8],
    /// Payload bytes of each segment but the last; never 0.
    size: u16,
    ip: Header,
    transport: Transport,
    /// Where the TCP or UDP header begins.
    transport_at: usize,
    /// Sum of the pseudo header but for its length.
    pseudo: u64,
}

impl<'a> Segmentation<'a> {
    pub(super) fn new(data: &'a [u8], offload: Offload) -> Option<Self> {
        let (transport, expected) = match offload.gso_type & !GSO_ECN {
            GSO_TCPV4 => (Transport::Tcp, Some(Version::V4)),
            GSO_TCPV6 => (Transport::Tcp, Some(Version::V6)),
            GSO_UDP_L4 => (Transport::Udp, None),
            _ => return None,
        };
        let ip = Header::find(data)?;
        if expected.is_some_and(|expected| expected != ip.version) {
            return None;
        }
        let behind = ip.at + ip.length;
        let needs_checksum = offload.flags & NEEDS_CHECKSUM != 0;
        let transport_at = if needs_checksum { usize::from(offload.checksum_start) } else { behind };
        let header = data.get(transport_at..)?;
        let transport_length = match transport {
            Transport::Tcp => usize::from(header.get(12)? >> 4) * 4,
            Transport::Udp => 8,
        };
        let placed = if transport_at == behind {
            ip.protocol == transport.number()
        } else {
            // There are extension headers, and the checksum begins behind them.
            ip.version == Version::V6 && transport_at > behind
        };
        let sized = transport != Transport::Tcp || transport_length >= 20;
        let summed = !needs_checksum || offload.checksum_offset == transport.checksum().into();
        if !(placed && sized && summed) {
            return None;
        }
        let (headers, payload) = data.split_at_checked(transport_at + transport_length)?;

        let at = transport_at + usize::from(transport.checksum());
        let pseudo = if needs_checksum {
            // The sum is in the checksum's field. Its length is that of the whole, and taken out.
            let length = checksum::fold(header.len() as u64);
            u64::from(u16::from_be_bytes([headers[at], headers[at + 1]])) + u64::from(!length)
        } else {
            u64::from(checksum::sum(&data[ip.addresses()])) + u64::from(transport.number())
        };
        let size = offload.gso_size;
        let this = Self { headers, payload, size, ip, transport, transport_at, pseudo };
        let longest = headers.len() - ip.at + payload.len().min(size.into());
        let sane = size > 0 && this.segments() <= MAX_SEGMENTS && headers.len() <= MAX_HEADERS;
        (sane && u16::try_from(longest).is_ok()).then_some(this)
    }

    pub(super) fn segments(&self) -> usize {
        self.payload.len().div_ceil(self.size.into()).max(1)
    }

    pub(super) fn wire_length(&self) -> usize {
        self.segments() * self.headers.len() + self.payload.len()
    }

    /// Calls `each` with each segment, which is in `scratch`.
    pub(super) fn cut(&self, scratch: &mut Vec<u8>, mut each: impl FnMut(&[u8])) {
        scratch.clear();
        scratch.extend_from_slice(self.headers);
        let mut rest = self.payload;
        let mut is_first = true;
        loop {
            let payload;
            (payload, rest) = rest.split_at(rest.len().min(self.size.into()));
            scratch.truncate(self.headers.len());
            scratch.extend_from_slice(payload);

            let (front, transport) = scratch.split_at_mut(self.transport_at);
            self.mend_network(&mut front[self.ip.at..], transport.len(), is_first);
            self.mend_transport(transport, is_first, rest.is_empty());
            each(scratch);
            is_first = false;
            if rest.is_empty() {
                return;
            }
        }
    }

    /// Makes the IP header of the previous segment, or of the whole, that of the next. `behind` is the length of what follows the headers.
    fn mend_network(&self, headers: &mut [u8], behind: usize, is_first: bool) {
        let length = headers.len() + behind;
        match self.ip.version {
            Version::V4 => {
                put(headers, 2, word(length));
                if !is_first {
                    put(headers, 4, u16::from_be_bytes([headers[4], headers[5]]).wrapping_add(1).to_be_bytes());
                }
                put(headers, 10, [0; 2]);
                put(headers, 10, (!checksum::sum(&headers[..self.ip.length])).to_be_bytes());
            }
            Version::V6 => put(headers, 4, word(length - self.ip.length)),
        }
    }

    /// The same for the TCP or UDP header; `segment` has the payload behind it.
    fn mend_transport(&self, segment: &mut [u8], is_first: bool, is_last: bool) {
        match self.transport {
            Transport::Tcp => {
                if !is_first {
                    let sequence = u32::from_be_bytes([segment[4], segment[5], segment[6], segment[7]]);
                    put(segment, 4, sequence.wrapping_add(self.size.into()).to_be_bytes());
                }
                let mut flags = self.headers[self.transport_at + 13];
                if !is_first {
                    flags &= !CWR;
                }
                if !is_last {
                    flags &= !FIN_AND_PSH;
                }
                segment[13] = flags;
            }
            Transport::Udp => put(segment, 4, word(segment.len())),
        }
        let field = self.transport.checksum().into();
        put(segment, field, [0; 2]);
        let sum = self.pseudo + segment.len() as u64 + u64::from(checksum::sum(segment));
        put(segment, field, checksum::transport(checksum::fold(sum)));
    }
}

/// A length, which [`Segmentation::new`] has found to fit.
fn word(length: usize) -> [u8; 2] {
    u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes()
}

fn put<const N: usize>(header: &mut [u8], at: usize, field: [u8; N]) {
    header[at..at + N].copy_from_slice(&field);
}
