//! The backend: what test files call `container`.

use std::sync::Arc;

use async_trait::async_trait;
use driver_core::backend::{Backend, Descriptors, StartRequest};
use driver_core::console::Console;
use driver_core::error::MachineError;
use driver_core::guest::Guest;
use driver_core::need::Need;
use driver_core::spec::{MachineSpec, Problem};

use crate::guest::Container;
use crate::{argv, needs, nix_build, preflight};

/// Makes containers with systemd-nspawn.
#[derive(Clone, Debug, Default)]
pub struct Nspawn;

impl Nspawn {
    /// A backend that finds systemd-nspawn on the `PATH`.
    pub fn new() -> Self {
        Self
    }
}

#[async_trait]
impl Backend for Nspawn {
    fn name(&self) -> &'static str {
        "container"
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

    fn notes(&self, machine: &MachineSpec) -> Vec<String> {
        nix_build::notes(machine)
    }

    async fn start(
        &self,
        request: StartRequest,
        descriptors: Descriptors,
        console: Console,
    ) -> Result<Arc<dyn Guest>, MachineError> {
        if request.machine.start_script.is_some() {
            return Ok(Arc::new(Container::start_by_script(request, descriptors, console).await?));
        }
        let Some(program) = argv::find() else {
            return Err(MachineError::new(&request.machine.name, "start", "systemd-nspawn is not on the PATH"));
        };
        Ok(Arc::new(Container::start(program, request, descriptors, console).await?))
    }
}
