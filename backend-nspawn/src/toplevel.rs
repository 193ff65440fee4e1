//! A container whose root is a NixOS system: an empty directory, the store, and what the system's init fills the root with.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::{DirBuilderExt, chown};
use std::path::Path;

use driver_core::backend::StartRequest;
use driver_core::guest_files::Change;
use driver_core::mount::Detached;
use driver_core::runtime_files::{self, PROGRAMS, UNITS};
use driver_core::spec::{Root, STORE, Toplevel};

use crate::launch::{Bind, Kind};
use crate::tree::Tree;

/// Files below `/run` that the machine finds at each boot.
const RUNTIME: &str = "runtime";

/// By the name of this file in `/usr/lib/systemd`, systemd-nspawn tells that the machine's systemd can cope with cgroups of version 2, as every
/// one can since the version in it.
const HINT: &str = "libsystemd-shared-233.so";

/// What is shown to the machine, and where.
pub(crate) struct Shown {
    pub(crate) bind: Bind,
    pub(crate) target: &'static str,
    pub(crate) writable: bool,
}

/// The arguments with which systemd-nspawn starts it: its init, and what that hands to systemd.
pub(crate) fn init(name: &str, toplevel: &Toplevel) -> impl Iterator<Item = String> {
    [toplevel.init().display().to_string()].into_iter().chain(runtime_files::words(name))
}

/// Makes the root as the init finds it at the first boot: empty, but for a `/usr`, which systemd-nspawn wants, and [`HINT`].
pub(crate) fn prepare(root: &Path, owner: Option<u32>) -> io::Result<()> {
    let mut path = root.to_owned();
    for name in ["usr", "lib", "systemd"] {
        path.push(name);
        directory(&path, owner)?;
    }
    path.push(HINT);
    fs::write(&path, "")?;
    chown(&path, owner, owner)
}

/// What the machine sees of the host's files, if its root is a NixOS system.
pub(crate) fn shown(
    request: &StartRequest,
    userns: Option<BorrowedFd<'_>>,
    owner: Option<u32>,
) -> io::Result<Vec<Shown>> {
    let Root::Toplevel(toplevel) = &request.machine.root else { return Ok(Vec::new()) };
    let mut shown = vec![store(toplevel, userns)?];
    let runtime = request.state.join(RUNTIME);
    // From boot to boot, what the machine has put there goes.
    match fs::remove_dir_all(&runtime) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    directory(&runtime, owner)?;
    let tree = Tree::open(&runtime, owner.unwrap_or(0))?;
    for change in runtime_files::changes(request) {
        match change {
            Change::Write { path, mode, content } => tree.write(&path, &content, mode)?,
            Change::Link { path, target } => tree.link(&path, &target)?,
            Change::Remove { .. } | Change::EmptyRootPassword => {}
        }
    }
    for target in [UNITS, PROGRAMS] {
        let mount = Detached::copy(&runtime.join(target.trim_start_matches('/')))?;
        mount.restrict(libc::MOUNT_ATTR_NODEV | libc::MOUNT_ATTR_NOSUID)?;
        shown.push(Shown { bind: Bind { mount, kind: Kind::Directory }, target, writable: true });
    }
    Ok(shown)
}

/// The store, with what is mounted in it: inside a build of Nix's, each path is a mount of its own.
fn store(toplevel: &Toplevel, userns: Option<BorrowedFd<'_>>) -> io::Result<Shown> {
    let mount = Detached::copy_recursive(&toplevel.store)?;
    if let Some(userns) = userns {
        // Where it cannot be, everything belongs to nobody, and everybody may read it, as everything in a store.
        let _ = mount.map_ids(userns);
    }
    mount.restrict(libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NODEV | libc::MOUNT_ATTR_NOSUID)?;
    Ok(Shown { bind: Bind { mount, kind: Kind::Directory }, target: STORE, writable: false })
}

fn directory(path: &Path, owner: Option<u32>) -> io::Result<()> {
    DirBuilder::new().mode(0o755).create(path)?;
    chown(path, owner, owner)
}
