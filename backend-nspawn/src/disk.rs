//! A machine's files: an overlay above a source that is never written to, an unpacked tar, or what its own init makes.
//!
//! All of it lies on the run's tmpfs, in the run's mount namespace, and lasts from the machine's first boot to the end of the run.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use driver_core::backend::StartRequest;
use driver_core::spec::Root;
use nix::mount::MsFlags;
use nix::sched::{CloneFlags, setns};

use crate::tree::Tree;
use crate::{guest_files, ownerless, toplevel};
use driver_core::mount::{Detached, mount};

/// Made when the disk is complete, so that a later boot uses it as it is.
const COMPLETE: &str = "disk-complete";

/// Where a machine's root is, in the run's mount namespace.
pub(crate) fn root(state: &Path) -> PathBuf {
    state.join("root")
}

/// Whether the machine's source can be shown with ids mapped into `userns`. Changes nothing.
pub(crate) fn can_map_ids(source: &Root, userns: BorrowedFd<'_>) -> bool {
    let lower = match source {
        Root::Host => Path::new("/"),
        Root::Directory(path) => path,
        // It is unpacked inside the namespace, or filled there.
        Root::Tar(_) | Root::Toplevel(_) => return true,
        Root::Image(_) => return false,
    };
    Detached::copy(lower).and_then(|copy| copy.map_ids(userns)).is_ok()
}

/// Makes the disk, unless an earlier boot has. Runs inside the run's mount namespace; `owner` is the host id of the machine's root user.
pub(crate) fn prepare(request: &StartRequest, userns: BorrowedFd<'_>, owner: Option<u32>) -> io::Result<()> {
    let state = &request.state;
    if state.join(COMPLETE).exists() {
        return Ok(());
    }
    // Of an attempt that failed halfway nothing may remain.
    let _ = nix::mount::umount2(&root(state), nix::mount::MntFlags::MNT_DETACH);
    let _ = nix::mount::umount2(&state.join("lower"), nix::mount::MntFlags::MNT_DETACH);
    let _ = fs::remove_dir_all(state);
    fs::DirBuilder::new().recursive(true).mode(0o700).create(state)?;
    owned_directory(&root(state), owner)?;
    match &request.machine.root {
        Root::Tar(path) => unpack(path, &root(state), userns)?,
        Root::Directory(path) => overlay(path, state, userns, owner)?,
        Root::Host => overlay(Path::new("/"), state, userns, owner)?,
        Root::Toplevel(_) => toplevel::prepare(&root(state), owner)?,
        Root::Image(_) => return Err(io::Error::other("a container's root cannot be a disk image")),
    }
    let tree = Tree::open(&root(state), owner.unwrap_or(0))?;
    guest_files::write(&tree, request)?;
    fs::write(state.join(COMPLETE), "")
}

fn overlay(source: &Path, state: &Path, userns: BorrowedFd<'_>, owner: Option<u32>) -> io::Result<()> {
    let (lower, upper, work) = (state.join("lower"), state.join("upper"), state.join("work"));
    fs::create_dir(&lower)?;
    let copy = Detached::copy(source)?;
    if owner.is_some() {
        copy.map_ids(userns)?;
    }
    copy.restrict(libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NODEV)?;
    copy.attach(&lower)?;
    owned_directory(&upper, owner)?;
    owned_directory(&work, owner)?;
    if driver_core::ownerless::is_ownerless(source) {
        ownerless::fill(&lower, &upper)?;
    }
    let mut options = format!("lowerdir={},upperdir={},workdir={}", lower.display(), upper.display(), work.display());
    if !driver_core::run::in_initial_user_namespace() {
        // Only the initial user namespace may use trusted.* attributes (kernel, filesystems/overlayfs.rst, "User xattr").
        options.push_str(",userxattr");
    }
    // nodev: device nodes in the source must not work. The mount is handed to a less privileged mount namespace, which cannot undo it.
    mount(Path::new("overlay"), &root(state), Some("overlay"), MsFlags::MS_NODEV, Some(&options))
}

/// Unpacks a tar as the container's root, so that owners come out shifted and no device node or host file can be made.
fn unpack(archive: &Path, target: &Path, userns: BorrowedFd<'_>) -> io::Result<()> {
    let file = fs::File::open(archive)?;
    let mut command = Command::new("tar");
    let set_ids = may_set_ids(target)?;
    command.arg("--extract").args(["--file", "-", "--numeric-owner"]);
    // The other leaves out set-user-ID, set-group-ID and sticky bits.
    command.arg(if set_ids { "--preserve-permissions" } else { "--no-same-permissions" });
    command.args(["--xattrs", "--exclude=./dev/*", "--exclude=dev/*"]).args(decompression(&file)?);
    command.stdin(file).stdout(Stdio::null()).stderr(Stdio::piped()).current_dir(target);
    let userns = userns.as_raw_fd();
    // Of modes as they are it is only for directories that the archive does not have.
    let umask = if set_ids { 0o022 } else { 0 };
    // SAFETY: between fork and exec only system calls are made; the descriptor is open in the parent until the child has started.
    unsafe {
        command.pre_exec(move || {
            libc::umask(umask);
            setns(BorrowedFd::borrow_raw(userns), CloneFlags::CLONE_NEWUSER)?;
            become_root()
        });
    }
    let output = command.output().map_err(|error| io::Error::new(error.kind(), format!("tar: {error}")))?;
    if output.status.success() {
        return if set_ids { Ok(()) } else { ownerless::set_modes(target) };
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rev().take(3).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join(" | ");
    Err(io::Error::other(format!("tar could not unpack {}: {last}", archive.display())))
}

/// Whether files may have set-user-ID bits. A Nix build's filter of system calls forbids to give them.
fn may_set_ids(directory: &Path) -> io::Result<bool> {
    let file = match tempfile(directory) {
        // Not every file system has such files; those of builds have.
        Err(error) if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EISDIR)) => return Ok(true),
        other => other?,
    };
    match rustix::fs::fchmod(&file, rustix::fs::Mode::from_raw_mode(0o4700)) {
        Err(rustix::io::Errno::PERM) => Ok(false),
        other => Ok(other.map(|()| true)?),
    }
}

/// A file without a name (open(2), `O_TMPFILE`).
fn tempfile(directory: &Path) -> io::Result<OwnedFd> {
    use rustix::fs::{Mode, OFlags};
    Ok(rustix::fs::open(directory, OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC, Mode::from_raw_mode(0o600))?)
}

/// Takes the ids and groups of a user namespace's root.
pub(crate) fn become_root() -> io::Result<()> {
    // SAFETY: plain system calls of the calling process, which has one thread.
    let failed = unsafe {
        libc::setresgid(0, 0, 0) != 0 || libc::setgroups(0, std::ptr::null()) != 0 || libc::setresuid(0, 0, 0) != 0
    };
    if failed { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// tar cannot look ahead on a pipe, so the format is read off the first bytes.
fn decompression(file: &fs::File) -> io::Result<Option<&'static str>> {
    use std::os::unix::fs::FileExt;
    let mut magic = [0; 6];
    let read = file.read_at(&mut magic, 0)?;
    Ok(match &magic[..read] {
        [0x1f, 0x8b, ..] => Some("--gzip"),
        [0xfd, b'7', b'z', b'X', b'Z', 0] => Some("--xz"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some("--zstd"),
        [b'B', b'Z', b'h', ..] => Some("--bzip2"),
        _ => None,
    })
}

fn owned_directory(path: &Path, owner: Option<u32>) -> io::Result<()> {
    fs::DirBuilder::new().mode(0o755).create(path)?;
    chown(path, owner, owner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn compression_is_read_off_the_first_bytes() {
        for (bytes, expected) in [
            (&b"\x1f\x8b\x08\x00"[..], Some("--gzip")),
            (b"\xfd7zXZ\x00\x00", Some("--xz")),
            (b"\x28\xb5\x2f\xfd\x04", Some("--zstd")),
            (b"BZh9", Some("--bzip2")),
            (b"./\0\0\0", None),
            (b"", None),
        ] {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(bytes).unwrap();
            assert_eq!(decompression(&file).unwrap(), expected, "{bytes:?}");
        }
    }
}
