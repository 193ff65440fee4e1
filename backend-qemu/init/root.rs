//! The machine's root file system.

use std::fs;
use std::os::unix::fs::chroot;
use std::path::Path;

use crate::kernel::{MS_MOVE, MS_NODEV, MS_NOSUID, MS_RDONLY, mount};
use crate::{Failure, at};

const ROOT: &str = "/root";
const LOWER: &str = "/lower";
const UPPER: &str = "/upper";

/// File systems that a disk can have, in the order in which they are tried.
const DISK_TYPES: [&str; 3] = ["ext4", "xfs", "btrfs"];

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
pub(crate) fn disk(device: &str) -> Result<(), Failure> {
    make(ROOT)?;
    let tries = DISK_TYPES.map(|kind| match mount(device, ROOT, kind, 0, "") {
        Ok(()) => None,
        Err(error) => Some(format!("{kind}: {error}")),
    });
    if tries.iter().any(Option::is_none) {
        return Ok(());
    }
    Err(format!("cannot mount {device} ({})", tries.into_iter().flatten().collect::<Vec<_>>().join(", ")))
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

/// Mounts an empty file system in memory, where the root has the directory.
pub(crate) fn scratch(target: &str) -> Result<(), Failure> {
    make(target)?;
    mount("tmpfs", target, "tmpfs", MS_NODEV | MS_NOSUID, "mode=1777").map_err(at("mount", target))
}

fn make(directory: &str) -> Result<(), Failure> {
    fs::create_dir_all(directory).map_err(at("make", directory))
}
