//! Disks in QEMU's own format, as QEMU's docs/interop/qcow2.txt has it.
//!
//! `header` says what the format lets a header say, `tables` whether all that the image refers to is in the file.

mod header;
mod tables;

use std::ffi::OsString;
use std::fs::File;

use super::image::{ANEW, Unfit};
use header::Header;

/// The first bytes of every version.
pub(super) const MAGIC: &[u8] = b"QFI\xfb";

/// What an image has where it has nothing of its own.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Backing {
    /// A path relative to the image, or what else QEMU takes for a disk.
    pub(super) name: OsString,
    /// The name of its format, where the image tells one.
    pub(super) format: Option<String>,
}

/// Checks an image of `length` bytes that begins with `head`, and tells what it is based on.
pub(super) fn examine(file: &File, head: &[u8], length: u64) -> Result<Option<Backing>, Unfit> {
    let header = Header::read(head).ok_or_else(truncated)?;
    header.check(length)?;
    if tables::lead_beyond(file, &header, length)? {
        return Err(truncated());
    }
    header.backing(file, head)
}

fn truncated() -> Unfit {
    Unfit::new("is a truncated qcow2 image: a part of it lies beyond its end", ANEW)
}

#[cfg(test)]
pub(super) mod tests {
    use std::fs;
    use std::io::Write;
    use std::path::Path;

    use super::*;

    /// The bytes of an image of version 3 with one data cluster: header, refcount table, refcount block, L1 table, L2 table, data.
    pub(in super::super) fn sample() -> Vec<u8> {
        const CLUSTER: usize = 512;
        let mut image = vec![0; 6 * CLUSTER];
        let mut put = |offset: usize, bytes: &[u8]| image[offset..offset + bytes.len()].copy_from_slice(bytes);
        put(0, MAGIC);
        put(4, &3_u32.to_be_bytes());
        put(20, &9_u32.to_be_bytes());
        // All that one L2 table refers to.
        put(24, &(64 * 512_u64).to_be_bytes());
        put(36, &1_u32.to_be_bytes());
        put(40, &(3 * 512_u64).to_be_bytes());
        put(48, &512_u64.to_be_bytes());
        put(56, &1_u32.to_be_bytes());
        put(96, &4_u32.to_be_bytes());
        put(100, &104_u32.to_be_bytes());
        put(512, &1024_u64.to_be_bytes());
        put(3 * 512, &((4 * 512_u64) | (1 << 63)).to_be_bytes());
        put(4 * 512 + 8, &((5 * 512_u64) | (1 << 63)).to_be_bytes());
        image
    }

    /// The same, based on another file.
    pub(in super::super) fn based_on(name: &str, format: Option<&str>) -> Vec<u8> {
        let mut image = sample();
        if let Some(format) = format {
            image[104..108].copy_from_slice(&0xe279_2aca_u32.to_be_bytes());
            image[108..112].copy_from_slice(&u32::try_from(format.len()).unwrap().to_be_bytes());
            image[112..112 + format.len()].copy_from_slice(format.as_bytes());
        }
        image[8..16].copy_from_slice(&256_u64.to_be_bytes());
        image[16..20].copy_from_slice(&u32::try_from(name.len()).unwrap().to_be_bytes());
        image[256..256 + name.len()].copy_from_slice(name.as_bytes());
        image
    }

    fn examined(image: &[u8]) -> Result<Option<Backing>, Unfit> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(image).unwrap();
        examine(&file, image, image.len() as u64)
    }

    /// What is said of the sample with `bytes` at `offset`.
    fn said(offset: usize, bytes: &[u8]) -> String {
        let mut image = sample();
        image[offset..offset + bytes.len()].copy_from_slice(bytes);
        examined(&image).map_or_else(|unfit| unfit.wrong, |backing| format!("{backing:?}"))
    }

    #[test]
    fn a_whole_image_passes() {
        assert_eq!(examined(&sample()), Ok(None));
        // Version 2 has a shorter header, whatever follows it.
        assert_eq!(said(4, &2_u32.to_be_bytes()), "None");
    }

    #[test]
    fn an_image_cut_off_anywhere_is_refused() {
        let image = sample();
        // QEMU reads what is left of the last cluster, as it does where an image's size is no multiple of a cluster's.
        for length in MAGIC.len()..=image.len() - 512 {
            let unfit = examined(&image[..length]).unwrap_err();
            assert!(unfit.wrong.starts_with("is a truncated qcow2 image"), "{length}: {}", unfit.wrong);
        }
    }

    #[test]
    fn no_byte_of_the_tables_makes_it_panic() {
        let image = sample();
        for offset in 0..image.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut image = image.clone();
                image[offset] = value;
                let _ = examined(&image);
            }
        }
    }

    #[test]
    fn headers_that_cannot_be_are_told() {
        for (offset, bytes, expected) in [
            (4, &1_u32.to_be_bytes()[..], "is a qcow image of version 1, not of 2 or 3"),
            (4, &4_u32.to_be_bytes(), "is a qcow image of version 4, not of 2 or 3"),
            (20, &8_u32.to_be_bytes(), "is a damaged qcow2 image: its clusters have 2^8 bytes"),
            (20, &22_u32.to_be_bytes(), "is a damaged qcow2 image: its clusters have 2^22 bytes"),
            (20, &u32::MAX.to_be_bytes(), "is a damaged qcow2 image: its clusters have 2^4294967295 bytes"),
            (24, &0_u64.to_be_bytes(), "is a damaged qcow2 image: its disk has no bytes"),
            (24, &(64 * 512 + 1_u64).to_be_bytes(), "is a damaged qcow2 image: its L1 table is too small for its disk"),
            (24, &u64::MAX.to_be_bytes(), "is a damaged qcow2 image: its L1 table is too small for its disk"),
            (32, &1_u32.to_be_bytes(), "is encrypted"),
            (32, &2_u32.to_be_bytes(), "is encrypted"),
            (36, &0_u32.to_be_bytes(), "is a damaged qcow2 image: its L1 table is too small for its disk"),
            (36, &u32::MAX.to_be_bytes(), "is a damaged qcow2 image: its L1 table is larger than 32 MiB"),
            (40, &0_u64.to_be_bytes(), "is a damaged qcow2 image: its L1 table begins inside a cluster or its header"),
            (
                40,
                &1537_u64.to_be_bytes(),
                "is a damaged qcow2 image: its L1 table begins inside a cluster or its header",
            ),
            (
                48,
                &0_u64.to_be_bytes(),
                "is a damaged qcow2 image: its refcount table begins inside a cluster or its header",
            ),
            (56, &0_u32.to_be_bytes(), "is a damaged qcow2 image: it has no refcount table"),
            (40, &(1_u64 << 62).to_be_bytes(), "is a truncated qcow2 image: a part of it lies beyond its end"),
            (56, &u32::MAX.to_be_bytes(), "is a truncated qcow2 image: a part of it lies beyond its end"),
            (72, &2_u64.to_be_bytes(), "is a qcow2 image that QEMU has marked as damaged"),
            (72, &4_u64.to_be_bytes(), "is a qcow2 image that keeps its data in another file"),
            (72, &16_u64.to_be_bytes(), "is a damaged qcow2 image: its clusters of 2^9 bytes have subclusters"),
            (100, &96_u32.to_be_bytes(), "is a damaged qcow2 image: its header has 96 bytes"),
            (100, &1024_u32.to_be_bytes(), "is a damaged qcow2 image: its header has 1024 bytes"),
            (16, &1024_u32.to_be_bytes(), "None"),
            (
                8,
                &[0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 4, 0],
                "is a damaged qcow2 image: its backing file's name has 1024 bytes",
            ),
            (8, &[0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0], "is a damaged qcow2 image: its backing file's name has 0 bytes"),
            (
                8,
                &[0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 1],
                "is a damaged qcow2 image: its backing file's name lies outside its first cluster",
            ),
            (
                8,
                &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1],
                "is a damaged qcow2 image: its backing file's name lies outside its first cluster",
            ),
            // The dirty bit alone does no harm to who only reads.
            (72, &1_u64.to_be_bytes(), "None"),
        ] {
            assert_eq!(said(offset, bytes), expected);
        }
    }

    #[test]
    fn clusters_beyond_the_end_are_seen() {
        let truncated = "is a truncated qcow2 image: a part of it lies beyond its end";
        let l1 = 3 * 512;
        let l2 = 4 * 512;
        for (offset, entry, expected) in [
            (l1, 6 * 512, truncated),
            (l1, u64::MAX, truncated),
            (l1, 0, "None"),
            (l2, 6 * 512, truncated),
            (l2, 5 * 512, "None"),
            // All zeros; the cluster is only kept for later.
            (l2, (6 * 512) | 1, "None"),
            // Compressed: 62 bits, the upper one of which counts further sectors when a cluster has 512 bytes.
            (l2, 1 << 62 | (5 * 512 + 7), "None"),
            (l2, 1 << 62 | 1 << 61 | (5 * 512 + 7), truncated),
            (l2, 1 << 62 | (6 * 512), truncated),
            (l2 + 504, 6 * 512, truncated),
        ] {
            assert_eq!(said(offset, &u64::to_be_bytes(entry)), expected, "{offset} {entry:#x}");
        }
    }

    #[test]
    fn what_an_image_is_based_on_is_read() {
        let backing =
            |name: &str, format: Option<&str>| Backing { name: name.into(), format: format.map(str::to_owned) };
        for format in [None, Some("raw"), Some("qcow2")] {
            assert_eq!(examined(&based_on("base.img", format)), Ok(Some(backing("base.img", format))));
        }
        // Version 2 has its extensions after a shorter header, and these bytes end the list there.
        let mut image = based_on("é", None);
        image[7] = 2;
        assert_eq!(examined(&image), Ok(Some(backing("é", None))));
        // An extension that is longer than the cluster ends the list.
        let mut image = based_on("b", Some("raw"));
        image[108..112].fill(0xff);
        assert_eq!(examined(&image), Ok(Some(backing("b", None))));
    }

    /// Images as QEMU makes them, where it is installed.
    #[test]
    fn images_of_qemus_own_pass_until_they_are_cut_off() {
        let directory = tempfile::tempdir().unwrap();
        let raw = directory.path().join("disk.raw");
        let mut content = vec![0; 5 << 20];
        let mut seed = 1_u32;
        for byte in &mut content[1 << 20..4 << 20] {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = seed.to_be_bytes()[0];
        }
        fs::write(&raw, content).unwrap();
        let options: [&[&str]; 6] = [
            &[],
            &["-c"],
            &["-o", "compat=0.10"],
            &["-o", "cluster_size=512"],
            &["-o", "cluster_size=2M"],
            &["-o", "extended_l2=on"],
        ];
        for options in options {
            let path = directory.path().join("disk.qcow2");
            let made = std::process::Command::new("qemu-img")
                .args(["convert", "-O", "qcow2"])
                .args(options)
                .args([&raw, &path])
                .stderr(std::process::Stdio::null())
                .status();
            // An older QEMU may lack an option.
            if !made.is_ok_and(|status| status.success()) {
                eprintln!("skipped: no qemu-img that takes {options:?}");
                continue;
            }
            let whole = fs::read(&path).unwrap();
            assert_eq!(examined_at(&path), Ok(None), "{options:?}");
            // Less than the last cluster may be gone unseen, and of the largest that is an eighth.
            for parts in 1..7 {
                fs::write(&path, &whole[..whole.len() / 8 * parts]).unwrap();
                assert!(examined_at(&path).is_err(), "{options:?}, {parts}/8");
            }
        }
    }

    fn examined_at(path: &Path) -> Result<Option<Backing>, Unfit> {
        examined(&fs::read(path).unwrap())
    }
}
