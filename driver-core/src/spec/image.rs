//! Disks that are kept in files, told by what is in them.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::bytes::has;
use super::file::{absolute, regular};
use super::qcow2::{self, Backing};
use super::report::{Report, quote, unusable};
use super::{Image, ImageFormat, raw};

/// What files can be taken for a disk by mistake, by their first bytes, with the cure.
const FOREIGN: [(&[u8], &str, &str); 6] = [
    (b"\x1f\x8b", "is compressed by gzip", UNPACK),
    (b"\xfd7zXZ\0", "is compressed by xz", UNPACK),
    (b"\x28\xb5\x2f\xfd", "is compressed by zstd", UNPACK),
    (b"KDMV", "is a VMDK image", CONVERT),
    (b"vhdxfile", "is a VHDX image", CONVERT),
    (b"<<< ", "is a VDI image", CONVERT),
];

/// What to do about an image of which a part is missing or wrong.
pub(super) const ANEW: &str = "copy or download it anew";

const UNPACK: &str = "unpack it first";
const CONVERT: &str = "convert it with `qemu-img convert -O qcow2`";

/// More files than anyone bases on one another; a ring of them has no end.
const LONGEST_CHAIN: usize = 100;

/// Why a file is no disk that can be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unfit {
    /// Reads after the file's name.
    pub(super) wrong: String,
    /// What to do.
    pub(super) cure: String,
}

impl Unfit {
    pub(super) fn new(wrong: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { wrong: wrong.into(), cure: cure.into() }
    }

    pub(super) fn unreadable(error: &io::Error) -> Self {
        Self::new(unusable(error), "name a disk image that exists and that you may read")
    }
}

/// Looks at the file at `path`, and tells `report` why it cannot be used. `unknown` is what to say of a file that is no image at all, to be
/// read after its name, with the cure.
pub(super) fn read(path: &Path, unknown: (&str, &str), report: &mut Report<'_>) -> Option<Image> {
    let found = examine(path).and_then(|found| found.ok_or_else(|| Unfit::new(unknown.0, unknown.1)));
    match found {
        Ok(format) => Some(Image { path: absolute(path.to_owned()), format }),
        Err(Unfit { wrong, cure }) => {
            report.problem(format!("{} {wrong}", quote(&path.to_string_lossy())), cure);
            None
        }
    }
}

/// How a disk is kept in a file, with all that the file is based on checked, too. None for what is no disk that is known.
fn examine(path: &Path) -> Result<Option<ImageFormat>, Unfit> {
    let (format, mut next) = examine_one(path)?;
    let mut image = path.to_owned();
    for _ in 0..LONGEST_CHAIN {
        let Some(backing) = next else { return Ok(format) };
        image = backing_path(&image, &backing)?;
        let based_on = |unfit: Unfit| {
            Unfit::new(format!("is based on {}, which {}", quote(&image.to_string_lossy()), unfit.wrong), unfit.cure)
        };
        next = examine_backing(&image, backing.format.as_deref()).map_err(based_on)?;
    }
    let wrong = format!("is based on itself, or on more than {LONGEST_CHAIN} other images");
    Err(Unfit::new(wrong, format!("make one image of all: {CONVERT}")))
}

/// How a disk is kept in a file, and what the file is based on.
fn examine_one(path: &Path) -> Result<(Option<ImageFormat>, Option<Backing>), Unfit> {
    let (file, head, length) = open(path).map_err(|error| Unfit::unreadable(&error))?;
    if length == 0 {
        return Err(Unfit::new("is empty", ANEW));
    }
    if head.starts_with(qcow2::MAGIC) {
        return Ok((Some(ImageFormat::Qcow2), qcow2::examine(&file, &head, length)?));
    }
    if let Some((_, wrong, cure)) = FOREIGN.iter().find(|(magic, ..)| has(&head, 0, magic)) {
        return Err(Unfit::new(*wrong, *cure));
    }
    match raw::examine(&head, length) {
        None => Ok((None, None)),
        Some(Ok(())) => Ok((Some(ImageFormat::Raw), None)),
        Some(Err(unfit)) => Err(unfit),
    }
}

/// A file with its beginning and its length.
fn open(path: &Path) -> io::Result<(File, Vec<u8>, u64)> {
    regular(path)?;
    let file = File::open(path)?;
    let mut head = Vec::new();
    (&file).take(raw::HEAD).read_to_end(&mut head)?;
    let length = file.metadata()?.len();
    Ok((file, head, length))
}

/// Where the file is that an image is based on: QEMU looks beside the image.
fn backing_path(image: &Path, backing: &Backing) -> Result<PathBuf, Unfit> {
    let name = backing.name.to_string_lossy();
    // QEMU takes what comes before the first colon for a protocol, unless a slash does.
    if name.split('/').next().is_some_and(|first| first.contains(':')) {
        let wrong = format!("is based on {}, which is no file's path", quote(&name));
        return Err(Unfit::new(wrong, format!("make one image of both: {CONVERT}")));
    }
    Ok(image.parent().unwrap_or(Path::new("")).join(&backing.name))
}

/// Checks a file that an image is based on, and tells what that one is based on.
fn examine_backing(path: &Path, format: Option<&str>) -> Result<Option<Backing>, Unfit> {
    match format {
        // Without the name of a format, QEMU takes what it does not know for a raw disk.
        None => Ok(examine_one(path)?.1),
        Some("qcow2") => match examine_one(path)? {
            (Some(ImageFormat::Qcow2), next) => Ok(next),
            _ => Err(Unfit::new("is no qcow2 image", "name its format with `qemu-img rebase -u -F`")),
        },
        Some(_) => match open(path).map_err(|error| Unfit::unreadable(&error))? {
            (_, _, 0) => Err(Unfit::new("is empty", ANEW)),
            _ => Ok(None),
        },
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::super::qcow2::tests::{based_on, sample};
    use super::super::raw::tests::partitioned;
    use super::*;

    fn directory(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, content) in files {
            fs::write(directory.path().join(name), content).unwrap();
        }
        directory
    }

    /// What is said of a file, without the directory's name.
    fn said(directory: &tempfile::TempDir, name: &str) -> String {
        let mut problems = Vec::new();
        let mut report = Report::new(Path::new("t"), &mut problems);
        let path = directory.path().join(name);
        match read(&path, ("is strange", "think"), &mut report) {
            Some(image) => {
                assert_eq!((image.path, problems), (path, Vec::new()));
                format!("{:?}", image.format)
            }
            None => super::super::list(&problems).replace(&format!("{}/", directory.path().display()), ""),
        }
    }

    #[test]
    fn images_are_told_by_their_content() {
        let files = directory(&[
            ("a.raw", &sample()),
            ("b.qcow2", &partitioned()),
            ("text", b"x"),
            ("empty.qcow2", b""),
            ("cut", &sample()[..100]),
            ("odd", &[&partitioned()[..], &[0]].concat()),
            ("short", &partitioned()[..1024]),
            ("a.gz", b"\x1f\x8b\x08"),
            ("a.xz", b"\xfd7zXZ\0"),
            ("a.zst", b"\x28\xb5\x2f\xfd"),
            ("a.vmdk", b"KDMV"),
            ("a.vhdx", b"vhdxfile"),
            ("a.vdi", b"<<< Oracle VM VirtualBox Disk Image >>>"),
        ]);
        symlink("/dev/zero", files.path().join("zero")).unwrap();
        for (name, expected) in [
            ("a.raw", "Qcow2"),
            ("b.qcow2", "Raw"),
            ("text", "t: `text` is strange; think"),
            ("empty.qcow2", "t: `empty.qcow2` is empty; copy or download it anew"),
            ("cut", "t: `cut` is a truncated qcow2 image: a part of it lies beyond its end; copy or download it anew"),
            (
                "odd",
                "t: `odd` has 2049 bytes, but a disk has a multiple of 512; fill its last sector with `truncate -s %512`, or copy or download it anew",
            ),
            (
                "short",
                "t: `short` is truncated: its partition table needs 2048 bytes, but there are 1024; copy or download it anew",
            ),
            ("a.gz", "t: `a.gz` is compressed by gzip; unpack it first"),
            ("a.xz", "t: `a.xz` is compressed by xz; unpack it first"),
            ("a.zst", "t: `a.zst` is compressed by zstd; unpack it first"),
            ("a.vmdk", "t: `a.vmdk` is a VMDK image; convert it with `qemu-img convert -O qcow2`"),
            ("a.vhdx", "t: `a.vhdx` is a VHDX image; convert it with `qemu-img convert -O qcow2`"),
            ("a.vdi", "t: `a.vdi` is a VDI image; convert it with `qemu-img convert -O qcow2`"),
            (
                "zero",
                "t: `zero` cannot be read: it is no regular file; name a disk image that exists and that you may read",
            ),
            ("missing", "t: `missing` does not exist; name a disk image that exists and that you may read"),
        ] {
            assert_eq!(said(&files, name), expected);
        }
    }

    #[test]
    fn what_an_image_is_based_on_is_checked() {
        let files = directory(&[
            ("raw", &partitioned()),
            ("unknown", b"x"),
            ("cut", &sample()[..100]),
            ("empty", b""),
            ("on-raw", &based_on("raw", Some("raw"))),
            ("on-unknown", &based_on("unknown", None)),
            ("on-unknown-raw", &based_on("./unknown", Some("raw"))),
            ("on-chain", &based_on("on-raw", Some("qcow2"))),
            ("on-cut", &based_on("cut", None)),
            ("on-on-cut", &based_on("on-cut", Some("qcow2"))),
            ("on-missing", &based_on("missing", Some("raw"))),
            ("on-empty", &based_on("empty", Some("raw"))),
            ("on-device", &based_on("/dev/zero", Some("raw"))),
            ("wrong-format", &based_on("raw", Some("qcow2"))),
            ("on-server", &based_on("nbd://server/disk", Some("raw"))),
            ("ring", &based_on("ring-2", Some("qcow2"))),
            ("ring-2", &based_on("ring", None)),
        ]);
        fs::create_dir(files.path().join("sub")).unwrap();
        fs::write(files.path().join("sub/on-raw"), based_on("../raw", Some("raw"))).unwrap();
        let anew = "copy or download it anew";
        let readable = "name a disk image that exists and that you may read";
        for (name, expected) in [
            ("on-raw", "Qcow2".to_owned()),
            ("on-unknown", "Qcow2".to_owned()),
            ("on-unknown-raw", "Qcow2".to_owned()),
            ("on-chain", "Qcow2".to_owned()),
            ("sub/on-raw", "Qcow2".to_owned()),
            (
                "on-cut",
                format!("t: `on-cut` is based on `cut`, which is a truncated qcow2 image: a part of it lies beyond its end; {anew}"),
            ),
            (
                "on-on-cut",
                format!("t: `on-on-cut` is based on `cut`, which is a truncated qcow2 image: a part of it lies beyond its end; {anew}"),
            ),
            ("on-missing", format!("t: `on-missing` is based on `missing`, which does not exist; {readable}")),
            ("on-empty", format!("t: `on-empty` is based on `empty`, which is empty; {anew}")),
            (
                "on-device",
                format!("t: `on-device` is based on `/dev/zero`, which cannot be read: it is no regular file; {readable}"),
            ),
            (
                "wrong-format",
                "t: `wrong-format` is based on `raw`, which is no qcow2 image; name its format with `qemu-img rebase -u -F`".to_owned(),
            ),
            (
                "on-server",
                "t: `on-server` is based on `nbd://server/disk`, which is no file's path; make one image of both: convert it with `qemu-img convert -O qcow2`".to_owned(),
            ),
            (
                "ring",
                "t: `ring` is based on itself, or on more than 100 other images; make one image of all: convert it with `qemu-img convert -O qcow2`".to_owned(),
            ),
        ] {
            assert_eq!(said(&files, name), expected);
        }
    }
}
