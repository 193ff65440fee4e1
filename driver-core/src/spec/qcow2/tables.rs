//! Where the clusters of an image are.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::super::bytes::be;
use super::super::image::Unfit;
use super::super::raw::SECTOR;
use super::header::Header;

/// The bits of an entry that are an offset.
const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;

const COMPRESSED: u64 = 1 << 62;

/// Reads as zeros, wherever the cluster is. Entries with subclusters have no such bit.
const ZERO: u64 = 1;

/// Whether anything lies beyond the end of the file, as happens when a copy or a download ends early. A checked `header` has the L1 table
/// in the file.
pub(super) fn lead_beyond(file: &File, header: &Header, length: u64) -> Result<bool, Unfit> {
    let read = |offset, size| read(file, offset, size).map_err(|error| Unfit::unreadable(&error));
    let l1 = read(header.l1_offset, header.l1_entries * 8)?;
    // Each once: then no table is read twice, however damaged the image is.
    let tables: BTreeSet<u64> = entries(&l1, 8).map(|entry| entry & OFFSET).filter(|offset| *offset != 0).collect();
    for table in tables {
        if table + header.cluster() > length {
            return Ok(true);
        }
        let l2 = read(table, header.cluster())?;
        if entries(&l2, header.l2_entry()).any(|entry| last_byte(entry, header).is_some_and(|last| last >= length)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A byte that must be in the file for the cluster of an L2 entry to be there. The end of a cluster need not be: QEMU does not write what
/// lies beyond the disk's end.
fn last_byte(entry: u64, header: &Header) -> Option<u64> {
    if entry & COMPRESSED != 0 {
        // The bits below count bytes to the beginning, those above further sectors that the data reaches into.
        let bits = 62 - (header.cluster_bits() - 8);
        let start = entry & ((1 << bits) - 1);
        let sectors = (entry & (COMPRESSED - 1)) >> bits;
        return Some(if sectors == 0 { start } else { (start / SECTOR + sectors) * SECTOR });
    }
    let zero = !header.has_subclusters() && entry & ZERO != 0;
    Some(entry & OFFSET).filter(|offset| *offset != 0 && !zero)
}

fn read(file: &File, offset: u64, size: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(size).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
}

/// The entries of a table, of which only the first eight bytes matter.
fn entries(table: &[u8], size: usize) -> impl Iterator<Item = u64> {
    table.chunks_exact(size).filter_map(|entry| be::<8>(entry, 0))
}
