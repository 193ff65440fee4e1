//! What a guest boots from: its kernel's modules, as many as it needs to find its root, and one small program that does so.
//!
//! The program is `init/`, compiled into this crate. The archive is written as the kernel reads it (Documentation/driver-api/early-userspace/
//! buffer-format.rst), uncompressed, because unpacking costs an emulated guest more time than reading.

mod plan;

use std::io::{self, Cursor};
use std::path::PathBuf;

use cpio::NewcBuilder;
use cpio::newc::ModeFileType;
use driver_core::guest_files::Change;
use driver_core::network::Attachment;

use crate::kernel::{self, Kernel, KernelError, Modules};
use crate::volume::Volume;
pub use plan::HasNul;

static INIT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/init"));

/// Modules that every guest needs: the bus, the command channel, the network, and randomness, without which a boot can hang.
const ALWAYS: [&str; 4] = ["virtio_pci", "virtio_console", "virtio_net", "virtio_rng"];

/// Modules that a guest can do without, or has built in: pointer and keyboard as programs see them, word of a panic, and the checksums of
/// ext4 and btrfs, which load it by a name that no list of dependencies has.
const IF_THERE: [&str; 4] = ["virtio_input", "evdev", "pvpanic_pci", "crc32c_generic"];

/// What a guest finds at its start.
#[derive(Clone, Copy, Debug)]
pub struct Contents<'a> {
    /// Its root.
    pub root: Source<'a>,
    /// Its network interfaces, named and addressed before its init starts.
    pub attachments: &'a [Attachment],
    /// Directories of the host's that it sees.
    pub shares: &'a [Share],
    /// Directories that are in memory, whatever the root has there.
    pub scratch: &'a [Scratch<'a>],
    /// Modes of files and directories by their paths below the root, of those that are there.
    pub modes: &'a [(&'a str, u32)],
    /// What is changed in its root's files before its init starts; not if the last one, which must be a file, has been made already: then an
    /// earlier boot has made all.
    pub changes: &'a [Change],
    /// Where its init can be. The first that is there is taken.
    pub inits: &'a [&'a str],
}

/// Where a guest's root comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source<'a> {
    /// A virtiofs share, which is never written to.
    Share {
        /// Its tag.
        tag: &'a str,
        /// Where the guest's changes go.
        upper: Upper<'a>,
    },
    /// A disk of the guest's own, which its init fills.
    Empty {
        /// Its device, with an ext4 file system.
        device: &'a str,
        /// The tag of the virtiofs share that is the guest's Nix store.
        store: &'a str,
    },
    /// A disk, written to as it is.
    Disk {
        /// Its device, such as `/dev/vda`.
        device: &'a str,
        /// Which of its file systems may be the root. The first that has an init is taken.
        volumes: &'a [Volume],
    },
}

/// Where a guest's changes to a read-only root go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upper<'a> {
    /// Its memory: they are lost when it reboots.
    Memory,
    /// A disk with an ext4 file system.
    Disk(&'a str),
}

/// A directory of the host's that a guest sees, read-only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// Where it comes from.
    pub place: Place,
    /// Where the guest has it.
    pub target: String,
}

/// Where a guest finds a directory of the host's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// At the virtiofs device with this tag.
    Tag(String),
    /// On this disk, an ext4 file system.
    Disk(String),
}

/// A directory that is in memory, and empty at each boot but for what is written into it then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scratch<'a> {
    /// Where the guest has it.
    pub target: &'a str,
    /// Its permissions.
    pub mode: u32,
    /// What is written into it.
    pub changes: &'a [Change],
}

/// Why an initramfs cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InitramfsError {
    /// The kernel or a module of it.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// A name, path or content.
    #[error(transparent)]
    HasNul(#[from] HasNul),
}

/// Checks that a kernel has the modules for such a root.
pub fn check(kernel: &Kernel, root: &Source<'_>) -> Result<(), KernelError> {
    files(kernel, root).map(drop)
}

/// Makes the archive for QEMU's `-initrd`. Blocks while it reads and unpacks modules.
pub fn build(kernel: &Kernel, contents: &Contents<'_>) -> Result<Vec<u8>, InitramfsError> {
    let files = files(kernel, &contents.root)?;
    let mut modules = Vec::with_capacity(files.len());
    for (number, file) in files.iter().enumerate() {
        modules.push((format!("/modules/{number}-{}.ko", kernel::module_name(file)), kernel::content(file)?));
    }
    let names: Vec<String> = modules.iter().map(|(name, _)| name.clone()).collect();
    let plan = plan::Plan::of(contents, &names)?;
    Ok(archive(&modules, &plan).expect("writing to memory does not fail"))
}

/// The files of the modules that are loaded, in order.
fn files(kernel: &Kernel, root: &Source<'_>) -> Result<Vec<PathBuf>, KernelError> {
    let modules = Modules::of(kernel)?;
    let mut wanted = ALWAYS.to_vec();
    match root {
        Source::Share { upper: Upper::Memory, .. } => wanted.extend(["virtiofs", "overlay"]),
        Source::Share { upper: Upper::Disk(_), .. } => wanted.extend(["virtiofs", "overlay", "virtio_blk", "ext4"]),
        Source::Empty { .. } => wanted.extend(["virtiofs", "virtio_blk", "ext4"]),
        Source::Disk { volumes, .. } => {
            wanted.push("virtio_blk");
            wanted.extend(volumes.iter().map(|volume| volume.kind.name()));
        }
    }
    wanted.extend(IF_THERE.into_iter().filter(|module| modules.has(module)));
    modules.files(&wanted)
}

fn archive(modules: &[(String, Vec<u8>)], plan: &[u8]) -> io::Result<Vec<u8>> {
    let mut entries = vec![
        directory("dev"),
        // The kernel gives it to the first program as its input and output.
        node("dev/console", 5, 1),
        directory("modules"),
        file("init", 0o755, INIT),
        file("plan", 0o600, plan),
    ];
    entries.extend(modules.iter().map(|(name, content)| file(name.trim_start_matches('/'), 0o600, content)));
    cpio::write_cpio(entries.into_iter(), Vec::new())
}

type Entry<'a> = (NewcBuilder, Cursor<&'a [u8]>);

fn file<'a>(name: &str, mode: u32, content: &'a [u8]) -> Entry<'a> {
    (NewcBuilder::new(name).mode(mode).set_mode_file_type(ModeFileType::Regular), Cursor::new(content))
}

fn directory(name: &str) -> Entry<'static> {
    (NewcBuilder::new(name).mode(0o755).set_mode_file_type(ModeFileType::Directory), Cursor::new(&[]))
}

fn node(name: &str, major: u32, minor: u32) -> Entry<'static> {
    let entry = NewcBuilder::new(name).mode(0o600).set_mode_file_type(ModeFileType::Char);
    (entry.rdev_major(major).rdev_minor(minor), Cursor::new(&[]))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::io::Read;

    use cpio::NewcReader;

    use super::*;
    use crate::volume::FileSystem;

    /// The entries of an archive: mode and content by name.
    fn read(archive: &[u8]) -> BTreeMap<String, (u32, Vec<u8>)> {
        let mut entries = BTreeMap::new();
        let mut rest = archive;
        loop {
            let mut reader = NewcReader::new(rest).unwrap();
            let entry = reader.entry();
            if entry.is_trailer() {
                return entries;
            }
            let (name, mode) = (entry.name().to_owned(), entry.mode());
            let mut content = Vec::new();
            reader.read_to_end(&mut content).unwrap();
            entries.insert(name, (mode, content));
            rest = reader.finish().unwrap();
        }
    }

    fn kernel(directory: &std::path::Path, names: &[&str]) -> Kernel {
        let list: Vec<String> = names.iter().map(|name| format!("kernel/{name}.ko:")).collect();
        fs::create_dir_all(directory.join("kernel")).unwrap();
        fs::write(directory.join("modules.dep"), list.join("\n")).unwrap();
        for name in names {
            fs::write(directory.join(format!("kernel/{name}.ko")), name).unwrap();
        }
        Kernel {
            image: directory.join("vmlinuz"),
            release: "6.1".into(),
            modules: Some(directory.to_owned()),
            root: "/".into(),
        }
    }

    const ROOT: Source<'_> = Source::Share { tag: "root", upper: Upper::Memory };

    #[test]
    fn an_archive_has_init_plan_modules_and_a_console() {
        let directory = tempfile::tempdir().unwrap();
        let kernel = kernel(
            directory.path(),
            &["virtio_pci", "virtio_console", "virtio_net", "virtio-rng", "virtiofs", "overlay"],
        );
        let contents = Contents {
            root: ROOT,
            attachments: &[],
            shares: &[],
            scratch: &[],
            modes: &[],
            changes: &[],
            inits: &["/sbin/init"],
        };
        let entries = read(&build(&kernel, &contents).unwrap());
        assert_eq!(entries["init"], (0o100_755, INIT.to_vec()));
        assert_eq!(entries["dev/console"].0, 0o020_600);
        assert_eq!(entries["modules/3-virtio_rng.ko"], (0o100_600, b"virtio-rng".to_vec()));
        assert_eq!(entries.keys().filter(|name| name.starts_with("modules/")).count(), 6);
        assert!(entries["plan"].1.starts_with(b"module\0/modules/0-virtio_pci.ko\0"));
        // A program that needs an interpreter would not start where there are no libraries.
        assert!(INIT.starts_with(b"\x7fELF") && !INIT.windows(14).any(|text| text == b"/lib64/ld-linu"));
    }

    #[test]
    fn a_kernel_that_lacks_a_module_is_refused_before_anything_starts() {
        let directory = tempfile::tempdir().unwrap();
        let kernel = kernel(directory.path(), &["virtio_pci", "virtio_console", "virtio_net", "virtio-rng", "overlay"]);
        let error = check(&kernel, &ROOT).unwrap_err();
        assert!(error.to_string().contains("no module `virtiofs`"), "{error}");
        let btrfs = [Volume { partition: Some(1), kind: FileSystem::Btrfs }];
        let error = check(&kernel, &Source::Disk { device: "/dev/vda", volumes: &btrfs }).unwrap_err();
        assert!(error.to_string().contains("no module `virtio_blk`"), "{error}");
        let with_disks = self::kernel(directory.path(), &[&ALWAYS[..], &["virtio_blk"]].concat());
        let error = check(&with_disks, &Source::Disk { device: "/dev/vda", volumes: &btrfs }).unwrap_err();
        assert!(error.to_string().contains("no module `btrfs`"), "{error}");
        check(&with_disks, &Source::Disk { device: "/dev/vda", volumes: &[] }).unwrap();
    }
}
