//! The processes of one boot, seen from outside.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use driver_core::process::{Child, pid_of};
use rustix::process::{Signal, pidfd_send_signal};
use tokio::time::timeout;

/// How long a start script may take to clean up after itself, as upstream has it.
pub(crate) const CLEAN_UP: Duration = Duration::from_secs(30);

/// The processes of one boot. Dropping them ends the whole container.
#[derive(Debug)]
pub(crate) struct Process {
    /// A pidfd of the init of all: systemd-nspawn's, or the one above a start script.
    init: OwnedFd,
    shim: Child,
    script: Option<OwnedFd>,
}

impl Process {
    /// The processes below `init`, whose parent is `shim` and ends with its status.
    pub(crate) fn new(init: OwnedFd, shim: Child) -> Self {
        Self { init, shim, script: None }
    }

    /// Tells which process is the start script.
    pub(crate) fn set_script(&mut self, script: OwnedFd) {
        self.script = Some(script);
    }

    /// The init of all.
    pub(crate) fn init(&self) -> BorrowedFd<'_> {
        self.init.as_fd()
    }

    /// The pid of systemd-nspawn, or of the start script that becomes it, as the driver sees it.
    pub(crate) fn pid(&self) -> Option<u32> {
        let process = self.script.as_ref().unwrap_or(&self.init);
        u32::try_from(pid_of(process.as_fd()).ok()?).ok()
    }

    /// Ends the whole container as a power cut would.
    fn kill(&self) {
        let _ = pidfd_send_signal(&self.init, Signal::KILL);
    }

    /// Ends the whole container as a power cut would and returns once it is gone. A start script is asked first, so that it can clean up; false
    /// if it did not in time.
    pub(crate) async fn end(&mut self) -> bool {
        let asked = self.script.as_ref().is_some_and(|script| pidfd_send_signal(script, Signal::TERM).is_ok());
        if asked && timeout(CLEAN_UP, self.wait()).await.is_ok() {
            return true;
        }
        self.kill();
        let _ = self.wait().await;
        !asked
    }

    /// Waits for the end and returns the exit status of systemd-nspawn or of the start script. Cancel-safe.
    pub(crate) async fn wait(&mut self) -> io::Result<i32> {
        self.shim.wait().await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The shim, dropped next, is only its parent.
        self.kill();
    }
}
