//! Where on a disk a root can be: its file systems, found by partition tables (UEFI specification, chapter 5) and by superblocks.

use std::io;

/// The logical block of every disk that QEMU makes unless told otherwise.
const SECTOR: u64 = 512;

/// How far into a volume the superblock of btrfs reaches, which lies farthest in.
const SUPERBLOCKS: usize = 68 * 1024;

/// The most entries that any known tool gives a GPT.
const MOST_PARTITIONS: u32 = 128;

/// A file system that a root can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSystem {
    /// ext4, and its forebears, for which it stands in.
    Ext4,
    /// XFS.
    Xfs,
    /// btrfs.
    Btrfs,
}

impl FileSystem {
    /// Its name, which is also its module's.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
        }
    }
}

/// A file system on a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Volume {
    /// The number of its partition; none if it fills the disk.
    pub partition: Option<u32>,
    /// What it is.
    pub kind: FileSystem,
}

impl Volume {
    /// Its device on a disk such as `/dev/vda`.
    pub fn device(&self, disk: &str) -> String {
        self.partition.map_or_else(|| disk.to_owned(), |partition| format!("{disk}{partition}"))
    }
}

/// Why no root can be on a disk.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NoRoot {
    /// It cannot be read.
    #[error("it cannot be read")]
    Unreadable(#[from] io::Error),
    /// It holds something else.
    #[error("there is no ext4, xfs or btrfs in it: {0}")]
    Other(String),
}

/// The volumes of a disk that can be a root, likeliest first: its one file system, else the partitions whose GPT type says that they are a
/// root of this kind, else all in order. `read` brings that many bytes from an offset, or as many as there are.
pub fn roots(root_type: &str, read: impl Fn(u64, usize) -> io::Result<Vec<u8>>) -> Result<Vec<Volume>, NoRoot> {
    let head = read(0, SUPERBLOCKS)?;
    if let Some(kind) = file_system(&head) {
        return Ok(vec![Volume { partition: None, kind }]);
    }
    let partitions = partitions(&head, &read)?;
    if partitions.is_empty() {
        return Err(NoRoot::Other(format!("it has no partitions, and looks like {}", looks(&head))));
    }
    let mut volumes = Vec::new();
    let mut others = Vec::new();
    for partition in &partitions {
        let start = read(partition.start.saturating_mul(SECTOR), SUPERBLOCKS)?;
        match file_system(&start) {
            Some(kind) => volumes.push((partition, kind)),
            None => others.push(format!("partition {} looks like {}", partition.number, looks(&start))),
        }
    }
    if volumes.is_empty() {
        return Err(NoRoot::Other(others.join(", ")));
    }
    let root_type = guid(root_type);
    let is_root = |partition: &Partition| Some(partition.kind) == root_type;
    if volumes.iter().any(|(partition, _)| is_root(partition)) {
        volumes.retain(|(partition, _)| is_root(partition));
    }
    Ok(volumes.into_iter().map(|(partition, kind)| Volume { partition: Some(partition.number), kind }).collect())
}

struct Partition {
    number: u32,
    /// In sectors.
    start: u64,
    /// The GPT type as it is on disk; zeroes in an MBR.
    kind: [u8; 16],
}

fn partitions(head: &[u8], read: impl Fn(u64, usize) -> io::Result<Vec<u8>>) -> io::Result<Vec<Partition>> {
    if at(head, 512, b"EFI PART") {
        let (table, count, size) = (u64_at(head, 512 + 72), u32_at(head, 512 + 80), u32_at(head, 512 + 84));
        // An entry is 128 bytes times a power of two.
        if !(128..=4096).contains(&size) {
            return Ok(Vec::new());
        }
        let length = (count.min(MOST_PARTITIONS) * size) as usize;
        let table = read(table.saturating_mul(SECTOR), length)?;
        let entries = table.chunks_exact(size as usize).zip(1..);
        let entries = entries.filter(|(entry, _)| entry[..16] != [0; 16]);
        return Ok(entries
            .map(|(entry, number)| Partition { number, start: u64_at(entry, 32), kind: guid_at(entry) })
            .collect());
    }
    if !at(head, 510, b"\x55\xaa") {
        return Ok(Vec::new());
    }
    let entries = (1..=4).filter_map(|number| Some((number, head.get(446 + (number as usize - 1) * 16..)?)));
    let used = entries.filter(|(_, entry)| entry[4] != 0);
    Ok(used.map(|(number, entry)| Partition { number, start: u32_at(entry, 8).into(), kind: [0; 16] }).collect())
}

/// The file system whose superblock this is.
fn file_system(volume: &[u8]) -> Option<FileSystem> {
    let kinds = [
        (FileSystem::Ext4, 1024 + 56, &b"\x53\xef"[..]),
        (FileSystem::Xfs, 0, b"XFSB"),
        (FileSystem::Btrfs, 0x1_0040, b"_BHRfS_M"),
    ];
    kinds.into_iter().find(|(_, offset, magic)| at(volume, *offset, magic)).map(|(kind, ..)| kind)
}

/// What a volume without such a file system seems to be.
fn looks(volume: &[u8]) -> &'static str {
    let kinds = [
        ("a volume encrypted by LUKS", 0, &b"LUKS\xba\xbe"[..]),
        ("a part of LVM", 512, b"LABELONE"),
        ("swap", 4086, b"SWAPSPACE2"),
        ("squashfs", 0, b"hsqs"),
        ("erofs", 1024, b"\xe2\xe1\xf5\xe0"),
        ("ISO 9660", 0x8001, b"CD001"),
        ("FAT", 510, b"\x55\xaa"),
    ];
    if volume.iter().all(|byte| *byte == 0) {
        return "nothing but zeroes";
    }
    kinds
        .into_iter()
        .find(|(_, offset, magic)| at(volume, *offset, magic))
        .map_or("nothing that is known", |(kind, ..)| kind)
}

fn at(bytes: &[u8], offset: usize, magic: &[u8]) -> bool {
    bytes.get(offset..).is_some_and(|rest| rest.starts_with(magic))
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    bytes.get(offset..).and_then(|rest| rest.first_chunk()).map_or(0, |number| u32::from_le_bytes(*number))
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    bytes.get(offset..).and_then(|rest| rest.first_chunk()).map_or(0, |number| u64::from_le_bytes(*number))
}

fn guid_at(bytes: &[u8]) -> [u8; 16] {
    bytes.first_chunk().copied().unwrap_or_default()
}

/// A GUID as it is on disk: the first three of its five numbers are little-endian (UEFI specification, appendix A).
fn guid(text: &str) -> Option<[u8; 16]> {
    let digits = text.replace('-', "");
    let mut bytes = u128::from_str_radix(&digits, 16).ok()?.to_be_bytes();
    bytes[..4].reverse();
    bytes[4..6].reverse();
    bytes[6..8].reverse();
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::X86_64;

    /// A disk with these bytes at these places.
    fn disk(parts: &[(usize, &[u8])]) -> Vec<u8> {
        let length = parts.iter().map(|(offset, bytes)| offset + bytes.len()).max().unwrap_or(0).max(1 << 20);
        let mut disk = vec![0; length];
        for (offset, bytes) in parts {
            disk[*offset..offset + bytes.len()].copy_from_slice(bytes);
        }
        disk
    }

    fn roots_of(disk: &[u8]) -> Result<Vec<Volume>, NoRoot> {
        roots(X86_64.root_partition, |offset, length| {
            let start = usize::try_from(offset).unwrap_or(usize::MAX).min(disk.len());
            Ok(disk[start..(start + length).min(disk.len())].to_vec())
        })
    }

    /// A GPT with these partitions: number, type, first sector.
    fn gpt(partitions: &[(usize, &str, u64)]) -> Vec<u8> {
        let mut table = vec![0; 4096];
        table[512..520].copy_from_slice(b"EFI PART");
        table[584..592].copy_from_slice(&2_u64.to_le_bytes());
        table[592..596].copy_from_slice(&20_u32.to_le_bytes());
        table[596..600].copy_from_slice(&128_u32.to_le_bytes());
        for (number, kind, start) in partitions {
            let entry = 1024 + (number - 1) * 128;
            table[entry..entry + 16].copy_from_slice(&guid(kind).unwrap());
            table[entry + 32..entry + 40].copy_from_slice(&start.to_le_bytes());
        }
        table
    }

    const LINUX: &str = "0fc63daf-8483-4772-8e79-3d69d8477de4";
    const EXT4: &[u8] = b"\x53\xef";

    fn volume(partition: Option<u32>, kind: FileSystem) -> Volume {
        Volume { partition, kind }
    }

    #[test]
    fn guids_are_as_they_are_on_disk() {
        let expected = [0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47, 0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4];
        assert_eq!(guid(LINUX), Some(expected));
        assert_eq!(guid("no guid"), None);
    }

    #[test]
    fn a_file_system_can_fill_the_disk() {
        for (parts, kind) in [
            (&[(1080, EXT4)][..], FileSystem::Ext4),
            (&[(0, b"XFSB")], FileSystem::Xfs),
            (&[(0x1_0040, b"_BHRfS_M")], FileSystem::Btrfs),
            // A boot sector in front of a file system makes no table.
            (&[(510, b"\x55\xaa"), (1080, EXT4)], FileSystem::Ext4),
        ] {
            assert_eq!(roots_of(&disk(parts)).unwrap(), [volume(None, kind)]);
        }
        assert_eq!(volume(None, FileSystem::Ext4).device("/dev/vda"), "/dev/vda");
    }

    #[test]
    fn the_partition_typed_as_root_is_taken() {
        let table = gpt(&[(1, LINUX, 40), (3, X86_64.root_partition, 80)]);
        let disk = disk(&[(0, &table), (40 * 512 + 1080, EXT4), (80 * 512, b"XFSB")]);
        let roots = roots_of(&disk).unwrap();
        assert_eq!(roots, [volume(Some(3), FileSystem::Xfs)]);
        assert_eq!(roots[0].device("/dev/vda"), "/dev/vda3");
    }

    #[test]
    fn else_all_file_systems_are_tried_in_order() {
        let table = gpt(&[(1, LINUX, 40), (2, LINUX, 60), (15, LINUX, 80)]);
        let gpt = disk(&[(0, &table), (40 * 512, b"XFSB"), (80 * 512 + 1080, EXT4)]);
        assert_eq!(roots_of(&gpt).unwrap(), [volume(Some(1), FileSystem::Xfs), volume(Some(15), FileSystem::Ext4)]);

        let entry = [0, 0, 0, 0, 0x83, 0, 0, 0, 40, 0, 0, 0, 9, 0, 0, 0];
        let mbr = disk(&[(510, b"\x55\xaa"), (446 + 16, &entry), (40 * 512 + 1080, EXT4)]);
        assert_eq!(roots_of(&mbr).unwrap(), [volume(Some(2), FileSystem::Ext4)]);
    }

    #[test]
    fn what_else_there_is_is_told() {
        let said = |disk: &[u8]| roots_of(disk).unwrap_err().to_string();
        assert!(said(&disk(&[])).ends_with("it has no partitions, and looks like nothing but zeroes"));
        let luks = disk(&[(0, &gpt(&[(1, LINUX, 40)])), (40 * 512, b"LUKS\xba\xbe")]);
        assert!(said(&luks).ends_with("partition 1 looks like a volume encrypted by LUKS"), "{}", said(&luks));
        // Tables that lie about themselves.
        let mut wild = gpt(&[(1, LINUX, u64::MAX / 2)]);
        wild[592..596].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(roots_of(&disk(&[(0, &wild)])).is_err());
        wild[596..600].copy_from_slice(&0_u32.to_le_bytes());
        assert!(roots_of(&disk(&[(0, &wild)])).is_err());
        assert!(roots_of(b"").is_err());
    }
}
