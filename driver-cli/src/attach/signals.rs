//! Signals as something to read, so that none of them leaves the terminal in another state.

use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::Failure;

/// The signals that end this program, and that of a window that changed its size.
#[derive(Debug)]
pub(super) struct Signals(SignalFd);

impl Signals {
    /// From now on they come here.
    pub(super) fn listen() -> Result<Self, Failure> {
        let signals = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGWINCH];
        let signals: SigSet = signals.into_iter().collect();
        let listen = || {
            signals.thread_block()?;
            SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        };
        listen().map(Self).map_err(|errno| Failure::Broken(format!("listening to signals failed: {errno}")))
    }

    /// The next one that has come.
    pub(super) fn next(&self) -> Option<Signal> {
        let signal = self.0.read_signal().ok()??;
        Signal::try_from(signal.ssi_signo.cast_signed()).ok()
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The end that a signal makes.
pub(super) fn end(signal: Signal) -> Failure {
    Failure::Signalled(u8::try_from(signal as i32).unwrap_or_default())
}
