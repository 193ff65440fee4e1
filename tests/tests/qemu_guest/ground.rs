//! One VM whose live guest the test gets its hands on.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use backend_qemu::Qemu;
use driver_core::backend::{Backend, Descriptors, StartRequest};
use driver_core::console::Console;
use driver_core::error::MachineError;
use driver_core::guest::{Command, Exit, Guest};
use driver_core::machine::Machine;
use driver_core::spec::{MachineSpec, Problem, TestSpec};
use tandem_tests::TestResult;
use tandem_tests::host_lock;
use tandem_tests::stage::{Stage, vm};
use tokio::time::{Instant, sleep, timeout};

/// An emulated machine takes half a minute to boot on a busy host.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

/// How long anything may take that should take moments.
pub(crate) const SOON: Duration = Duration::from_secs(30);

pub(crate) struct Ground {
    name: &'static str,
    stage: Stage,
    guests: Arc<Guests>,
}

impl Ground {
    /// A machine whose name no other test gives one.
    pub(crate) async fn new(name: &'static str) -> TestResult<Self> {
        let lock = tokio::task::spawn_blocking(host_lock::shared).await??;
        let guests = Arc::<Guests>::default();
        let spec = TestSpec::new("guest", vec![vm(name)]);
        let stage = Stage::over(vec![guests.clone()], lock, spec).await?;
        Ok(Self { name, stage, guests })
    }

    pub(crate) fn machine(&self) -> Machine {
        self.stage.machine(self.name)
    }

    /// Boots the machine until it takes commands.
    pub(crate) async fn boot(&self, allow_reboot: bool) -> TestResult<Arc<dyn Guest>> {
        let machine = self.machine();
        if allow_reboot {
            machine.start_allowing_reboot().await?;
        } else {
            machine.start().await?;
        }
        let guest = self.guests.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let guest = guest.ok_or("no guest was started")?;
        if timeout(PATIENCE, guest.ready()).await.is_err() {
            return Err(format!("it does not boot; {:?}", machine.console().last(30)).into());
        }
        guest.ready().await?;
        Ok(guest)
    }

    /// Waits until a line of the console contains `text`.
    pub(crate) async fn says(&self, text: &str) -> TestResult {
        let deadline = Instant::now() + PATIENCE;
        while !self.machine().console_log().contains(text) {
            if Instant::now() > deadline {
                return Err(format!("the console never says {text:?}").into());
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    pub(crate) async fn finish(self) -> TestResult {
        self.stage.finish().await
    }
}

/// Runs a command that must succeed.
pub(crate) async fn ask(guest: &dyn Guest, script: &str) -> TestResult<String> {
    let output = timeout(PATIENCE, guest.run(Command::new(script).timeout(Some(SOON)))).await??;
    if output.status == 0 { Ok(output.text()) } else { Err(format!("`{script}` ended so: {output:?}").into()) }
}

/// Waits for the machine's end.
pub(crate) async fn end(guest: &dyn Guest) -> TestResult<Exit> {
    Ok(timeout(PATIENCE, guest.exited()).await?)
}

/// QEMU's backend, which keeps the last guest that it started.
#[derive(Default)]
struct Guests {
    qemu: Qemu,
    last: Mutex<Option<Arc<dyn Guest>>>,
}

#[async_trait]
impl Backend for Guests {
    fn name(&self) -> &str {
        self.qemu.name()
    }

    fn preflight(&self, machines: &[&MachineSpec]) -> Vec<Problem> {
        self.qemu.preflight(machines)
    }

    fn check(&self, machine: &MachineSpec) -> Vec<Problem> {
        self.qemu.check(machine)
    }

    async fn start(
        &self,
        request: StartRequest,
        descriptors: Descriptors,
        console: Console,
    ) -> Result<Arc<dyn Guest>, MachineError> {
        let guest = self.qemu.start(request, descriptors, console).await?;
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(guest.clone());
        Ok(guest)
    }
}
