//! The backend: what test files call `vm`.

use std::num::NonZero;
use std::sync::Arc;
use std::thread::available_parallelism;

use async_trait::async_trait;
use driver_core::backend::{Backend, Descriptors, StartRequest};
use driver_core::console::Console;
use driver_core::error::MachineError;
use driver_core::event::Level;
use driver_core::guest::Guest;
use driver_core::need::Need;
use driver_core::spec::{MachineSpec, Problem};

use crate::guest::Vm;
use crate::tools::Tools;
use crate::{needs, preflight, start_script};

/// Makes VMs with QEMU.
#[derive(Clone, Debug, Default)]
pub struct Qemu;

impl Qemu {
    /// A backend that finds QEMU on the `PATH` and a kernel on the host or in the cache.
    pub fn new() -> Self {
        Self
    }
}

#[async_trait]
impl Backend for Qemu {
    fn name(&self) -> &'static str {
        "vm"
    }

    fn preflight(&self, machines: &[&MachineSpec]) -> Vec<Problem> {
        driver_core::need::problems(&needs::needs(machines))
    }

    fn needs(&self, machines: &[&MachineSpec]) -> Vec<Need> {
        needs::needs(machines)
    }

    fn check(&self, machine: &MachineSpec) -> Vec<Problem> {
        preflight::machine(machine)
    }

    /// As many as there are processors: a boot keeps one busy from its first moment to its last.
    fn boots_at_once(&self) -> Option<usize> {
        Some(available_parallelism().map_or(1, NonZero::get))
    }

    async fn start(
        &self,
        request: StartRequest,
        descriptors: Descriptors,
        console: Console,
    ) -> Result<Arc<dyn Guest>, MachineError> {
        console.recorder().message(Level::Info, "starting vm");
        if let Some(script) = &request.machine.start_script {
            let boot = start_script::boot(script, &request, &descriptors, &console).await?;
            let name = request.machine.name.clone();
            let vm = Vm::of(boot, request, console);
            return Ok(Arc::new(
                vm.map_err(|error| MachineError::new(name, "start", error.to_string()).source(error))?,
            ));
        }
        let (machine, recorder) = (request.machine.clone(), console.recorder().clone());
        let lacking = |cause: String| MachineError::new(&request.machine.name, "start", cause);
        let tools = move || Tools::of(&machine, |level, text| recorder.message(level, text));
        let tools = tokio::task::spawn_blocking(tools).await;
        let tools = tools.map_err(|error| lacking(error.to_string()))?.map_err(lacking)?;
        Ok(Arc::new(Vm::start(&tools, request, descriptors, console).await?))
    }
}
