//! The terminal at standard input, while its foreground is the process group of an interpreter.
//!
//! Ctrl-C, Ctrl-\ and Ctrl-Z then reach the interpreter and not the driver. The driver gives the terminal back as it was; if it is killed, a
//! process that does nothing else does it in its place.

use std::convert::Infallible;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use driver_core::process::Child;
use nix::sys::signal::{SigSet, Signal, raise};
use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr, tcsetpgrp};
use tokio::signal::unix::{SignalKind, signal};

/// A terminal that is given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Foreground {
    terminal: OwnedFd,
    before: Before,
    /// Gives it back if this process is killed.
    _guard: Child,
}

/// How the terminal was.
#[derive(Clone, Debug)]
struct Before {
    modes: Termios,
    /// Our own process group, if it was in the foreground.
    group: Option<Pid>,
    /// That of the shell that started us.
    shell: Option<Pid>,
}

impl Foreground {
    /// The terminal at standard input, if it is one.
    pub(crate) fn of_stdin() -> io::Result<Option<Self>> {
        let stdin = io::stdin();
        if !rustix::termios::isatty(&stdin) {
            return Ok(None);
        }
        // A background job stops here, as at any attempt to read, until the shell puts it into the foreground.
        if tcgetpgrp(&stdin).is_ok_and(|group| group != rustix::process::getpgrp()) {
            let _ = raise(Signal::SIGTTIN);
        }
        let terminal = stdin.as_fd().try_clone_to_owned()?;
        let own = rustix::process::getpgrp();
        let shell = rustix::process::getppid().and_then(|parent| rustix::process::getpgid(Some(parent)).ok());
        let group = tcgetpgrp(&terminal).ok().filter(|group| *group == own);
        let before = Before { modes: tcgetattr(&terminal)?, group, shell };
        let guard = guard(&terminal, &before)?;
        let foreground = Self { terminal, before, _guard: guard };
        // The driver goes on writing its log, from the background.
        let mut modes = foreground.before.modes.clone();
        modes.local_modes.remove(LocalModes::TOSTOP);
        tcsetattr(&foreground.terminal, OptionalActions::Now, &modes)?;
        Ok(Some(foreground))
    }

    /// Makes a process group the terminal's foreground, if our own was.
    pub(crate) fn lend(&self, group: Pid) {
        if self.before.group.is_some() {
            // Fails if the group is gone, as its process then is.
            let _ = unstopped(|| tcsetpgrp(&self.terminal, group));
        }
    }

    /// Stops whenever a process group that has the terminal is stopped, and goes on with it: Ctrl-Z. Never returns.
    pub(crate) async fn stop_with(&self, group: Pid) -> Infallible {
        if let Ok(mut children) = signal(SignalKind::child()) {
            while children.recv().await.is_some() {
                if is_stopped(group) {
                    self.stop(group);
                }
            }
        }
        std::future::pending().await
    }

    fn stop(&self, group: Pid) {
        let modes = tcgetattr(&self.terminal);
        self.before.restore(self.terminal.as_fd());
        // To this thread, so that nothing below happens before it goes on. Without a shell that could let it go on, the kernel does not stop it.
        let _ = raise(Signal::SIGTSTP);
        while self.before.group.is_some() && tcgetpgrp(&self.terminal).ok() != self.before.group {
            // It goes on in the background, where it would read.
            if raise(Signal::SIGTTIN).is_err() || is_orphaned(self.before.shell) {
                break;
            }
        }
        self.lend(group);
        if let Ok(modes) = modes {
            let _ = unstopped(|| tcsetattr(&self.terminal, OptionalActions::Now, &modes));
        }
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::CONT);
    }
}

impl Drop for Foreground {
    fn drop(&mut self) {
        self.before.restore(self.terminal.as_fd());
    }
}

impl Before {
    /// Puts the terminal back, unless the shell has it.
    fn restore(&self, terminal: BorrowedFd<'_>) {
        let now = tcgetpgrp(terminal).ok();
        if now.is_some() && now == self.shell && now != self.group {
            return;
        }
        let _ = unstopped(|| {
            if let Some(group) = self.group {
                // Fails if nobody of the group is left.
                let _ = tcsetpgrp(terminal, group);
            }
            tcsetattr(terminal, OptionalActions::Now, &self.modes)
        });
    }
}

/// Does something to a terminal whose foreground we may not be in, for which this thread would be stopped otherwise.
fn unstopped<T>(work: impl FnOnce() -> rustix::io::Result<T>) -> rustix::io::Result<T> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTTOU);
    let before = signals.thread_swap_mask(nix::sys::signal::SigmaskHow::SIG_BLOCK);
    let result = work();
    if let Ok(before) = before {
        let _ = before.thread_set_mask();
    }
    result
}

/// Whether a process has been stopped since this was last asked.
fn is_stopped(pid: Pid) -> bool {
    let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG;
    matches!(rustix::process::waitid(WaitId::Pid(pid), options), Ok(Some(_)))
}

/// Whether the shell that started us is gone.
fn is_orphaned(shell: Option<Pid>) -> bool {
    let parent = rustix::process::getppid();
    parent.and_then(|parent| rustix::process::getpgid(Some(parent)).ok()) != shell
}

/// Starts a process that puts the terminal back once this process is gone.
fn guard(terminal: &OwnedFd, before: &Before) -> io::Result<Child> {
    let driver = rustix::process::pidfd_open(rustix::process::getpid(), PidfdFlags::empty())?;
    let keep = [terminal.as_raw_fd(), driver.as_raw_fd()];
    // SAFETY: the function only makes system calls.
    unsafe {
        Child::fork(&keep, || {
            // Out of the reach of the terminal's keys.
            let _ = rustix::process::setpgid(None, None);
            let mut poll = [PollFd::new(&driver, PollFlags::IN)];
            while let Err(rustix::io::Errno::INTR) = rustix::event::poll(&mut poll, None) {}
            before.restore(terminal.as_fd());
            0
        })
    }
}
