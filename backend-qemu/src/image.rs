//! Disk images: what `qemu-img` says of them, and layers above them.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};

use driver_core::need::Cure;
use driver_core::spec::{Image, ImageFormat, MachineSpec, Problem};
use rustix::fs::MemfdFlags;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::volume::{self, NoRoot, Volume};

/// The program that reads and makes images.
pub(crate) const PROGRAM: &str = "qemu-img";

/// What brings that program.
pub(crate) fn cure() -> Cure {
    Cure::package("qemu-utils", "qemu-img", "qemu")
}

/// What is wrong with an image.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ImageError {
    /// What qemu-img said.
    #[error("{0}")]
    Refused(String),
    /// It is part of several files. What they are is up to whoever made it, and so it could show a guest any file of the host's.
    #[error("it needs another file, {0}")]
    NeedsAnother(String),
    #[error(transparent)]
    NoRoot(#[from] NoRoot),
    #[error("{PROGRAM}: {0}")]
    Io(#[from] io::Error),
}

impl ImageError {
    /// What the user can do.
    pub(crate) fn cure(&self) -> &'static str {
        match self {
            Self::Refused(_) => {
                "give a raw or qcow2 image that `qemu-img check` finds sound, and name its format if its file's name does not"
            }
            Self::NeedsAnother(_) => "make it one file: `qemu-img convert -O qcow2 OLD NEW`",
            Self::NoRoot(_) => {
                "give an image with the root on an ext4, xfs or btrfs file system, or with `kernel` and an `initrd` that can mount it"
            }
            Self::Io(_) => "install qemu-img: `apt-get install qemu-utils` on Debian",
        }
    }
}

/// What `qemu-img info` says, as far as it matters.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Info {
    virtual_size: u64,
    #[serde(default)]
    backing_filename: Option<String>,
    #[serde(default)]
    format_specific: Value,
}

/// An image of a machine's that cannot be used, by the key that names it.
pub(crate) fn problem(machine: &MachineSpec, key: &str, image: &Image, error: &ImageError) -> Problem {
    let subject = format!("machine `{}`: key `{key}`", machine.name);
    Problem::user(subject, format!("the image {}: {error}", image.path.display()), error.cure())
}

/// The name of a format to QEMU.
pub(crate) fn format(image: &Image) -> &'static str {
    match image.format {
        ImageFormat::Raw => "raw",
        ImageFormat::Qcow2 => "qcow2",
    }
}

/// Checks that an image can be used, and returns the disk's size in bytes.
pub(crate) fn check(image: &Image) -> Result<u64, ImageError> {
    // qemu-img would say of some of these that they are empty disks.
    File::open(&image.path)
        .and_then(|file| file.read_at(&mut [0], 0))
        .map_err(|error| ImageError::Refused(error.to_string()))?;
    // Without its backing file, which is not to be opened.
    let mut source = source(image);
    if image.format == ImageFormat::Qcow2 {
        source["backing"] = Value::Null;
    }
    let said = run(Command::new(PROGRAM).args(["info", "--output=json"]).arg(name(&source)))?;
    let info: Info = serde_json::from_slice(&said).map_err(io::Error::from)?;
    let data_file = info.format_specific["data"]["data-file"].as_str().map(str::to_owned);
    match info.backing_filename.or(data_file) {
        Some(other) => Err(ImageError::NeedsAnother(other)),
        None if info.virtual_size == 0 => Err(ImageError::Refused("it is empty".into())),
        None => Ok(info.virtual_size),
    }
}

/// The volumes that can be its root; see [`volume::roots`].
pub(crate) fn roots(image: &Image, root_type: &str) -> Result<Vec<Volume>, ImageError> {
    let size = check(image)?;
    let read = |offset, length| read(image, size, offset, length).map_err(io::Error::other);
    Ok(volume::roots(root_type, read)?)
}

/// Makes a layer above an image, at `target`.
pub(crate) fn layer(image: &Image, target: &Path) -> Result<(), ImageError> {
    let mut create = Command::new(PROGRAM);
    create.args(["create", "-q", "-f", "qcow2", "-F", format(image), "-b"]).arg(&image.path).arg(target);
    run(&mut create).map(drop)
}

/// Reads a part of the disk, as far as it goes.
fn read(image: &Image, size: u64, offset: u64, length: usize) -> Result<Vec<u8>, ImageError> {
    // In whole sectors, as QEMU wants it.
    let length = size.saturating_sub(offset).min(length as u64).next_multiple_of(512);
    let rest = size.next_multiple_of(512).saturating_sub(offset);
    let length = length.min(rest);
    if length == 0 {
        return Ok(Vec::new());
    }
    let part = json!({ "driver": "raw", "offset": offset, "size": length, "file": source(image) });
    let memory = File::from(rustix::fs::memfd_create("part", MemfdFlags::CLOEXEC).map_err(io::Error::from)?);
    let target = format!("/proc/{}/fd/{}", std::process::id(), memory.as_raw_fd());
    run(Command::new(PROGRAM).args(["convert", "-O", "raw"]).arg(name(&part)).arg(target))?;
    let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    memory.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

/// An image as QEMU's block layer has it, which reads no meaning into a file's name.
fn source(image: &Image) -> Value {
    json!({ "driver": format(image), "file": { "driver": "file", "filename": image.path } })
}

fn name(source: &Value) -> String {
    format!("json:{source}")
}

fn run(command: &mut Command) -> Result<Vec<u8>, ImageError> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().last().unwrap_or("it failed without a word");
    // `qemu-img: Could not open 'json:{...}': WHY`
    let why = last.rsplit_once("': ").map_or(last, |(_, why)| why);
    Err(ImageError::Refused(why.to_owned()))
}
