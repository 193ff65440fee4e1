//! What cases stand on: a run with two machines of a backend, by their verbs and as the backend's own guests.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use driver_core::backend::{Backend, Descriptors, StartRequest};
use driver_core::console::Console;
use driver_core::error::MachineError;
use driver_core::event::Recorder;
use driver_core::guest::{Command, Guest, Output};
use driver_core::machine::Machine;
use driver_core::run::Run;
use driver_core::spec::{MachineSpec, Problem, TestSpec};
use tempfile::TempDir;

use super::{Power, Subject};
use crate::host_lock::{self, HostLock};
use crate::{TestResult, leftovers};

/// The machine that most cases are about.
pub const ONE: &str = "one";

/// Its peer on the LAN.
pub const TWO: &str = "two";

/// How long anything may take that should take moments, also in an emulated machine on a busy host.
pub const SOON: Duration = Duration::from_secs(90);

/// How long a boot may take: in an emulated machine on a busy host, minutes.
const BOOT: Duration = Duration::from_secs(300);

/// A run with two machines. Commands of its own go to the first one's guest as they are.
pub struct Stage {
    run: Run,
    backend: Arc<Spy>,
    spec: MachineSpec,
    cannot: Vec<Power>,
    output: TempDir,
    directory: TempDir,
    _lock: HostLock,
}

impl Stage {
    /// Makes a run of two machines and starts none.
    pub(super) async fn set(subject: &Subject) -> TestResult<Self> {
        let lock = tokio::task::spawn_blocking(host_lock::shared).await??;
        let (output, directory) = (tempfile::tempdir()?, tempfile::tempdir()?);
        let mut spec = subject.machine.clone();
        spec.env.insert("OF_THE_MACHINE".into(), "its own".into());
        let machines = [ONE, TWO].map(|name| MachineSpec { name: name.into(), ..spec.clone() });
        let mut test = TestSpec::new("conformance", machines.to_vec());
        test.boot_timeout = BOOT;
        let backend = Arc::new(Spy { inner: subject.backend.clone(), seen: Mutex::default() });
        let backends: Vec<Arc<dyn Backend>> = vec![backend.clone()];
        let run = Run::start(&test, &backends, Recorder::new(vec![]), output.path()).await?;
        let cannot = subject.cannot.iter().map(|cannot| cannot.power).collect();
        Ok(Self { run, backend, spec, cannot, output, directory, _lock: lock })
    }

    /// The backend.
    pub fn backend(&self) -> &dyn Backend {
        &*self.backend.inner
    }

    /// The first machine as the test declares it.
    pub fn spec(&self) -> MachineSpec {
        MachineSpec { name: ONE.into(), ..self.spec.clone() }
    }

    /// Whether its machines can do this.
    pub fn can(&self, power: Power) -> bool {
        !self.cannot.contains(&power)
    }

    /// As many bytes as a machine should move without much ado: fewer through a shell on an emulated console.
    pub fn many_bytes(&self) -> usize {
        if self.can(Power::Overlap) { 10_000_000 } else { 1_000_000 }
    }

    /// The run.
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// The first machine.
    pub fn one(&self) -> &Machine {
        self.run.machine(ONE).expect("it was declared")
    }

    /// The second machine.
    pub fn two(&self) -> &Machine {
        self.run.machine(TWO).expect("it was declared")
    }

    /// The first machine, which takes commands: started if it does not run.
    pub async fn up(&self) -> TestResult<&Machine> {
        self.one().start().await?;
        self.one().succeed("true", Some(SOON)).await?;
        Ok(self.one())
    }

    /// The first machine's guest, of its current boot or the last one.
    pub fn guest(&self) -> TestResult<Arc<dyn Guest>> {
        let seen = self.backend.seen();
        let guest = seen.get(ONE).and_then(|seen| seen.guest.upgrade());
        Ok(guest.ok_or("the machine was not started, or its guest is gone")?)
    }

    /// Starts one more guest of the first machine, which must be down and must have run, as the backend does it: not by a verb, nor ready.
    pub async fn launch(&self) -> TestResult<Arc<dyn Guest>> {
        let start = self.backend.seen().get(ONE).map(|seen| (seen.request.clone(), seen.descriptors()));
        let (request, descriptors) = start.ok_or("the machine was never started")?;
        let console = Console::new(Recorder::new(vec![]).machine(ONE));
        Ok(self.backend.inner.start(request, descriptors, console).await?)
    }

    /// Runs a command as the guest has it, with a deadline.
    pub async fn command(&self, script: &str) -> TestResult<Output> {
        let command = Command::new(script).timeout(Some(SOON));
        Ok(tokio::time::timeout(SOON * 2, self.guest()?.run(command)).await??)
    }

    /// Runs a command that must succeed and returns what it says.
    pub async fn ask(&self, script: &str) -> TestResult<String> {
        let output = self.command(script).await?;
        if output.status == 0 { Ok(output.text()) } else { Err(format!("`{script}` ended so: {output:?}").into()) }
    }

    /// Runs a command again and again until it succeeds.
    pub async fn until(&self, script: &str) -> TestResult {
        let deadline = tokio::time::Instant::now() + SOON;
        while self.command(script).await?.status != 0 {
            if tokio::time::Instant::now() > deadline {
                return Err(format!("`{script}` does not succeed").into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Where copied files go.
    pub fn output(&self) -> &Path {
        self.output.path()
    }

    /// A directory of the host's for a case's files.
    pub fn directory(&self, name: &str) -> TestResult<PathBuf> {
        let path = self.directory.path().join(name);
        std::fs::create_dir(&path)?;
        Ok(path)
    }

    /// The processes of the run, but for its init: those in its pid namespace, and not those in namespaces below it.
    pub fn processes(&self) -> TestResult<Vec<i32>> {
        let init = driver_core::process::pid_of(self.run.init().as_fd())?;
        let namespace = |pid: i32| std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
        let own = namespace(init).ok_or("the run's init is gone")?;
        let pids = std::fs::read_dir("/proc")?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        Ok(pids.filter(|pid| *pid != init && namespace(*pid).as_ref() == Some(&own)).collect())
    }

    /// Ends the run and fails unless nothing of it is left.
    pub(super) async fn finish(self) -> TestResult {
        let name = self.run.name().to_owned();
        let failures = self.run.finish().await;
        let left = leftovers::of_run(&name)?;
        if failures.is_empty() && left.is_empty() { Ok(()) } else { Err(format!("left: {failures:?} {left:?}").into()) }
    }
}

/// A backend that takes note of what it is asked for.
struct Spy {
    inner: Arc<dyn Backend>,
    seen: Mutex<BTreeMap<String, Seen>>,
}

/// A machine's last start.
struct Seen {
    request: StartRequest,
    descriptors: Descriptors,
    /// Not held, because a guest ends with its last handle.
    guest: Weak<dyn Guest>,
}

impl Seen {
    fn descriptors(&self) -> Descriptors {
        copy(&self.descriptors)
    }
}

fn copy(descriptors: &Descriptors) -> Descriptors {
    Descriptors { init: descriptors.init.clone(), segments: descriptors.segments.clone() }
}

impl Spy {
    fn seen(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Backend for Spy {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn preflight(&self, machines: &[&MachineSpec]) -> Vec<Problem> {
        self.inner.preflight(machines)
    }

    fn check(&self, machine: &MachineSpec) -> Vec<Problem> {
        self.inner.check(machine)
    }

    fn boots_at_once(&self) -> Option<usize> {
        self.inner.boots_at_once()
    }

    async fn start(
        &self,
        request: StartRequest,
        descriptors: Descriptors,
        console: Console,
    ) -> Result<Arc<dyn Guest>, MachineError> {
        let again = (request.clone(), copy(&descriptors));
        let guest = self.inner.start(request, descriptors, console).await?;
        let (request, descriptors) = again;
        let name = request.machine.name.clone();
        self.seen().insert(name, Seen { request, descriptors, guest: Arc::downgrade(&guest) });
        Ok(guest)
    }
}
