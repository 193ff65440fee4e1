//! A backend whose machines are process trees in namespaces of their own, without systemd.

mod boot;
mod command;
mod guest;

use std::sync::Arc;

use async_trait::async_trait;
use driver_core::MachineError;
use driver_core::backend::{Backend, Descriptors, StartRequest};
use driver_core::console::Console;
use driver_core::guest::Guest;
use driver_core::spec::{MachineSpec, Problem, Root};

/// Makes sandboxes.
#[derive(Clone, Copy, Debug)]
pub struct Sandbox;

#[async_trait]
impl Backend for Sandbox {
    fn name(&self) -> &'static str {
        "sandbox"
    }

    fn preflight(&self, _machines: &[&MachineSpec]) -> Vec<Problem> {
        if rustix::process::geteuid().is_root() {
            return Vec::new();
        }
        vec![Problem::host("sandboxes: user", "they need root, to make namespaces and mounts", "run it as root")]
    }

    fn check(&self, machine: &MachineSpec) -> Vec<Problem> {
        let cure = "use a container for it, or take the key out";
        let mut problems = machine.refuse_all_but(&[], cure);
        let mut refuse = |key: &str, why: &str| {
            problems.push(Problem::user(format!("machine `{}`: key `{key}`", machine.name), why, cure));
        };
        if machine.root != Root::Host {
            refuse("root", "a sandbox has the host's root");
        }
        if !machine.units.is_empty() {
            refuse("units", "a sandbox has no systemd");
        }
        problems
    }

    async fn start(
        &self,
        request: StartRequest,
        descriptors: Descriptors,
        console: Console,
    ) -> Result<Arc<dyn Guest>, MachineError> {
        Ok(Arc::new(guest::Sandboxed::start(request, descriptors, console).await?))
    }
}
