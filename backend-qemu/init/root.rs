//! The machine's root file system.

use std::fs;
use std::os::unix::fs::chroot;
use std::path::Path;

use crate::kernel::{MS_MOVE, MS_NODEV, MS_NOSUID, MS_RDONLY, mount, unmount};
use crate::{Failure, at};

const ROOT: &str = "/root";
const LOWER: &str = "/lower";
const UPPER: &str = "/upper";

/// Where btrfs can have a root, by the options that mount it: at its top, or where Fedora and Ubuntu put it.
const SUBVOLUMES: [&str; 3] = ["", "subvol=root", "subvol=@"];

/// Mounts a share read-only, something writable above it, and both together as the root.
pub(crate) fn overlay(tag: &str, upper: &str) -> Result<(), Failure> {
    make(LOWER)?;
    make(UPPER)?;
    make(ROOT)?;
    mount(tag, LOWER, "virtiofs", MS_RDONLY | MS_NODEV, "").map_err(at("mount the share", tag))?;
    if upper == "-" {
        mount("tmpfs", UPPER, "tmpfs", 0, "mode=0755").map_err(at("mount", UPPER))?;
    } else {
        mount(upper, UPPER, "ext4", 0, "").map_err(at("mount", upper))?;
    }
    let (files, work) = (format!("{UPPER}/files"), format!("{UPPER}/work"));
    make(&files)?;
    make(&work)?;
    let data = format!("lowerdir={LOWER},upperdir={files},workdir={work}");
    mount("overlay", ROOT, "overlay", 0, &data).map_err(at("mount the overlay on", ROOT))
}

/// Mounts a device as the root.
pub(crate) fn empty(device: &str) -> Result<(), Failure> {
    make(ROOT)?;
    mount(device, ROOT, "ext4", 0, "").map_err(at("mount", device))
}

/// Mounts a device as the root if it has one of these programs.
pub(crate) fn disk(device: &str, kind: &str, inits: &[&str]) -> Result<(), Failure> {
    make(ROOT)?;
    let subvolumes = if kind == "btrfs" { &SUBVOLUMES[..] } else { &SUBVOLUMES[..1] };
    for options in subvolumes {
        match mount(device, ROOT, kind, 0, options) {
            Ok(()) if inits.iter().any(|init| is_there(init)) => return Ok(()),
            Ok(()) => unmount(ROOT).map_err(at("unmount", ROOT))?,
            // A subvolume may be missing.
            Err(_) if !options.is_empty() => {}
            Err(error) => return Err(format!("cannot mount {device} as {kind}: {error}")),
        }
    }
    Err(format!("{device} ({kind}) has no init: none of {}", inits.join(", ")))
}

/// Whether the mounted root has this program. Where a link leads cannot be told before the root is entered, and so a link is enough.
fn is_there(program: &str) -> bool {
    fs::symlink_metadata(format!("{ROOT}{program}")).is_ok()
}

/// Makes the root `/`, with `/dev`, `/proc` and `/sys` in it. What the initramfs held is freed.
pub(crate) fn enter() -> Result<(), Failure> {
    // Of the root's own init nothing is wanted here yet, but that it will be found.
    for place in ["/dev", "/proc", "/sys"] {
        let target = format!("{ROOT}{place}");
        make(&target)?;
        mount(place, &target, "", MS_MOVE, "").map_err(at("move", place))?;
    }
    for left in ["/plan", "/modules", "/init"] {
        let left = Path::new(left);
        // These are files in memory, and only ours: what stays costs nothing but that.
        let _ = if left.is_dir() { fs::remove_dir_all(left) } else { fs::remove_file(left) };
    }
    std::env::set_current_dir(ROOT).map_err(at("enter", ROOT))?;
    mount(".", "/", "", MS_MOVE, "").map_err(at("move", ROOT))?;
    chroot(".").map_err(at("change the root to", ROOT))?;
    std::env::set_current_dir("/").map_err(at("enter", "/"))
}

/// Mounts a share read-only, where the root has the directory.
pub(crate) fn share(tag: &str, target: &str) -> Result<(), Failure> {
    make(target)?;
    mount(tag, target, "virtiofs", MS_RDONLY | MS_NODEV | MS_NOSUID, "").map_err(at("mount", target))
}

/// The same for a device with an ext4 file system.
pub(crate) fn volume(device: &str, target: &str) -> Result<(), Failure> {
    make(target)?;
    mount(device, target, "ext4", MS_RDONLY | MS_NODEV | MS_NOSUID, "").map_err(at("mount", target))
}

/// Mounts an empty file system in memory, where the root has the directory.
pub(crate) fn scratch(target: &str, mode: &str) -> Result<(), Failure> {
    make(target)?;
    mount("tmpfs", target, "tmpfs", MS_NODEV | MS_NOSUID, &format!("mode={mode}")).map_err(at("mount", target))
}

fn make(directory: &str) -> Result<(), Failure> {
    fs::create_dir_all(directory).map_err(at("make", directory))
}
