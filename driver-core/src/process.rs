//! Processes by descriptor: forked children that run a function of ours, waited for and killed by pidfd.
//!
//! `std::process` starts programs; this module starts *functions*, which namespaces and cgroups need: a keeper, an init, a launcher. The
//! forked child is a copy of a program with many threads, of which only the calling one lives on. glibc keeps `malloc` usable there (its
//! `fork` takes the allocator's locks), nothing keeps the locks of other code usable. So a child's function may allocate and make system
//! calls; it must not print, trace, spawn threads or touch an async runtime.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A forked child. Dropping it kills it.
#[derive(Debug)]
pub struct Child {
    pid: Pid,
    pidfd: OwnedFd,
    reaped: bool,
}

/// How a process ended, as a shell would have it: 128 + n for signal n.
pub type Status = i32;

impl Child {
    /// Forks a child that runs `function` and exits with what it returns. The child keeps only the descriptors in `keep` (and 0, 1, 2).
    ///
    /// # Safety
    ///
    /// `function` must keep to what the module's text allows: allocation and system calls.
    pub unsafe fn fork(keep: &[RawFd], function: impl FnOnce() -> Status) -> io::Result<Self> {
        let mut keep = keep.to_vec();
        keep.sort_unstable();
        // SAFETY: the caller promises that the child's function is fit for a forked child; `close_others` only makes system calls.
        let pid = unsafe { libc::fork() };
        match pid {
            -1 => Err(io::Error::last_os_error()),
            0 => {
                reset_signals();
                close_others(&keep);
                let status = function();
                // SAFETY: _exit runs no destructors and no exit handlers of the parent's copy.
                unsafe { libc::_exit(status) }
            }
            _ => {
                let pid = Pid::from_raw(pid).expect("fork returns a positive pid to the parent");
                let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
                Ok(Self { pid, pidfd, reaped: false })
            }
        }
    }

    /// The pid as the calling process's pid namespace sees it.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Sends `SIGKILL`. A child that is already gone is no error.
    pub fn kill(&self) {
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL);
    }

    /// Waits for the end without blocking the thread. Cancel-safe.
    pub async fn wait(&mut self) -> io::Result<Status> {
        wait_readable(self.pidfd.as_fd()).await?;
        self.reap()
    }

    /// Waits for the end and blocks the thread.
    pub fn wait_blocking(&mut self) -> io::Result<Status> {
        self.reap()
    }

    fn reap(&mut self) -> io::Result<Status> {
        let status = loop {
            match rustix::process::waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED) {
                Err(rustix::io::Errno::INTR) => {}
                other => break other?,
            }
        };
        self.reaped = true;
        Ok(status.map_or(0, |status| {
            status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal)).unwrap_or(0)
        }))
    }
}

impl AsFd for Child {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.reaped {
            self.kill();
            let _ = self.reap();
        }
    }
}

/// Returns once a descriptor is readable; for a pidfd that is when its process is gone.
pub async fn wait_readable(fd: BorrowedFd<'_>) -> io::Result<()> {
    let own = fd.try_clone_to_owned()?;
    // SAFETY: the descriptor is owned by the AsyncFd and never replaced while it is registered.
    unsafe { AsyncFd::register_with_interest(own, Interest::READABLE) }?.readable().await?.retain_ready();
    Ok(())
}

/// The pid behind a pidfd in this process's pid namespace, from `/proc/self/fdinfo` (proc(5)).
pub fn pid_of(pidfd: BorrowedFd<'_>) -> io::Result<i32> {
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd()))?;
    info.lines()
        .find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok())
        .filter(|pid| *pid > 0)
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the process is gone or in another pid namespace"))
}

/// A process's pid as the pid namespace of another process, `member`, has it.
pub fn pid_inside(pid: u32, member: u32) -> Option<u32> {
    // Namespaces from the outermost that is seen here to the process's own (proc_pid_status(5)).
    let pids = |pid: u32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("NSpid:").map(str::to_owned))?;
        line.split_whitespace().map(|pid| pid.parse().ok()).collect::<Option<Vec<u32>>>()
    };
    pids(pid)?.get(pids(member)?.len() - 1).copied()
}

/// Puts signal handling back to what a program expects at its start: Rust ignores SIGPIPE, a runtime may have handlers.
fn reset_signals() {
    // SAFETY: plain system calls on the calling thread; a default disposition has no handler that could run.
    unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        for signal in [libc::SIGPIPE, libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT, libc::SIGCHLD] {
            libc::signal(signal, libc::SIG_DFL);
        }
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

/// Closes every descriptor above 2 but the (sorted) ones in `keep`.
fn close_others(keep: &[RawFd]) {
    let mut first: u32 = 3;
    for fd in keep.iter().filter_map(|fd| u32::try_from(*fd).ok()).filter(|fd| *fd > 2) {
        if fd > first {
            close_range(first, fd - 1);
        }
        first = fd + 1;
    }
    close_range(first, u32::MAX);
}

fn close_range(first: u32, last: u32) {
    // SAFETY: the child is about to run only its own function, which was told which descriptors it keeps.
    unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
}
