//! The backend: what test files call `vm`.

use std::sync::Arc;

use async_trait::async_trait;
use driver_core::backend::{Backend, Descriptors, StartRequest};
use driver_core::console::Console;
use driver_core::error::MachineError;
use driver_core::guest::Guest;
use driver_core::spec::{MachineSpec, Problem, Root};

use crate::accel::{self, Asked, Host};
use crate::arch::Arch;
use crate::boot::Tools;
use crate::guest::Vm;
use crate::kernel::Kernel;
use crate::{process, start_script};

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
        let mut problems = Vec::new();
        let mut lacks =
            |what: &str, why: &str, cure: &str| problems.push(Problem::host(format!("VMs: {what}"), why, cure));
        if !rustix::process::geteuid().is_root() {
            lacks("user", "they need root, to make namespaces and mounts", "run it as root, for example with sudo");
        }
        // A start script brings what its machine needs.
        if !machines.is_empty() && machines.iter().all(|machine| machine.start_script.is_some()) {
            return problems;
        }
        match Arch::of_host() {
            None => lacks("architecture", "this one is not supported", "use x86_64 or aarch64"),
            Some(arch) if process::find(arch.qemu).is_none() => {
                lacks(
                    "QEMU",
                    &format!("{} is not on the PATH", arch.qemu),
                    "install it: `apt-get install qemu-system` on Debian",
                );
            }
            Some(_) => {}
        }
        if process::virtiofsd().is_none() {
            lacks(
                "virtiofsd",
                "it is not installed",
                "install it: `apt-get install qemu-system-common` or `virtiofsd` on Debian",
            );
        }
        if process::find("mke2fs").is_none() {
            lacks("mke2fs", "it is not on the PATH", "install e2fsprogs");
        }
        problems
    }

    fn check(&self, machine: &MachineSpec) -> Vec<Problem> {
        if machine.start_script.is_some() {
            return start_script::check(machine);
        }
        let mut problems = machine.refuse_all_but(&[], "use a container for it, or take the key out");
        if matches!(machine.root, Root::Tar(_) | Root::Image(_)) {
            problems.push(Problem::user(
                format!("machine `{}`: key `root`", machine.name),
                "a VM's root cannot be a file yet",
                "give a directory",
            ));
        }
        problems
    }

    async fn start(
        &self,
        request: StartRequest,
        descriptors: Descriptors,
        console: Console,
    ) -> Result<Arc<dyn Guest>, MachineError> {
        if let Some(script) = &request.machine.start_script {
            let boot = start_script::boot(script, &request, &descriptors, &console).await?;
            return Ok(Arc::new(Vm::booting(boot, request, console)?));
        }
        let name = request.machine.name.clone();
        let lacking = |cause: String| MachineError::new(&name, "start", cause);
        let tools = tokio::task::spawn_blocking(tools).await;
        let tools = tools.map_err(|error| lacking(error.to_string()))?.map_err(lacking)?;
        Ok(Arc::new(Vm::start(&tools, request, descriptors, console).await?))
    }
}

fn tools() -> Result<Tools, String> {
    let arch = Arch::of_host().ok_or("there are no VMs on this architecture")?;
    let qemu = process::find(arch.qemu).ok_or_else(|| format!("{} is not on the PATH", arch.qemu))?;
    let virtiofsd = process::virtiofsd().ok_or("there is no virtiofsd")?;
    let (accel, _) = accel::choose(Asked::Auto, arch, &Host::ask()).map_err(|problem| problem.to_string())?;
    let kernel = match Kernel::of_host().or_else(Kernel::cached) {
        Some(kernel) => kernel,
        None => Kernel::download().map_err(|error| format!("{error}; {}", error.cure()))?,
    };
    Ok(Tools { arch, qemu, virtiofsd, accel, kernel })
}
