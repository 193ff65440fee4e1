//! Owners in an ext4 file system without checksums of its inodes (kernel, Documentation/filesystems/ext4, "Inode Table").

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Where the superblock begins.
const SUPERBLOCK: u64 = 1024;

const MAGIC: u16 = 0xef53;

/// In the superblock's `s_feature_incompat` and `s_feature_ro_compat`.
const INCOMPAT_64BIT: u32 = 0x80;
const RO_COMPAT_METADATA_CSUM: u32 = 0x400;

/// In a group's `bg_flags`: no inode of it is used.
const INODE_UNINIT: u16 = 1;

/// A group's descriptor, where there are no more than 2^32 blocks.
const DESCRIPTOR: usize = 32;

/// Gives all files to root.
pub(super) fn give_to_root(image: &File) -> io::Result<()> {
    let superblock = read(image, SUPERBLOCK, 1024)?;
    let word =
        |at: usize| u32::from_le_bytes([superblock[at], superblock[at + 1], superblock[at + 2], superblock[at + 3]]);
    let half = |at: usize| u16::from_le_bytes([superblock[at], superblock[at + 1]]);
    if half(0x38) != MAGIC || word(0x60) & INCOMPAT_64BIT != 0 || word(0x64) & RO_COMPAT_METADATA_CSUM != 0 {
        return Err(io::Error::other("mke2fs made a file system of another kind than it was asked for"));
    }
    let (inodes, per_group, size) = (word(0), word(0x28), u64::from(half(0x58)));
    let block = 1024 << word(0x18);
    // They follow the superblock's own block.
    let descriptors = (u64::from(word(0x14)) + 1) * block;
    for group in 0..u64::from(inodes.div_ceil(per_group)) {
        let descriptor = read(image, descriptors + group * DESCRIPTOR as u64, DESCRIPTOR)?;
        let half = |at: usize| u16::from_le_bytes([descriptor[at], descriptor[at + 1]]);
        if half(0x12) & INODE_UNINIT != 0 {
            continue;
        }
        let table = u64::from(half(0x8)) | u64::from(half(0xa)) << 16;
        let used = u64::from(per_group).saturating_sub(u64::from(half(0x1c)));
        let place = table * block;
        let length = usize::try_from(used * size).map_err(io::Error::other)?;
        let mut bytes = read(image, place, length)?;
        for inode in bytes.chunks_exact_mut(usize::try_from(size).map_err(io::Error::other)?) {
            // Their lower halves, and their upper ones: i_uid, i_gid, l_i_uid_high, l_i_gid_high.
            for at in [0x2, 0x18, 0x78, 0x7a] {
                inode[at..at + 2].fill(0);
            }
        }
        image.write_all_at(&bytes, place)?;
    }
    Ok(())
}

fn read(image: &File, at: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    image.read_exact_at(&mut bytes, at)?;
    Ok(bytes)
}
