//! What stands at the beginning of an image.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::FileExt;

use super::super::bytes::be;
use super::super::image::Unfit;
use super::{Backing, truncated};

// Incompatible features of version 3.
const CORRUPT: u64 = 1 << 1;
const EXTERNAL_DATA: u64 = 1 << 2;
const EXTENDED_L2: u64 = 1 << 4;

/// The header extension with the backing file's format.
const BACKING_FORMAT: u64 = 0xe279_2aca;

/// The longest name that a backing file can have.
const LONGEST_NAME: u64 = 1023;

/// The most that QEMU loads as an L1 table (`QCOW_MAX_L1_SIZE`).
const LARGEST_L1: u64 = 32 << 20;

/// The fields that say whether an image can be used.
pub(super) struct Header {
    version: u64,
    backing_offset: u64,
    backing_length: u64,
    cluster_bits: u64,
    /// The size of the disk.
    size: u64,
    encryption: u64,
    /// Entries of the L1 table.
    pub(super) l1_entries: u64,
    pub(super) l1_offset: u64,
    refcounts_offset: u64,
    refcounts_clusters: u64,
    features: u64,
    length: u64,
}

impl Header {
    /// Reads the header, unless it is cut off.
    pub(super) fn read(head: &[u8]) -> Option<Self> {
        let version = be::<4>(head, 4)?;
        let (features, length) = if version >= 3 { (be::<8>(head, 72)?, be::<4>(head, 100)?) } else { (0, 72) };
        // The last field of version 2.
        be::<8>(head, 64)?;
        Some(Self {
            version,
            backing_offset: be::<8>(head, 8)?,
            backing_length: be::<4>(head, 16)?,
            cluster_bits: be::<4>(head, 20)?,
            size: be::<8>(head, 24)?,
            encryption: be::<4>(head, 32)?,
            l1_entries: be::<4>(head, 36)?,
            l1_offset: be::<8>(head, 40)?,
            refcounts_offset: be::<8>(head, 48)?,
            refcounts_clusters: be::<4>(head, 56)?,
            features,
            length,
        })
    }

    /// Bytes of a cluster, once the header has been checked.
    pub(super) fn cluster(&self) -> u64 {
        1 << self.cluster_bits
    }

    /// The size of a cluster as a power of two.
    pub(super) fn cluster_bits(&self) -> u64 {
        self.cluster_bits
    }

    /// Bytes of an entry of an L2 table.
    pub(super) fn l2_entry(&self) -> usize {
        if self.has_subclusters() { 16 } else { 8 }
    }

    /// Whether entries of L2 tables say more of the parts of their cluster.
    pub(super) fn has_subclusters(&self) -> bool {
        self.features & EXTENDED_L2 != 0
    }

    /// Whether an image of `length` bytes can have this header.
    pub(super) fn check(&self, length: u64) -> Result<(), Unfit> {
        const CONVERT: &str = "convert it with `qemu-img convert -O qcow2`";
        if !(2..=3).contains(&self.version) {
            let wrong = format!("is a qcow image of version {}, not of 2 or 3", self.version);
            return Err(Unfit::new(wrong, CONVERT));
        }
        if self.encryption != 0 {
            return Err(Unfit::new("is encrypted", format!("decrypt it: {CONVERT}")));
        }
        if self.features & EXTERNAL_DATA != 0 {
            return Err(Unfit::new("is a qcow2 image that keeps its data in another file", CONVERT));
        }
        if self.features & CORRUPT != 0 {
            let cure = "repair it with `qemu-img check -r all`, or copy or download it anew";
            return Err(Unfit::new("is a qcow2 image that QEMU has marked as damaged", cure));
        }
        if let Some(damage) = self.damage() {
            let cure = "copy or download it anew; `qemu-img check` tells more";
            return Err(Unfit::new(format!("is a damaged qcow2 image: {damage}"), cure));
        }
        let ends = [
            self.l1_offset.checked_add(self.l1_entries * 8),
            self.refcounts_offset.checked_add(self.refcounts_clusters * self.cluster()),
        ];
        let whole = ends.iter().all(|end| end.is_some_and(|end| end <= length));
        if whole { Ok(()) } else { Err(truncated()) }
    }

    /// What no header says, to be read after a colon. QEMU refuses the same.
    fn damage(&self) -> Option<String> {
        let bits = self.cluster_bits;
        if !(9..=21).contains(&bits) {
            return Some(format!("its clusters have 2^{bits} bytes"));
        }
        if self.has_subclusters() && bits < 14 {
            return Some(format!("its clusters of 2^{bits} bytes have subclusters"));
        }
        if self.version == 3 && !(104..=self.cluster()).contains(&self.length) {
            return Some(format!("its header has {} bytes", self.length));
        }
        if self.size == 0 {
            return Some("its disk has no bytes".to_owned());
        }
        if self.l1_entries * 8 > LARGEST_L1 {
            return Some("its L1 table is larger than 32 MiB".to_owned());
        }
        // What one L2 table, which is a cluster, refers to.
        let reach = self.cluster() / self.l2_entry() as u64 * self.cluster();
        if self.size.div_ceil(reach) > self.l1_entries {
            return Some("its L1 table is too small for its disk".to_owned());
        }
        if self.refcounts_clusters == 0 {
            return Some("it has no refcount table".to_owned());
        }
        for (table, offset) in [("L1", self.l1_offset), ("refcount", self.refcounts_offset)] {
            if offset == 0 || offset % self.cluster() != 0 {
                return Some(format!("its {table} table begins inside a cluster or its header"));
            }
        }
        self.backing_damage()
    }

    fn backing_damage(&self) -> Option<String> {
        if self.backing_offset == 0 {
            return None;
        }
        if !(1..=LONGEST_NAME).contains(&self.backing_length) {
            return Some(format!("its backing file's name has {} bytes", self.backing_length));
        }
        let end = self.backing_offset.checked_add(self.backing_length);
        end.is_none_or(|end| end > self.cluster())
            .then(|| "its backing file's name lies outside its first cluster".to_owned())
    }

    /// What the image is based on, by a header that has been checked.
    pub(super) fn backing(&self, file: &File, head: &[u8]) -> Result<Option<Backing>, Unfit> {
        if self.backing_offset == 0 {
            return Ok(None);
        }
        let mut name = vec![0; usize::try_from(self.backing_length).unwrap_or_default()];
        file.read_exact_at(&mut name, self.backing_offset).map_err(|error| Unfit::unreadable(&error))?;
        Ok(Some(Backing { name: OsString::from_vec(name), format: self.backing_format(head) }))
    }

    /// Looks through the header extensions: type, length, data padded to 8 bytes.
    fn backing_format(&self, head: &[u8]) -> Option<String> {
        let mut rest = head.get(usize::try_from(self.length).ok()?..)?;
        loop {
            let (kind, length) = (be::<4>(rest, 0)?, usize::try_from(be::<4>(rest, 4)?).ok()?);
            let data = rest.get(8..)?.get(..length)?;
            match kind {
                0 => return None,
                BACKING_FORMAT => return Some(String::from_utf8_lossy(data).into_owned()),
                _ => rest = rest.get(8 + length.next_multiple_of(8)..)?,
            }
        }
    }
}
