//! Which backend makes a machine.

use std::sync::Arc;

use crate::backend::Backend;
use crate::spec::{MachineSpec, Problem, TestSpec, nearest};

/// The machines of a test that a backend makes.
pub fn machines_of<'a>(backend: &dyn Backend, spec: &'a TestSpec) -> Vec<&'a MachineSpec> {
    spec.machines.iter().filter(|machine| machine.backend == backend.name()).collect()
}

/// The backend that a machine asks for.
pub(super) fn backend_of(machine: &MachineSpec, backends: &[Arc<dyn Backend>]) -> Result<Arc<dyn Backend>, Problem> {
    if let Some(backend) = backends.iter().find(|backend| backend.name() == machine.backend) {
        return Ok(backend.clone());
    }
    let names: Vec<&str> = backends.iter().map(|backend| backend.name()).collect();
    let cure = match nearest(&machine.backend, names.iter().copied()) {
        Some(name) => format!("did you mean \"{name}\"?"),
        None => format!("known are: {}", names.join(", ")),
    };
    let subject = format!("machine `{}`: key `backend`", machine.name);
    Err(Problem::user(subject, format!("there is no backend \"{}\"", machine.backend), cure))
}
