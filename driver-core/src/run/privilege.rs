//! What this process may do, and how it gets there: as root, or by a user namespace of its own (`user_namespaces(7)`).
//!
//! An ordinary user who may make a user namespace may make all others in it, and mount there. The namespace maps the user to itself and
//! nobody else, so that programs which the run starts are the user's as ever, without a right more: the kernel takes the capabilities from
//! whoever starts a program without being root.

use std::fs;
use std::io;
use std::sync::OnceLock;

use nix::mount::MsFlags;
use nix::sched::{CloneFlags, unshare};

use super::directory::random_name;
use super::in_initial_user_namespace;
use crate::process::{Child, Status};

/// In the environment of all that a driver without namespaces starts: the driver's own name for itself, by which its keepers find them.
pub(super) const MARK: &str = "TANDEM_DRIVER";

/// What stands between the marks of drivers that were started by each other's tests.
pub(super) const BETWEEN: char = ':';

/// What this process may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Privilege {
    /// It is root, of the host or of a sandbox.
    Root,
    /// It is root in effect, in a user namespace of its own that knows no user but this one.
    OwnNamespace {
        /// Whether it came from the initial user namespace.
        of_host: bool,
    },
    /// It can make no namespaces.
    None {
        /// Why.
        why: String,
        /// What marks the processes that it starts.
        mark: Option<String>,
    },
}

static PRIVILEGE: OnceLock<Privilege> = OnceLock::new();

/// Gets this process what it can have. A process of one thread calls this before anything else: no other can leave its user namespace
/// (`unshare(2)`).
pub fn obtain() -> &'static Privilege {
    PRIVILEGE.get_or_init(|| {
        if rustix::process::geteuid().is_root() {
            return Privilege::Root;
        }
        let of_host = in_initial_user_namespace();
        match probe().and_then(|()| enter()) {
            Ok(()) => Privilege::OwnNamespace { of_host },
            Err(error) => Privilege::None { why: error.to_string(), mark: mark() },
        }
    })
}

/// Marks what this process is going to start. A mark that this process has itself, as one that another driver's test started, comes first.
fn mark() -> Option<String> {
    let own = random_name().ok()?;
    let alone = fs::read_dir("/proc/self/task").is_ok_and(|tasks| tasks.count() == 1);
    if !alone {
        return None;
    }
    let all = match std::env::var(MARK) {
        Ok(outer) => format!("{outer}{BETWEEN}{own}"),
        Err(_) => own.clone(),
    };
    // SAFETY: there is no other thread that could read the environment meanwhile.
    unsafe { std::env::set_var(MARK, all) };
    Some(own)
}

/// What was [obtained](obtain), or without that what this process is born with.
pub fn privilege() -> &'static Privilege {
    PRIVILEGE.get_or_init(|| {
        if rustix::process::geteuid().is_root() {
            Privilege::Root
        } else {
            Privilege::None { why: "the program has not asked for them (`run::obtain`)".into(), mark: None }
        }
    })
}

impl Privilege {
    /// Whether runs have namespaces of their own.
    pub fn has_namespaces(&self) -> bool {
        !matches!(self, Self::None { .. })
    }
}

/// Tries all that a run is going to need in a process that is thrown away. Some hosts let anybody make a user namespace and do nothing in it,
/// and where a part of `/proc` is hidden there cannot be another.
fn probe() -> io::Result<()> {
    const KINDS: [(Status, &str); 3] =
        [(1, "making a user namespace"), (2, "making pid and mount namespaces"), (3, "mounting /proc")];
    // SAFETY: what the child does is allocation and system calls.
    let mut child = unsafe { Child::fork(&[], attempt) }?;
    match child.wait_blocking()? {
        0 => Ok(()),
        status => {
            let what = KINDS.iter().find(|(kind, _)| *kind == status % 8).map_or("making namespaces", |(_, what)| what);
            // Which error it was mostly fits into what is left of a status.
            let error = match status / 8 {
                0 => io::Error::other("an unusual error"),
                errno => io::Error::from_raw_os_error(errno),
            };
            Err(io::Error::new(error.kind(), format!("{what} failed: {error}")))
        }
    }
}

/// The step that failed, and its error in the bits above.
fn attempt() -> Status {
    let failed =
        |step: Status, error: &io::Error| step + error.raw_os_error().filter(|errno| *errno < 32).unwrap_or(0) * 8;
    if let Err(error) = enter() {
        return failed(1, &error);
    }
    if let Err(errno) = unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID) {
        return failed(2, &errno.into());
    }
    let mount = || {
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        match nix::mount::mount(Some("proc"), "/proc", Some("proc"), flags, None::<&str>) {
            Ok(()) => 0,
            Err(errno) => failed(3, &errno.into()),
        }
    };
    // SAFETY: what the child does is system calls.
    unsafe { Child::fork(&[], mount) }.and_then(|mut child| child.wait_blocking()).unwrap_or(2)
}

/// Moves this process into a user namespace of its own.
fn enter() -> io::Result<()> {
    let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    unshare(CloneFlags::CLONE_NEWUSER)?;
    // Without this a group cannot be mapped by an ordinary user.
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("{user} {user} 1\n"))?;
    fs::write("/proc/self/gid_map", format!("{group} {group} 1\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_run_needs_is_tried_and_nothing_changes() {
        let namespace = || fs::read_link("/proc/self/ns/user").unwrap();
        let before = namespace();
        // Whether it can be had is up to the host.
        if let Err(error) = probe() {
            assert!(error.to_string().contains(" failed: "), "{error}");
        }
        assert_eq!(namespace(), before);
    }

    #[test]
    fn root_needs_nothing_more() {
        let is_root = rustix::process::geteuid().is_root();
        assert_eq!(*privilege() == Privilege::Root, is_root);
        assert!(!is_root || privilege().has_namespaces());
    }
}
