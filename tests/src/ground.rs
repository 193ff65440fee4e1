//! What the conformance suite stands on: one machine of a backend, booted again and again by [`Backend::start`] itself.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use backend_nspawn::Nspawn;
use driver_core::backend::{Backend, Descriptors, StartRequest};
use driver_core::console::Console;
use driver_core::error::MachineError;
use driver_core::event::Recorder;
use driver_core::fake::{FakeBackend, FakeMachine, Reply};
use driver_core::guest::{Command, Guest, Output};
use driver_core::run::Run;
use driver_core::spec::{MachineSpec, Machined, Problem, TestSpec, VlanId};
use netbridge::Segment;
use tempfile::TempDir;

use crate::host_lock::{self, HostLock};
use crate::{TestResult, leftovers};

/// How long anything may take that should take moments.
pub const SOON: Duration = Duration::from_secs(30);

/// A machine that can be booted.
pub struct Ground {
    /// The backend under test.
    pub backend: Arc<dyn Backend>,
    /// What a boot is asked for with.
    pub request: StartRequest,
    init: Arc<std::os::fd::OwnedFd>,
    segments: BTreeMap<VlanId, Arc<Segment>>,
    run: Option<Run>,
    /// The fake's script, if it is one.
    pub fake: Option<FakeMachine>,
    directory: TempDir,
    _lock: Option<HostLock>,
}

/// A machine that runs.
pub struct Booted {
    /// The machine.
    pub guest: Arc<dyn Guest>,
    /// What it says.
    pub console: Console,
}

impl Ground {
    /// A container with the host's root.
    pub async fn nspawn() -> TestResult<Self> {
        let lock = tokio::task::spawn_blocking(host_lock::shared).await??;
        let mut machine = MachineSpec::new("m", "container");
        machine.env.insert("OF_THE_MACHINE".into(), "its own".into());
        let directory = tempfile::tempdir()?;
        let thief = Arc::new(Thief::default());
        let backends: Vec<Arc<dyn Backend>> = vec![thief.clone()];
        let spec = TestSpec::new("conformance", vec![machine]);
        let run = Run::start(&spec, &backends, Recorder::new(vec![]), directory.path()).await?;
        // This only tells what a boot is asked for with.
        let _ = run.start_all().await;
        let stolen = thief.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (request, Descriptors { init, segments }) = stolen.ok_or("the run did not ask for a boot")?;
        let backend = Arc::new(Nspawn::new());
        Ok(Self { backend, request, init, segments, run: Some(run), fake: None, directory, _lock: Some(lock) })
    }

    /// A fake whose commands are run by the host's bash.
    pub fn fake() -> TestResult<Self> {
        let directory = tempfile::tempdir()?;
        let backend = FakeBackend::new();
        let fake = backend.machine("m");
        fake.reply("", Reply::host(directory.path()));
        let request = StartRequest {
            run: "fake".into(),
            machine: fake.spec(),
            hosts: Vec::new(),
            attachments: Vec::new(),
            state: directory.path().join("state"),
            cgroups: Vec::new(),
            first_id: None,
            allow_reboot: false,
            boot_timeout: SOON,
            machined: Machined::Never,
        };
        let init = Arc::new(File::open("/dev/null")?.into());
        let backend = Arc::new(backend);
        let segments = BTreeMap::new();
        Ok(Self { backend, request, init, segments, run: None, fake: Some(fake), directory, _lock: None })
    }

    /// A directory of the host's for the test's files.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Starts the machine and does not wait until it is ready.
    pub async fn launch(&self) -> TestResult<Booted> {
        let console = Console::new(Recorder::new(vec![]).machine("m"));
        let descriptors = Descriptors { init: self.init.clone(), segments: self.segments.clone() };
        let guest = self.backend.start(self.request.clone(), descriptors, console.clone()).await?;
        Ok(Booted { guest, console })
    }

    /// Boots the machine.
    pub async fn boot(&self) -> TestResult<Booted> {
        let booted = self.launch().await?;
        tokio::time::timeout(SOON, booted.guest.ready()).await??;
        Ok(booted)
    }

    /// Ends everything and fails unless nothing is left.
    pub async fn finish(self) -> TestResult {
        let Some(run) = self.run else { return Ok(()) };
        let name = run.name().to_owned();
        let failures = run.finish().await;
        let left = leftovers::of_run(&name)?;
        if failures.is_empty() && left.is_empty() { Ok(()) } else { Err(format!("left: {failures:?} {left:?}").into()) }
    }
}

impl Booted {
    /// Runs a command that has half a minute.
    pub async fn run(&self, script: &str) -> TestResult<Output> {
        let command = Command::new(script).timeout(Some(SOON));
        Ok(tokio::time::timeout(SOON * 2, self.guest.run(command)).await??)
    }

    /// Runs a command that must succeed and returns what it says.
    pub async fn ask(&self, script: &str) -> TestResult<String> {
        let output = self.run(script).await?;
        if output.status == 0 { Ok(output.text()) } else { Err(format!("`{script}` ended so: {output:?}").into()) }
    }

    /// Runs a command again and again until it succeeds.
    pub async fn until(&self, script: &str) -> TestResult {
        let deadline = tokio::time::Instant::now() + SOON;
        while self.run(script).await?.status != 0 {
            if tokio::time::Instant::now() > deadline {
                return Err(format!("`{script}` does not succeed").into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

/// A backend called `container` that starts nothing, but keeps what it was asked for with.
#[derive(Default)]
struct Thief(Mutex<Option<(StartRequest, Descriptors)>>);

#[async_trait]
impl Backend for Thief {
    fn name(&self) -> &'static str {
        "container"
    }

    fn preflight(&self, _machines: &[&MachineSpec]) -> Vec<Problem> {
        Vec::new()
    }

    fn check(&self, _machine: &MachineSpec) -> Vec<Problem> {
        Vec::new()
    }

    async fn start(
        &self,
        request: StartRequest,
        descriptors: Descriptors,
        _console: Console,
    ) -> Result<Arc<dyn Guest>, MachineError> {
        let error = MachineError::new(&request.machine.name, "start", "this backend starts nothing");
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((request, descriptors));
        Err(error)
    }
}
