//! Changes to a machine's files from the host's side.
//!
//! Paths are resolved inside the machine's root (openat2(2), `RESOLVE_IN_ROOT`), so no link in it leads to a file of the host's.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, Gid, Mode, OFlags, ResolveFlags, Uid};

/// A machine's root directory.
#[derive(Debug)]
pub(crate) struct Tree {
    root: OwnedFd,
    /// The host id of the machine's root user, to whom new files belong.
    owner: u32,
}

impl Tree {
    /// Opens the tree at `root`.
    pub(crate) fn open(root: &Path, owner: u32) -> io::Result<Self> {
        let root = rustix::fs::open(root, OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self { root, owner })
    }

    /// Reads a file.
    pub(crate) fn read(&self, path: &str) -> io::Result<String> {
        let mut bytes = Vec::new();
        File::from(self.resolve(path, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty())?).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Replaces a file, or the link in its place, and makes its directory if that is missing.
    pub(crate) fn write(&self, path: &str, content: &str, mode: u32) -> io::Result<()> {
        let (parent, name) = split(path);
        let parent = self.directory(parent)?;
        match rustix::fs::unlinkat(&parent, name, AtFlags::empty()) {
            Err(rustix::io::Errno::NOENT) => {}
            other => other?,
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&parent, name, flags, Mode::from_raw_mode(mode))?;
        self.give(&file)?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?;
        File::from(file).write_all(content.as_bytes())
    }

    /// Replaces a file by a symbolic link.
    pub(crate) fn link(&self, path: &str, target: &str) -> io::Result<()> {
        let (parent, name) = split(path);
        let parent = self.directory(parent)?;
        remove_at(&parent, name)?;
        rustix::fs::symlinkat(target, &parent, name)?;
        Ok(rustix::fs::chownat(&parent, name, self.uid(), self.gid(), AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Writes over a file that is there, which keeps its owner and mode.
    pub(crate) fn overwrite(&self, path: &str, content: &str) -> io::Result<()> {
        File::from(self.resolve(path, OFlags::WRONLY | OFlags::TRUNC, Mode::empty())?).write_all(content.as_bytes())
    }

    /// Removes a file or a link; a missing one is no error.
    pub(crate) fn remove(&self, path: &str) -> io::Result<()> {
        let (parent, name) = split(path);
        let parent = match self.resolve(parent, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        remove_at(&parent, name)
    }

    /// The names in a directory; none if it is missing.
    pub(crate) fn list(&self, path: &str) -> io::Result<Vec<OsString>> {
        match self.resolve(path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            other => names(other?),
        }
    }

    /// Opens a directory, making what is missing of it.
    fn directory(&self, path: &str) -> io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        match self.resolve(path, flags, Mode::empty()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => return other,
        }
        let (parent, name) = split(path);
        let parent = self.directory(parent)?;
        rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755))?;
        rustix::fs::chownat(&parent, name, self.uid(), self.gid(), AtFlags::SYMLINK_NOFOLLOW)?;
        self.resolve(path, flags, Mode::empty())
    }

    fn resolve(&self, path: &str, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let path = if path.is_empty() { "." } else { path };
        Ok(rustix::fs::openat2(self.root.as_fd(), path, flags | OFlags::CLOEXEC, mode, resolve)?)
    }

    fn give(&self, file: &OwnedFd) -> io::Result<()> {
        Ok(rustix::fs::fchown(file, self.uid(), self.gid())?)
    }

    #[expect(clippy::unnecessary_wraps, reason = "the shape that chown wants")]
    fn uid(&self) -> Option<Uid> {
        Some(Uid::from_raw(self.owner))
    }

    #[expect(clippy::unnecessary_wraps, reason = "the shape that chown wants")]
    fn gid(&self) -> Option<Gid> {
        Some(Gid::from_raw(self.owner))
    }
}

/// Removes a file, a link, or a directory with all in it, following no link.
fn remove_at(parent: &OwnedFd, name: &str) -> io::Result<()> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => return Ok(()),
        Err(rustix::io::Errno::ISDIR) => {}
        Err(error) => return Err(error.into()),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = rustix::fs::openat(parent, name, flags, Mode::empty())?;
    for entry in names(directory.try_clone()?)? {
        // Names that are no UTF-8 are left, and the directory with them: the error of the next line tells.
        if let Some(entry) = entry.to_str() {
            remove_at(&directory, entry)?;
        }
    }
    Ok(rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)?)
}

fn names(directory: OwnedFd) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in Dir::new(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(OsString::from_vec(name.to_vec()));
        }
    }
    Ok(names)
}

/// Parent and last name of a path.
fn split(path: &str) -> (&str, &str) {
    let path = path.trim_matches('/');
    path.rsplit_once('/').unwrap_or(("", path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, symlink};

    fn tree() -> (tempfile::TempDir, Tree) {
        let directory = tempfile::tempdir().unwrap();
        let owner = std::fs::metadata(directory.path()).unwrap().uid();
        let tree = Tree::open(directory.path(), owner).unwrap();
        (directory, tree)
    }

    #[test]
    fn files_are_written_read_listed_and_removed() {
        let (directory, tree) = tree();
        tree.write("/etc/systemd/a", "one", 0o600).unwrap();
        tree.write("/etc/systemd/a", "two", 0o644).unwrap();
        assert_eq!(tree.read("/etc/systemd/a").unwrap(), "two");
        assert_eq!(std::fs::metadata(directory.path().join("etc/systemd/a")).unwrap().mode() & 0o777, 0o644);
        assert_eq!(tree.list("/etc").unwrap(), ["systemd"]);
        tree.remove("/etc/systemd").unwrap();
        tree.remove("/etc/systemd").unwrap();
        tree.remove("/none/at/all").unwrap();
        assert_eq!(tree.list("/etc").unwrap(), [""; 0]);
    }

    #[test]
    fn links_never_lead_out() {
        let (directory, tree) = tree();
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("hosts"), "host's own").unwrap();
        symlink(outside.path(), directory.path().join("etc")).unwrap();
        // The absolute link is resolved inside the tree, where its target does not exist yet.
        assert!(tree.write("/etc/hosts", "guest's", 0o644).is_err() || tree.read("/etc/hosts").unwrap() == "guest's");
        assert_eq!(std::fs::read_to_string(outside.path().join("hosts")).unwrap(), "host's own");
        let (directory, tree) = self::tree();
        symlink(outside.path().join("hosts"), directory.path().join("hosts")).unwrap();
        tree.write("/hosts", "guest's", 0o644).unwrap();
        assert_eq!(tree.read("/hosts").unwrap(), "guest's");
        assert_eq!(std::fs::read_to_string(outside.path().join("hosts")).unwrap(), "host's own");
    }
}
