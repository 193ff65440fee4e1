//! One live machine: the trait that a backend's machines implement.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

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

    /// Returns once the machine is still there but will never take commands any more, with why: its kernel panicked, it is in emergency mode.
    /// Its end does not count. Any number of callers may wait.
    ///
    /// Unless a machine tells better, it is lost when [`ready`](Guest::ready) fails.
    async fn lost(&self) -> MachineError {
        match self.ready().await {
            Err(error) if !error.gone => error,
            _ => std::future::pending().await,
        }
    }

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

    /// How long [`kill`](Guest::kill) may take because something outside of the machine cleans up after it.
    fn end_limit(&self) -> Duration {
        Duration::ZERO
    }

    /// Ends the machine as a power cut would and returns once it is gone.
    async fn kill(&self) -> Result<(), MachineError>;

    /// The process on this host that is the machine, by its pid as the driver sees it.
    fn pid(&self) -> Option<u32> {
        None
    }

    /// The machine's own pid 1 where that is a process on this host, by its pid as the driver sees it.
    fn leader(&self) -> Option<u32> {
        None
    }

    /// What the log calls the machine when its process is killed, such as `QemuMachine`.
    fn class(&self) -> Option<&str> {
        None
    }

    /// How many times something that takes commands has come up in the machine since its start.
    fn shells(&self) -> u64 {
        0
    }

    /// The network plugs of this machine, if they can be pulled.
    fn cable(&self) -> Option<&dyn Cable> {
        None
    }

    /// Its console's input, if it takes any.
    fn terminal(&self) -> Option<&dyn Terminal> {
        None
    }

    /// Its screen, if it has one.
    fn screen(&self) -> Option<&dyn Screen> {
        None
    }

    /// Its keyboard, if it has one.
    fn keyboard(&self) -> Option<&dyn Keyboard> {
        None
    }

    /// Its pointer, if it has one.
    fn pointer(&self) -> Option<&dyn Pointer> {
        None
    }

    /// Its QEMU monitor, if it has one.
    fn monitor(&self) -> Option<&dyn Monitor> {
        None
    }
}

/// Optional power: network plugs that can be pulled and put back while the machine runs.
#[async_trait]
pub trait Cable: Send + Sync {
    /// Pulls (`false`) or plugs (`true`) the interface with this index in the request's attachments.
    async fn set(&self, attachment: usize, plugged: bool) -> Result<(), MachineError>;
}

/// Optional power: a console that takes input.
#[async_trait]
pub trait Terminal: Send + Sync {
    /// Types bytes into the console, as a person at the serial line would.
    async fn write(&self, bytes: &[u8]) -> Result<(), MachineError>;
}

/// Optional power: a screen.
#[async_trait]
pub trait Screen: Send + Sync {
    /// What the screen shows, as a PNG file.
    async fn shot(&self) -> Result<Vec<u8>, MachineError>;
}

/// Optional power: a keyboard.
#[async_trait]
pub trait Keyboard: Send + Sync {
    /// Whether there is such a key; otherwise why not, with the nearest that there is.
    fn check(&self, key: &str) -> Result<(), String>;

    /// Presses and releases keys at the same time: a key by QEMU's name for it (`ret`), several joined by `-` (`ctrl-alt-f1`), or the ones
    /// that type a character (`A`) on a keyboard of the US.
    async fn press(&self, key: &str) -> Result<(), MachineError>;
}

/// Optional power: a pointer.
#[async_trait]
pub trait Pointer: Send + Sync {
    /// Moves to a place of the screen, given as parts of its width and height from 0 (left, top) to 1.
    async fn move_to(&self, x: f64, y: f64) -> Result<(), MachineError>;

    /// Presses (`true`) or releases a button.
    async fn button(&self, button: Button, down: bool) -> Result<(), MachineError>;
}

/// A pointer's buttons. The wheel's turns are buttons, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Button {
    /// The left one.
    Left,
    /// The middle one.
    Middle,
    /// The right one.
    Right,
    /// The wheel, turned up.
    WheelUp,
    /// The wheel, turned down.
    WheelDown,
}

/// Optional power: QEMU's monitor.
#[async_trait]
pub trait Monitor: Send + Sync {
    /// Runs a line of the human monitor protocol and returns what it prints.
    async fn command(&self, line: &str) -> Result<String, MachineError>;

    /// Runs a QMP command. That QEMU refuses it is the inner error.
    async fn qmp(
        &self,
        command: &str,
        arguments: serde_json::Value,
    ) -> Result<Result<serde_json::Value, QmpRefusal>, MachineError>;

    /// All QMP events of this machine since it was started.
    fn events(&self) -> QmpEvents;
}

/// QEMU's answer to a command that it does not carry out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("QMP API error [{class}]: {description}")]
pub struct QmpRefusal {
    /// The class, such as `CommandNotFound`.
    pub class: String,
    /// What is wrong, in QEMU's words.
    pub description: String,
}

/// The QMP events of a machine, as they came. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct QmpEvents {
    events: Arc<Mutex<Vec<serde_json::Value>>>,
    count: Arc<watch::Sender<usize>>,
}

impl QmpEvents {
    /// Adds an event: a QMP message with the key `event`.
    pub fn push(&self, event: serde_json::Value) {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.push(event);
        self.count.send_replace(events.len());
    }

    /// All events from number `first` on, counted from 0.
    pub fn since(&self, first: usize) -> Vec<serde_json::Value> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).get(first..).unwrap_or_default().to_vec()
    }

    /// A receiver of the number of events, which changes with each new one.
    pub fn watch(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }
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
