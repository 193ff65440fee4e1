//! One live machine: the trait that a backend's machines implement.

use std::os::fd::OwnedFd;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::error::MachineError;

/// One machine from its launch to its end.
///
/// Every call may be cancelled by dropping its future; the guest can still be killed afterwards. Dropping the last handle kills the machine
/// without waiting for it.
#[async_trait]
pub trait Guest: Send + Sync {
    /// What the command channel can do.
    fn channel(&self) -> Channel;

    /// Whether a start by the test includes the boot. Upstream's does for containers and does not for VMs, whose boots tests watch.
    fn ready_on_start(&self) -> bool {
        false
    }

    /// Returns once the machine takes commands, at once if it already does. Fails when the machine ends first or its boot deadline passes.
    /// Any number of callers may wait.
    async fn ready(&self) -> Result<(), MachineError>;

    /// Runs a command to its end. Fails only if the channel does: a command that fails is an [`Output`] with its status.
    ///
    /// When it returns or is dropped, no copy of the command's descriptors is left on the host.
    async fn run(&self, command: Command) -> Result<Output, MachineError>;

    /// Returns once the machine is gone and its console has all lines that it said, with how it ended. Any number of callers may wait.
    async fn exited(&self) -> Exit;

    /// Asks the machine to power off and returns once it was asked.
    async fn stop(&self) -> Result<(), MachineError>;

    /// Asks the machine to reboot and returns once it was asked. The machine stays this guest and, once this has returned, is not
    /// ready until it has booted again.
    async fn reboot(&self) -> Result<(), MachineError>;

    /// Ends the machine as a power cut would and returns once it is gone.
    async fn kill(&self) -> Result<(), MachineError>;

    /// The network plugs of this machine, if they can be pulled.
    fn cable(&self) -> Option<&dyn Cable> {
        None
    }
}

/// Optional power: network plugs that can be pulled and put back while the machine runs.
#[async_trait]
pub trait Cable: Send + Sync {
    /// Pulls (`false`) or plugs (`true`) the interface with this index in the request's attachments.
    async fn set(&self, attachment: usize, plugged: bool) -> Result<(), MachineError>;
}

/// What a command channel can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    /// Standard error arrives apart from standard output.
    pub stderr_apart: bool,
    /// Several commands can run at the same time.
    pub overlap: bool,
}

/// A command for a guest's root: a script for bash.
///
/// Without `stdin` it reads nothing (`/dev/null`). Without `stdout` the output is captured.
#[derive(Debug, Default)]
pub struct Command {
    /// What bash is given with `-c`, after the prelude that the guest's kind needs (root's environment and profile).
    pub script: String,
    /// Ends the command's whole process group after this time, with status 124 as `timeout(1)` has it.
    pub timeout: Option<Duration>,
    /// Where standard input comes from.
    pub stdin: Option<OwnedFd>,
    /// Where standard output goes instead of into [`Output::stdout`].
    pub stdout: Option<OwnedFd>,
}

impl Command {
    /// A command that runs `script` with no deadline of its own.
    pub fn new(script: impl Into<String>) -> Self {
        Self { script: script.into(), ..Self::default() }
    }

    /// Sets the time after which the command is ended.
    #[must_use]
    pub fn timeout(mut self, timeout: Option<Duration>) -> Self {
        self.timeout = timeout;
        self
    }
}

/// What a command left behind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Exit status as a shell would have it: 128 + n for signal n, 124 for the command's own timeout.
    pub status: i32,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error; empty where the channel does not keep it apart.
    pub stderr: Vec<u8>,
}

impl Output {
    /// Standard output as text, invalid UTF-8 replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

/// How a machine ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    /// It powered itself off.
    PoweredOff,
    /// It was killed by us.
    Killed,
    /// It ended in another way, told in a few words.
    Died(String),
}
