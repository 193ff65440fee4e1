//! Doing what a frame's sender left to others: filling in its checksum, cutting it into segments, putting its tag back.
//!
//! Frames come from kernels, but what stands in them from whoever sent them, so nothing is taken for granted. Frames are cut as Linux
//! does it (`net/ipv4/tcp_offload.c` and `udp_offload.c`).

mod checksum;
mod ip;
mod segmentation;
#[cfg(test)]
mod tests;

use crate::frame::{GSO_NONE, HEADER, NEEDS_CHECKSUM, Offload};
use ip::TAG;
use segmentation::Segmentation;

/// The headers of a frame are not those that its [`Offload`] tells of, or it asks for what no sender does today.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Calls `each` with the complete frames that `data` becomes, in order. A frame that lacks nothing is passed on as it is.
///
/// `scratch` holds each of the others in turn and saves allocations when it is used again.
pub(crate) fn complete(
    data: &[u8],
    offload: Offload,
    scratch: &mut Vec<u8>,
    mut each: impl FnMut(&[u8]),
) -> Result<(), Malformed> {
    if offload.is_none() {
        each(data);
    } else if offload.gso_type == GSO_NONE {
        fill_in_checksum(data, offload, scratch).ok_or(Malformed)?;
        each(scratch);
    } else {
        Segmentation::new(data, offload).ok_or(Malformed)?.cut(scratch, each);
    }
    Ok(())
}

/// How many frames [`complete`] makes of `data`; one if it would refuse it.
pub(crate) fn frames(data: &[u8], offload: Offload) -> usize {
    segmentation(data, offload).map_or(1, |segmentation| segmentation.segments())
}

/// How many bytes [`complete`] makes of `data`, all headers counted; as many as there are if it would refuse it.
pub(crate) fn wire_length(data: &[u8], offload: Offload) -> usize {
    segmentation(data, offload).map_or(data.len(), |segmentation| segmentation.wire_length())
}

/// Puts a tag behind the addresses of the frame in the first `length` bytes of `buffer` and gives its new length.
///
/// The kernel hands tags over apart from the frame (`PACKET_AUXDATA`). None if there is no space behind the frame, or it is no frame; then
/// nothing has changed.
pub(crate) fn insert_tag(
    buffer: &mut [u8],
    length: usize,
    offload: &mut Offload,
    tpid: u16,
    tci: u16,
) -> Option<usize> {
    const AT: usize = 12;
    if length < HEADER {
        return None;
    }
    let tagged = length.checked_add(TAG.into())?;
    let frame = buffer.get_mut(..tagged)?;
    if offload.flags & NEEDS_CHECKSUM != 0 {
        offload.checksum_start = offload.checksum_start.checked_add(TAG)?;
    }
    if offload.header_length != 0 {
        offload.header_length = offload.header_length.saturating_add(TAG);
    }
    frame.copy_within(AT..length, AT + usize::from(TAG));
    frame[AT..AT + 2].copy_from_slice(&tpid.to_be_bytes());
    frame[AT + 2..AT + 4].copy_from_slice(&tci.to_be_bytes());
    Some(tagged)
}

fn segmentation(data: &[u8], offload: Offload) -> Option<Segmentation<'_>> {
    if offload.gso_type == GSO_NONE { None } else { Segmentation::new(data, offload) }
}

/// Leaves the frame with its checksum in `scratch`. The sum of what the checksum covers beyond the frame is in its field already.
fn fill_in_checksum(data: &[u8], offload: Offload, scratch: &mut Vec<u8>) -> Option<()> {
    let start = usize::from(offload.checksum_start);
    let field = start + usize::from(offload.checksum_offset);
    data.get(field..field + 2)?;
    let checksum = checksum::transport(checksum::sum(data.get(start..)?));
    scratch.clear();
    scratch.extend_from_slice(data);
    scratch[field..field + 2].copy_from_slice(&checksum);
    Some(())
}
