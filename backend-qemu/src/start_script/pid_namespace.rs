//! A pid namespace of a machine's own: whatever its start script left running ends with it, and nothing else does.
//!
//! Two processes make it. Its **init** (pid 1 inside) waits until the driver lets go of a pipe; with it the kernel kills all processes of the
//! namespace (`pid_namespaces(7)`). The init's **parent** waits for that, and holds a lock meanwhile.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use driver_core::process::{Child, Status};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::process::Command;
use tokio::time::timeout;

/// How long killed processes may take to be gone.
const LIMIT: Duration = Duration::from_secs(5);

/// A machine's pid namespace. Dropping it ends all processes in it, without waiting for them.
#[derive(Debug)]
pub(super) struct PidNamespace {
    // Dropped first.
    alive: OwnedFd,
    parent: Child,
    handle: File,
}

impl PidNamespace {
    /// Makes one below the one that the calling thread's children are born into; `/proc` must be that one's. `lock` stays locked until no
    /// process is left.
    pub(super) fn new(lock: &File) -> io::Result<Self> {
        let (gone, alive) = io::pipe()?;
        let (mut report, ready) = io::pipe()?;
        let keep = [gone.as_raw_fd(), ready.as_raw_fd(), lock.as_raw_fd()];
        // SAFETY: `parent` only makes system calls.
        let parent = unsafe { Child::fork(&keep, || parent(gone.as_fd(), ready.as_fd()))? };
        drop(ready);
        let mut number = [0; 4];
        report.read_exact(&mut number).map_err(|_| io::Error::other("the machine's pid namespace was not made"))?;
        match i32::from_ne_bytes(number) {
            pid if pid > 0 => {
                let handle = File::open(format!("/proc/{pid}/ns/pid_for_children"))?;
                Ok(Self { alive: alive.into(), parent, handle })
            }
            errno => {
                let error = io::Error::from_raw_os_error(-errno);
                Err(io::Error::new(error.kind(), format!("cannot make a pid namespace: {error}")))
            }
        }
    }

    /// Has the calling thread's children born into it.
    pub(super) fn enter(&self) -> io::Result<()> {
        Ok(move_into_link_name_space(self.handle.as_fd(), Some(LinkNameSpaceType::ProcessID))?)
    }

    /// Gives a program that is started inside a `/proc` of the namespace, in a mount namespace of the program's own.
    pub(super) fn with_proc(command: &mut Command) {
        // SAFETY: between fork and exec only system calls are made.
        unsafe { command.pre_exec(mount_proc) };
    }

    /// Ends all processes in it and returns once they are gone.
    pub(super) async fn end(self) {
        let Self { alive, mut parent, .. } = self;
        drop(alive);
        // One that the kernel cannot end now ends with the run at the latest.
        let _ = timeout(LIMIT, parent.wait()).await;
    }
}

fn mount_proc() -> io::Result<()> {
    let (name, place) = (c"proc".as_ptr(), c"/proc".as_ptr());
    let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    // SAFETY: the strings are constants. Mounts of the run's namespace are not shared, so this one is seen nowhere else.
    let failed = unsafe {
        libc::unshare(libc::CLONE_NEWNS) != 0 || libc::mount(name, place, name, flags, std::ptr::null()) != 0
    };
    if failed { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Makes the namespace's init, reports its own pid or a negative errno, and waits for the init's end.
fn parent(gone: BorrowedFd<'_>, ready: BorrowedFd<'_>) -> Status {
    // SAFETY: plain system calls in a process of one thread; what the forked child does is no more than that.
    unsafe {
        // A terminal's Ctrl-C is not for it.
        libc::setsid();
        libc::prctl(libc::PR_SET_NAME, c"tandem-machine".as_ptr());
        let made = if libc::unshare(libc::CLONE_NEWPID) == 0 { libc::fork() } else { -1 };
        if made == 0 {
            libc::_exit(init(gone));
        }
        let errno = io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO);
        let report = if made > 0 { libc::getpid() } else { -errno };
        let told = rustix::io::write(ready, &report.to_ne_bytes()).is_ok();
        if made < 0 || !told {
            return 1;
        }
        while libc::waitpid(made, std::ptr::null_mut(), 0) == -1 && *libc::__errno_location() == libc::EINTR {}
    }
    0
}

/// Pid 1 of the namespace: waits until the driver's end of the pipe is closed.
fn init(gone: BorrowedFd<'_>) -> Status {
    // SAFETY: no handler is installed: the kernel reaps ignored children (signal(7)), so orphans leave no zombies.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    while let Err(rustix::io::Errno::INTR) = rustix::io::read(gone, &mut [0; 1]) {}
    0
}
