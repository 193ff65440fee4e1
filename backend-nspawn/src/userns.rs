//! The user and network namespaces that one boot of a container lives in.
//!
//! Both are made by a short-lived child whose effective uid is the container's own root id on the host: the kernel counts inotify instances
//! and other per-user limits against the creator of a user namespace (`user_namespaces(7)`, "ucounts"), so each container has a full
//! allowance of its own. The network namespace belongs to the user namespace, so the container's root may configure it.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use driver_core::process::Child;
use driver_core::run::IDS;
use nix::sched::{CloneFlags, unshare};

/// The namespaces of one boot.
#[derive(Debug)]
pub(crate) struct Namespaces {
    pub(crate) user: OwnedFd,
    pub(crate) net: OwnedFd,
}

/// Makes the namespaces; blocks for about a millisecond. Ids 0 to 65535 inside are `first_id` and on outside; without ids of its own the
/// container shares the host's.
pub(crate) fn create(first_id: Option<u32>) -> io::Result<Namespaces> {
    // Closed in programs that other threads start meanwhile: one that lived on with `release` would keep the child from its end.
    let (made, report) = io::pipe()?;
    let (go_on, release) = io::pipe()?;
    let keep = [report.as_raw_fd(), go_on.as_raw_fd()];
    // SAFETY: `hold` only makes system calls.
    let mut child = unsafe {
        Child::fork(&keep, || {
            let errno = hold(first_id.unwrap_or(0)).err().map_or(0, |errno| errno as i32);
            let _ = rustix::io::write(&report, &errno.to_ne_bytes());
            // Ends when the parent has what it wants, or is gone.
            let _ = rustix::io::read(&go_on, &mut [0; 1]);
            0
        })?
    };
    drop((report, go_on));
    let mut errno = [0; 4];
    if rustix::io::read(&made, &mut errno)? != errno.len() {
        return Err(io::Error::other("the child that makes namespaces ended early"));
    }
    match i32::from_ne_bytes(errno) {
        0 => {}
        errno => return Err(io::Error::from_raw_os_error(errno)),
    }
    let pid = child.pid();
    let map = format!("0 {} {IDS}\n", first_id.unwrap_or(0));
    fs::write(format!("/proc/{pid}/uid_map"), &map)?;
    fs::write(format!("/proc/{pid}/gid_map"), &map)?;
    let namespaces = Namespaces {
        user: File::open(format!("/proc/{pid}/ns/user"))?.into(),
        net: File::open(format!("/proc/{pid}/ns/net"))?.into(),
    };
    drop(release);
    child.wait_blocking()?;
    Ok(namespaces)
}

/// Becomes `creator` while keeping the capabilities, and makes the namespaces.
fn hold(creator: u32) -> nix::Result<()> {
    if creator != 0 {
        // SAFETY: plain system calls. Only the effective uid changes, so the permitted capabilities stay (capabilities(7)).
        nix::errno::Errno::result(unsafe { libc::syscall(libc::SYS_setresuid, u32::MAX, creator, u32::MAX) })?;
        raise_capabilities()?;
    }
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET)
}

/// Makes all permitted capabilities effective again.
fn raise_capabilities() -> nix::Result<()> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    #[repr(C)]
    #[derive(Clone, Copy, Default)]
    struct Data {
        effective: u32,
        permitted: u32,
        inheritable: u32,
    }
    // _LINUX_CAPABILITY_VERSION_3 of linux/capability.h, which takes two data structures.
    let header = Header { version: 0x2008_0522, pid: 0 };
    let mut data = [Data::default(); 2];
    // SAFETY: both pointers are to structures of the kernel's layout that live across the calls.
    unsafe {
        nix::errno::Errno::result(libc::syscall(libc::SYS_capget, &raw const header, data.as_mut_ptr()))?;
        for set in &mut data {
            set.effective = set.permitted;
        }
        nix::errno::Errno::result(libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()))?;
    }
    Ok(())
}
