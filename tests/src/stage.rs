//! A run in the test's own process.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use backend_nspawn::Nspawn;
use backend_qemu::Qemu;
use driver_core::backend::Backend;
use driver_core::event::{Event, Recorder, Sink};
use driver_core::machine::Machine;
use driver_core::run::Run;
use driver_core::spec::{MachineSpec, TestSpec};
use tempfile::TempDir;

use crate::host_lock::{self, HostLock};
use crate::{TestResult, leftovers};

/// A run whose machines are containers and VMs. A test that fails drops it, which ends the run.
pub struct Stage {
    run: Run,
    record: Arc<Mutex<Vec<Event>>>,
    output: TempDir,
    _lock: HostLock,
}

impl Stage {
    /// Makes a run of these machines and starts none of them.
    pub async fn set(machines: Vec<MachineSpec>) -> TestResult<Self> {
        let lock = tokio::task::spawn_blocking(host_lock::shared).await??;
        Self::under(lock, TestSpec::new("stage", machines)).await
    }

    /// The same with a lock that the test holds already, and with all that can be said about a test.
    pub async fn under(lock: HostLock, spec: TestSpec) -> TestResult<Self> {
        Self::over(vec![Arc::new(Nspawn::new()), Arc::new(Qemu::new())], lock, spec).await
    }

    /// The same over these backends.
    pub async fn over(backends: Vec<Arc<dyn Backend>>, lock: HostLock, spec: TestSpec) -> TestResult<Self> {
        let output = tempfile::Builder::new().prefix("tandem-test-").tempdir()?;
        let record = Arc::<Mutex<Vec<Event>>>::default();
        let recorder = Recorder::new(vec![Box::new(Memory(record.clone()))]);
        let run = Run::start(&spec, &backends, recorder, output.path()).await?;
        Ok(Self { run, record, output, _lock: lock })
    }

    /// Makes a run of these machines and boots them all.
    pub async fn boot(machines: Vec<MachineSpec>) -> TestResult<Self> {
        let stage = Self::set(machines).await?;
        stage.run.start_all().await?;
        Ok(stage)
    }

    /// The run.
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// A machine that the test has declared.
    pub fn machine(&self, name: &str) -> Machine {
        self.run.machine(name).expect("the test has declared this machine").clone()
    }

    /// Where copied files go.
    pub fn output(&self) -> &Path {
        self.output.path()
    }

    /// All events so far.
    pub fn events(&self) -> Vec<Event> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends the run and fails unless nothing of it is left.
    pub async fn finish(self) -> TestResult {
        let name = self.run.name().to_owned();
        let failures = self.run.finish().await;
        if !failures.is_empty() {
            return Err(format!("the run could not be undone: {failures:?}").into());
        }
        let left = leftovers::of_run(&name)?;
        if left.is_empty() { Ok(()) } else { Err(format!("run {name} has left:\n  {}", left.join("\n  ")).into()) }
    }
}

/// Keeps events in memory.
struct Memory(Arc<Mutex<Vec<Event>>>);

impl Sink for Memory {
    fn event(&mut self, event: &Event) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(event.clone());
    }
}

/// A container as a test file that says nothing more about it declares it.
pub fn container(name: &str) -> MachineSpec {
    MachineSpec::new(name, "container")
}

/// The same of a VM.
pub fn vm(name: &str) -> MachineSpec {
    MachineSpec::new(name, "vm")
}
