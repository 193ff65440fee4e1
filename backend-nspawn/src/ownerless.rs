//! A source whose files belong to nobody: a store path, as root of a Nix sandbox sees it.
//!
//! Its owners are not mapped into the user namespace, so root may read the files there and no more: neither change nor give them to anyone, not
//! even in an overlay (`user_namespaces(7)`, "Capabilities"). What root can do is replace them, if the directories are its own. So the
//! overlay's upper layer begins with all directories of the source, and with copies of the files that systems change in their place.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;

use driver_core::ownerless::MODES;
use rustix::fs::{Mode, OFlags, ResolveFlags};

/// What is copied with its files. Of everything else only the directories are made.
const COPIED: [&str; 5] = ["etc", "var", "root", "home", "srv"];

/// Fills the upper layer for an overlay above `source`.
pub(crate) fn fill(source: &Path, upper: &Path) -> io::Result<()> {
    for entry in fs::read_dir(source)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            let name = entry.file_name();
            let with_files = COPIED.iter().any(|copied| name == *copied);
            directory(&entry.path(), &upper.join(&name), with_files)?;
        }
    }
    set_modes(upper)
}

/// Gives what there is of the few that need it the modes that they have everywhere.
pub(crate) fn set_modes(root: &Path) -> io::Result<()> {
    let root = File::open(root)?;
    // Links may lead to files of the host's.
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    for (path, mode) in MODES {
        if let Ok(file) = rustix::fs::openat2(&root, path, flags, Mode::empty(), resolve) {
            rustix::fs::fchmod(file, Mode::from_raw_mode(mode))?;
        }
    }
    Ok(())
}

fn directory(source: &Path, target: &Path, with_files: bool) -> io::Result<()> {
    DirBuilder::new().mode(0o755).create(target)?;
    for entry in fs::read_dir(source)? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, target.join(entry.file_name()));
        if kind.is_dir() {
            directory(&entry.path(), &target, with_files)?;
        } else if kind.is_file() && with_files {
            let mut from = File::open(entry.path())?;
            let mode = if from.metadata()?.mode() & 0o111 == 0 { 0o644 } else { 0o755 };
            let mut to = File::create(&target)?;
            io::copy(&mut from, &mut to)?;
            to.set_permissions(Permissions::from_mode(mode))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn directories_are_made_and_what_systems_change_is_copied() {
        let place = tempfile::tempdir().unwrap();
        let (source, upper) = (place.path().join("source"), place.path().join("upper"));
        for directory in ["etc/default", "usr/bin", "tmp", "root"] {
            fs::create_dir_all(source.join(directory)).unwrap();
        }
        fs::write(source.join("etc/default/locale"), "LANG=C\n").unwrap();
        fs::write(source.join("etc/shadow"), "root::1::::::\n").unwrap();
        fs::write(source.join("etc/rc"), "#!/bin/sh\n").unwrap();
        fs::write(source.join("usr/bin/true"), "").unwrap();
        symlink("usr/bin", source.join("bin")).unwrap();
        fs::set_permissions(source.join("etc/rc"), Permissions::from_mode(0o555)).unwrap();
        fs::set_permissions(source.join("etc/shadow"), Permissions::from_mode(0o444)).unwrap();
        fs::create_dir(&upper).unwrap();
        fill(&source, &upper).unwrap();
        let mode = |path: &str| fs::symlink_metadata(upper.join(path)).map(|found| found.mode() & 0o7777);
        assert_eq!(fs::read_to_string(upper.join("etc/default/locale")).unwrap(), "LANG=C\n");
        for (path, expected) in [
            ("etc", 0o755),
            ("etc/default/locale", 0o644),
            ("etc/rc", 0o755),
            ("etc/shadow", 0o640),
            ("tmp", 0o1777),
            ("root", 0o700),
            ("usr/bin", 0o755),
        ] {
            assert_eq!(mode(path).unwrap(), expected, "{path}");
        }
        for path in ["usr/bin/true", "bin"] {
            assert!(mode(path).is_err(), "{path}");
        }
    }
}
