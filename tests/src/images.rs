//! Disk images for machines.

use std::fs::{self, File};
use std::hash::Hasher;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{FlockOperation, flock};

use crate::roots::{SmallRoot, cache, run};

const MIB: u64 = 1024 * 1024;

/// The size of the root's file system in MiB.
const SIZE: u64 = 600;

/// The small Debian of [`SmallRoot`] as disk images. They lie in the user's cache and stay there.
#[derive(Clone, Debug)]
pub struct SmallImages {
    /// Raw, and one ext4 file system from its first byte to its last.
    pub whole: PathBuf,
    /// qcow2, with a GPT: an ext4 file system without a root in it, and then the root. No type says which is which.
    pub partitioned: PathBuf,
}

impl SmallImages {
    /// Takes the images from the cache, or builds them from `root`. That needs mke2fs, sfdisk and qemu-img.
    pub fn of(root: &SmallRoot) -> io::Result<Self> {
        let lock = File::create(cache()?.join("lock-images"))?;
        flock(&lock, FlockOperation::LockExclusive)?;
        let images =
            Self { whole: root.directory.with_extension("img"), partitioned: root.directory.with_extension("qcow2") };
        if images.partitioned.exists() {
            return Ok(images);
        }
        let unfinished = images.whole.with_extension("new");
        file_system(&unfinished, SIZE, Some(&root.directory))?;
        fs::rename(&unfinished, &images.whole)?;
        partition(&images.whole, &unfinished)?;
        fs::rename(&unfinished, &images.partitioned)?;
        Ok(images)
    }
}

/// Makes an ext4 file system of this many MiB, with the files of a directory.
pub fn file_system(path: &Path, size: u64, files: Option<&Path>) -> io::Result<()> {
    File::create(path)?;
    let mut mke2fs = Command::new("mke2fs");
    mke2fs.args(["-q", "-F", "-t", "ext4"]);
    if let Some(files) = files {
        mke2fs.arg("-d").arg(files);
    }
    run(mke2fs.arg(path).arg(format!("{size}M")))
}

fn partition(root: &Path, target: &Path) -> io::Result<()> {
    let (raw, empty) = (target.with_extension("raw"), target.with_extension("empty"));
    file_system(&empty, 8, None)?;
    File::create(&raw)?.set_len((SIZE + 16) * MIB)?;
    let mut sfdisk = Command::new("sfdisk");
    let mut sfdisk = sfdisk.arg("--quiet").arg(&raw).stdin(Stdio::piped()).spawn()?;
    let table = format!("label: gpt\nstart=1MiB, size=8MiB, type=linux\nstart=10MiB, size={SIZE}MiB, type=linux\n");
    sfdisk.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?.write_all(table.as_bytes())?;
    if !sfdisk.wait()?.success() {
        return Err(io::Error::other("sfdisk failed"));
    }
    for (from, at) in [(&empty, 1), (&root.to_owned(), 10)] {
        let mut dd = Command::new("dd");
        let (from, to) = (format!("if={}", from.display()), format!("of={}", raw.display()));
        run(dd.args([&from, &to, "bs=1M", &format!("seek={at}"), "conv=notrunc,sparse", "status=none"]))?;
    }
    run(Command::new("qemu-img").args(["convert", "-f", "raw", "-O", "qcow2"]).arg(&raw).arg(target))?;
    fs::remove_file(raw)?;
    fs::remove_file(empty)
}

/// A number that differs for files that differ.
pub fn sum(path: &Path) -> io::Result<u64> {
    let mut hasher = std::hash::DefaultHasher::new();
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finish()),
            length => hasher.write(&buffer[..length]),
        }
    }
}
