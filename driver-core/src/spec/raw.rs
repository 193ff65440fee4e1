//! Disks that are kept byte by byte: what is on them, and whether all of it is in the file.

use super::bytes::{be, has, le};
use super::image::{ANEW, Unfit};

/// The unit in which disks count.
pub(super) const SECTOR: u64 = 512;

/// How much of a disk's beginning all that is looked for lies in.
pub(super) const HEAD: u64 = 66 << 10;

/// What can be on a disk without a partition table.
struct FileSystem {
    name: &'static str,
    /// Where `magic` is in every one of its kind.
    offset: usize,
    magic: &'static [u8],
    /// How many bytes of a disk it takes. None when that cannot be.
    length: fn(&[u8]) -> Option<u64>,
}

// The layouts are those of the kernel's sources: fs/ext4/ext4.h, fs/xfs/libxfs/xfs_format.h, include/uapi/linux/btrfs_tree.h,
// fs/erofs/erofs_fs.h, fs/squashfs/squashfs_fs.h, include/uapi/linux/iso_fs.h and include/uapi/linux/msdos_fs.h.
const FILE_SYSTEMS: [FileSystem; 8] = [
    FileSystem { name: "ext2, ext3 or ext4", offset: 1080, magic: b"\x53\xef", length: ext },
    FileSystem {
        name: "XFS",
        offset: 0,
        magic: b"XFSB",
        length: |head| be::<4>(head, 4)?.checked_mul(be::<8>(head, 8)?),
    },
    // The size of this one device, of which there may be more.
    FileSystem { name: "Btrfs", offset: 0x1_0040, magic: b"_BHRfS_M", length: |head| le::<8>(head, 0x1_00d1) },
    FileSystem { name: "EROFS", offset: 1024, magic: b"\xe2\xe1\xf5\xe0", length: erofs },
    FileSystem { name: "SquashFS", offset: 0, magic: b"hsqs", length: |head| le::<8>(head, 40) },
    FileSystem { name: "ISO 9660", offset: 0x8001, magic: b"CD001", length: iso },
    FileSystem { name: "FAT", offset: 54, magic: b"FAT", length: fat },
    FileSystem { name: "FAT", offset: 82, magic: b"FAT", length: fat },
];

/// What of [`examine`] is known, for messages.
pub(super) const KNOWN: &str = "a partition table or an ext, XFS, Btrfs, EROFS, SquashFS, ISO 9660 or FAT file system";

/// Looks for what a disk of `length` bytes holds by its beginning, `head`. None where nothing is known, an error where not all of it is
/// there.
pub(super) fn examine(head: &[u8], length: u64) -> Option<Result<(), Unfit>> {
    let (name, needed) = partitions(head).or_else(|| file_system(head))?;
    let (wrong, cure) = match needed {
        None => (format!("is damaged: its {name} tells no size that can be"), ANEW),
        Some(needed) if needed > length => {
            (format!("is truncated: its {name} needs {needed} bytes, but there are {length}"), ANEW)
        }
        Some(_) if !length.is_multiple_of(SECTOR) => (
            format!("has {length} bytes, but a disk has a multiple of {SECTOR}"),
            "fill its last sector with `truncate -s %512`, or copy or download it anew",
        ),
        Some(_) => return Some(Ok(())),
    };
    Some(Err(Unfit::new(wrong, cure)))
}

fn file_system(head: &[u8]) -> Option<(String, Option<u64>)> {
    let found = FILE_SYSTEMS.iter().find(|kind| has(head, kind.offset, kind.magic));
    let found =
        found.map(|kind| (format!("{} file system", kind.name), (kind.length)(head).filter(|length| *length > 0)));
    // A boot sector without partitions still makes a disk that firmware starts.
    found.or_else(|| has(head, 510, b"\x55\xaa").then(|| ("boot sector".to_owned(), Some(SECTOR))))
}

/// A partition table, and where the last partition ends.
fn partitions(head: &[u8]) -> Option<(String, Option<u64>)> {
    // UEFI specification, 5.3.2: the last sector is the table's copy.
    if has(head, 512, b"EFI PART") {
        let copy = le::<8>(head, 512 + 32).filter(|sector| *sector > 1);
        let end = copy.and_then(|sector| sector.checked_add(1)?.checked_mul(SECTOR));
        return Some(("GUID partition table".to_owned(), end));
    }
    let end = master_boot_record(head)?;
    Some(("partition table".to_owned(), Some(end)))
}

/// Where the last partition of a master boot record ends. The boot sector of a file system ends with the same two bytes, but has code or
/// nothing where the partitions would be.
fn master_boot_record(head: &[u8]) -> Option<u64> {
    if !has(head, 510, b"\x55\xaa") {
        return None;
    }
    let entries = head.get(446..510)?.chunks_exact(16);
    let mut end = 0;
    for entry in entries {
        let (status, kind) = (*entry.first()?, *entry.get(4)?);
        let (start, count) = (le::<4>(entry, 8)?, le::<4>(entry, 12)?);
        match (status, kind) {
            (0 | 0x80, 0) => {}
            (0 | 0x80, _) if start > 0 && count > 0 => end = end.max((start + count) * SECTOR),
            _ => return None,
        }
    }
    (end > 0).then_some(end)
}

fn ext(head: &[u8]) -> Option<u64> {
    const INCOMPAT_64BIT: u64 = 0x80;
    // 1 KiB to 64 KiB.
    let block = 1024 << le::<4>(head, 0x418).filter(|power| *power <= 6)?;
    let high = if le::<4>(head, 0x460)? & INCOMPAT_64BIT == 0 { 0 } else { le::<4>(head, 0x550)? };
    (high << 32 | le::<4>(head, 0x404)?).checked_mul(block)
}

fn erofs(head: &[u8]) -> Option<u64> {
    // 512 bytes to 64 KiB.
    let block = 1 << le::<1>(head, 1024 + 12).filter(|bits| (9..=16).contains(bits))?;
    le::<4>(head, 1024 + 36)?.checked_mul(block)
}

fn iso(head: &[u8]) -> Option<u64> {
    le::<2>(head, 0x8080)?.checked_mul(le::<4>(head, 0x8050)?)
}

fn fat(head: &[u8]) -> Option<u64> {
    let sectors = le::<2>(head, 19).filter(|sectors| *sectors > 0).or_else(|| le::<4>(head, 32))?;
    le::<2>(head, 11)?.checked_mul(sectors)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A disk of four sectors, the last two of which are a partition.
    pub(in super::super) fn partitioned() -> Vec<u8> {
        let mut disk = vec![0; 2048];
        disk[446..462].copy_from_slice(&[0x80, 0, 0, 0, 0x83, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0]);
        disk[510..512].copy_from_slice(b"\x55\xaa");
        disk
    }

    /// A head with bytes in it.
    fn head(parts: &[(usize, &[u8])]) -> Vec<u8> {
        let mut head = vec![0; usize::try_from(HEAD).unwrap()];
        for (offset, part) in parts {
            head[*offset..offset + part.len()].copy_from_slice(part);
        }
        head
    }

    fn said(head: &[u8], length: u64) -> String {
        match examine(head, length) {
            None => "unknown".to_owned(),
            Some(Ok(())) => "a disk".to_owned(),
            Some(Err(unfit)) => unfit.wrong,
        }
    }

    /// The beginning of each kind of disk, as its own tools write it, the name in messages and the bytes that it takes.
    fn kinds() -> Vec<(Vec<u8>, &'static str, u64)> {
        const MIB: u64 = 1 << 20;
        let le32 = u32::to_le_bytes;
        vec![
            (partitioned(), "partition table", 2048),
            (
                head(&[
                    (510, b"\x55\xaa"),
                    (450, b"\xee\0\0\0\x01\0\0\0\xff\x1f\0\0"),
                    (512, b"EFI PART"),
                    (544, &8191_u64.to_le_bytes()),
                ]),
                "GUID partition table",
                4 * MIB,
            ),
            (
                head(&[(0x438, b"\x53\xef"), (0x418, &le32(2)), (0x404, &le32(1024))]),
                "ext2, ext3 or ext4 file system",
                4 * MIB,
            ),
            (
                head(&[
                    (0x438, b"\x53\xef"),
                    (0x418, &le32(0)),
                    (0x404, &le32(1024)),
                    (0x460, &le32(0x80)),
                    (0x550, &le32(1)),
                ]),
                "ext2, ext3 or ext4 file system",
                ((1 << 32) + 1024) * 1024,
            ),
            (head(&[(0, b"XFSB\0\0\x10\0\0\0\0\0\0\0\x04\0")]), "XFS file system", 4 * MIB),
            (head(&[(0x1_0040, b"_BHRfS_M"), (0x1_00d1, &(4 * MIB).to_le_bytes())]), "Btrfs file system", 4 * MIB),
            (head(&[(1024, b"\xe2\xe1\xf5\xe0"), (1036, b"\x0c"), (1060, &le32(1024))]), "EROFS file system", 4 * MIB),
            (head(&[(0, b"hsqs"), (40, &(4 * MIB).to_le_bytes())]), "SquashFS file system", 4 * MIB),
            (head(&[(0x8001, b"CD001"), (0x8050, &le32(2048)), (0x8080, b"\0\x08")]), "ISO 9660 file system", 4 * MIB),
            (head(&[(510, b"\x55\xaa"), (54, b"FAT16"), (11, b"\0\x02"), (19, b"\0\x20")]), "FAT file system", 4 * MIB),
            (
                head(&[(510, b"\x55\xaa"), (82, b"FAT32"), (11, b"\0\x02"), (32, &le32(1 << 20))]),
                "FAT file system",
                512 * MIB,
            ),
            (head(&[(510, b"\x55\xaa")]), "boot sector", 512),
        ]
    }

    #[test]
    fn disks_are_known_and_must_be_whole() {
        for (head, name, length) in kinds() {
            assert_eq!(said(&head, length), "a disk", "{name}");
            assert_eq!(said(&head, length + 512), "a disk", "{name}");
            assert_eq!(
                said(&head, length - 1),
                format!("is truncated: its {name} needs {length} bytes, but there are {}", length - 1)
            );
            let odd = length + 1;
            assert_eq!(said(&head, odd), format!("has {odd} bytes, but a disk has a multiple of 512"));
        }
    }

    #[test]
    fn other_content_is_unknown() {
        for content in [&b""[..], b"x", &[0; 4096], b"#!/bin/sh\nexit 0\n", &vec![0xff; 70_000]] {
            assert_eq!(examine(content, content.len() as u64), None);
        }
    }

    #[test]
    fn sizes_that_cannot_be_are_damage() {
        let le32 = u32::to_le_bytes;
        for head in [
            head(&[(0x438, b"\x53\xef")]),
            head(&[(0x438, b"\x53\xef"), (0x418, &le32(7)), (0x404, &le32(1))]),
            head(&[
                (0x438, b"\x53\xef"),
                (0x418, &le32(6)),
                (0x404, &[0xff; 4]),
                (0x460, &le32(0x80)),
                (0x550, &[0xff; 4]),
            ]),
            head(&[(0, b"XFSB\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")]),
            head(&[(1024, b"\xe2\xe1\xf5\xe0"), (1036, b"\xff"), (1060, &le32(1))]),
            head(&[(512, b"EFI PART")]),
            head(&[(512, b"EFI PART"), (544, &[0xff; 8])]),
        ] {
            let said = said(&head, 1 << 30);
            assert!(said.starts_with("is damaged: its ") && said.ends_with(" tells no size that can be"), "{said}");
        }
    }

    #[test]
    fn a_boot_sector_with_code_is_no_partition_table() {
        let mut disk = partitioned();
        // Code where the status would be.
        disk[462] = 0xe8;
        assert_eq!(said(&disk, 512), "a disk");
        // A hybrid ISO: its partition begins with the disk.
        let mut disk = partitioned();
        disk[454] = 0;
        assert_eq!(said(&disk, 512), "a disk");
    }

    #[test]
    fn a_head_cut_off_anywhere_is_no_panic() {
        for (head, name, length) in kinds() {
            for end in (0..head.len()).step_by(if head.len() > 4096 { 13 } else { 1 }) {
                let said = said(&head[..end], end as u64);
                assert!(said != "a disk" || length <= end as u64, "{name}, {end}");
            }
        }
    }
}
