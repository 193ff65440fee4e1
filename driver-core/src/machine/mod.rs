//! A machine of a test: the handle with the verbs that scripts use.
//!
//! A [`Machine`] is made once for each machine of a test and outlives its boots: it can be shut down, crash and be started again. Every verb
//! that needs a running machine starts it. Each verb may be cancelled by dropping its future; the machine stays usable.
//!
//! Verbs fail with [`Error::Refused`] when the test asked for something that is not so (a command failed, a wait's time was up, a stopped
//! machine should crash), and with [`Error::Machine`] when the machine or its channel broke.

mod archive;
mod boot;
mod command;
mod condition;
mod console;
mod files;
mod forward;
mod interact;
mod keyboard;
mod link;
mod listener;
mod monitor;
mod ocr;
mod pattern;
mod picture;
mod pointer;
mod power;
mod process;
mod screen;
mod shell;
mod sockets;
mod ssh;
mod start;
mod state;
mod terminal;
#[cfg(test)]
mod tests;
mod tty;
mod units;

pub use ocr::tesseract;
pub use process::Process;
pub use screen::ScreenTexts;
pub(crate) use ssh::vsock_sockets;

use std::collections::BTreeMap;
use std::future::Future;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use netbridge::Segment;

use crate::console::Console;
use crate::error::{Error, MachineError};
use crate::event::{Recorder, SpanId};
use crate::guest::Guest;
use crate::network::Attachment;
use crate::spec::MachineSpec;
use forward::Forwards;
use ssh::Backdoor;
use start::Power;

/// What the host grants a guest beyond a deadline that the guest itself should have kept.
const GRACE: Duration = Duration::from_secs(10);

/// How long a device of a machine may take to do what it is told, before [`GRACE`]; an emulated one on a busy host takes some time.
const DEVICE: Duration = Duration::from_secs(20);

/// Upstream's deadline for verbs that are not told one.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// Starts one particular machine: its backend with all that a start needs.
#[async_trait]
pub trait Launch: Send + Sync {
    /// Starts the machine and returns as soon as it is launched, as [`Backend::start`](crate::backend::Backend::start) does.
    async fn launch(&self, allow_reboot: bool, console: Console) -> Result<Arc<dyn Guest>, MachineError>;

    /// How many machines of this one's backend the host has room to boot at a time
    /// ([`Backend::boots_at_once`](crate::backend::Backend::boots_at_once)).
    fn boots_at_once(&self) -> Option<usize> {
        None
    }

    /// The LAN that this interface of the machine's is on, counted from 0, and the machine's addresses there; none where there is no such
    /// interface.
    fn attachment(&self, _index: usize) -> Option<(Arc<Segment>, Attachment)> {
        None
    }

    /// The machine's own directory and the one that it shares with others, as a script in the run's namespaces sees them. They need not exist.
    fn directories(&self) -> Option<(PathBuf, PathBuf)> {
        None
    }

    /// Lets the machine keep its state in this directory from its next start on; false where it cannot.
    fn keep_state_in(&self, _directory: &Path) -> bool {
        false
    }

    /// Where a driver finds the machine's sockets of the family `AF_VSOCK`, if a device for them was made.
    fn vsock(&self) -> Option<PathBuf> {
        None
    }

    /// A pid of the driver's as processes of the run see it.
    fn pid_inside(&self, pid: u32) -> Option<u32> {
        Some(pid)
    }

    /// Whether some machine of the run has this address.
    fn is_taken(&self, _address: IpAddr) -> bool {
        false
    }
}

/// What a machine is told by its run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The run's output directory, into which files are copied.
    pub output: PathBuf,
    /// How long a boot may take. The backend enforces it; the machine does so too, a little later.
    pub boot_timeout: Duration,
    /// How long powering off may take.
    pub stop_timeout: Duration,
}

impl Options {
    /// Options with five minutes each to boot and to power off.
    pub fn new(output: impl Into<PathBuf>) -> Self {
        Self { output: output.into(), boot_timeout: Duration::from_secs(300), stop_timeout: Duration::from_secs(300) }
    }
}

/// A machine of a test. Clones are the same machine.
///
/// Dropping the last clone kills the machine without waiting for it.
#[derive(Clone)]
pub struct Machine {
    shared: Arc<Shared>,
    recorder: Recorder,
}

struct Shared {
    spec: MachineSpec,
    launch: Arc<dyn Launch>,
    /// The machine's recorder, outside of any span.
    recorder: Recorder,
    options: Options,
    power: Mutex<Power>,
    forwards: Mutex<Forwards>,
    backdoor: Mutex<Option<Backdoor>>,
}

impl Machine {
    /// A machine that is not running yet.
    #[expect(clippy::needless_pass_by_value, reason = "the handle takes the recorder over")]
    pub fn new(spec: MachineSpec, launch: Arc<dyn Launch>, recorder: Recorder, options: Options) -> Self {
        let recorder = recorder.machine(&spec.name);
        let base = recorder.within(None);
        let power = Mutex::new(Power::new(Console::new(base.clone())));
        let (forwards, backdoor) = (Mutex::default(), Mutex::default());
        let shared = Shared { spec, launch, recorder: base, options, power, forwards, backdoor };
        Self { shared: Arc::new(shared), recorder }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.shared.spec.name
    }

    /// What the test asked for.
    pub fn spec(&self) -> &MachineSpec {
        &self.shared.spec
    }

    /// Where this handle's verbs are recorded.
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// The same machine, its verbs recorded inside `span`.
    #[must_use]
    pub fn within(&self, span: Option<SpanId>) -> Self {
        Self { shared: self.shared.clone(), recorder: self.recorder.within(span) }
    }

    /// Does `work` in a span of its own.
    async fn step<T, F>(&self, title: impl Into<String>, work: impl FnOnce(Self) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        self.step_with(title, BTreeMap::new(), work).await
    }

    /// The same, of a span with attributes.
    async fn step_with<T, F>(
        &self,
        title: impl Into<String>,
        attributes: BTreeMap<String, String>,
        work: impl FnOnce(Self) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let span = self.recorder.span_with(title, false, attributes);
        let result = work(self.within(Some(span.id()))).await;
        span.finish(result.as_ref().err().map(ToString::to_string));
        result
    }

    /// The test asked for something that is not so.
    fn refused(&self, message: impl Into<String>) -> Error {
        Error::Refused { machine: self.name().into(), message: message.into() }
    }

    /// The test asked for something that this machine, as it is, cannot do.
    fn cannot(&self, verb: &str, why: &str) -> Error {
        self.refused(format!("machine {}: {verb}: {why}", self.name()))
    }

    /// The test asked for a power that machines of this backend do not have, such as a `keyboard`.
    fn lacks(&self, verb: &str, power: &str) -> Error {
        self.cannot(verb, &format!("a machine of backend `{}` has no {power}", self.spec().backend))
    }

    /// What kind of machine upstream's messages call it.
    fn kind(&self) -> &'static str {
        match self.spec().backend.as_str() {
            "vm" => "VM",
            "container" => "container",
            _ => "machine",
        }
    }

    fn power(&self) -> MutexGuard<'_, Power> {
        self.shared.power()
    }
}

impl Shared {
    fn power(&self) -> MutexGuard<'_, Power> {
        self.power.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine").field("name", &self.name()).finish_non_exhaustive()
    }
}
