//! The interpreter's process and all that it starts, as one process group.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitStatus;
use std::sync::Arc;

use driver_core::process::wait_readable;
use rustix::process::{Pid, PidfdFlags, Signal};
use tokio::process::{Child, Command};

/// A process that leads a group of its own. Dropping it kills the group.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    group: Option<Pid>,
}

impl Process {
    /// Starts a program; in the namespaces of a run's init, if there is one, so that whatever it starts ends with the run.
    pub(super) async fn start(mut command: Command, init: Option<Arc<OwnedFd>>) -> io::Result<Self> {
        // Where the run's namespaces are joined the working directory becomes `/` (setns(2)).
        command.process_group(0).kill_on_drop(true).current_dir(std::env::current_dir()?);
        let child = match init {
            Some(init) => driver_core::run::within(&init, move || command.spawn()).await?,
            None => command.spawn()?,
        };
        let group = child.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
        Ok(Self { child, group })
    }

    /// The group, until the program has ended.
    pub(super) fn group(&self) -> Option<Pid> {
        self.group
    }

    /// Waits for the program's end. What is left of its group is killed then.
    pub(super) async fn wait(&mut self) -> io::Result<ExitStatus> {
        if let Some(leader) = self.group {
            // Not reaped yet: until then its number cannot become that of another process.
            let leader = rustix::process::pidfd_open(leader, PidfdFlags::empty())?;
            wait_readable(leader.as_fd()).await?;
        }
        self.kill();
        self.child.wait().await
    }

    fn kill(&mut self) {
        if let Some(group) = self.group.take() {
            // Fails if all of it is gone, which is as well.
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
