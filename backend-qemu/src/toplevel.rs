//! A VM whose root is a NixOS system: an empty disk, the store, and what the system's init fills the disk with.

use std::io;

use driver_core::runtime_files;
use driver_core::spec::{MachineSpec, Problem, Root, Toplevel};

use crate::kernel::{Kernel, KernelError};

/// The kernel that the system was built with.
pub(crate) fn kernel(system: &Toplevel) -> Result<Kernel, KernelError> {
    let unreadable =
        |name: &str, error: io::Error| KernelError::unreadable(&system.store.join(&system.path).join(name))(error);
    let image = system.find("kernel").map_err(|error| unreadable("kernel", error))?;
    let modules = system.find("kernel-modules/lib/modules").map_err(|error| unreadable("kernel-modules", error))?;
    Kernel::with_modules(&image, &modules, system.root())
}

/// What keeps the machine's system from being one of a VM.
pub(crate) fn problem(machine: &MachineSpec) -> Option<Problem> {
    let Root::Toplevel(system) = &machine.root else { return None };
    if machine.kernel.is_some() || system.find("kernel").is_ok() {
        return None;
    }
    let shown = system.store.join(&system.path);
    Some(Problem::user(
        format!("machine `{}`: key `root`", machine.name),
        format!("`{}` is a NixOS system without a kernel, as containers have them", shown.display()),
        "use a container for it (`backend = \"container\"`), or build it without `boot.isContainer`",
    ))
}

/// The words for the kernel's command line that come before those of every VM, and those that come after them.
pub(crate) fn cmdline(root: &Root, machine: &str) -> (String, String) {
    let Root::Toplevel(system) = root else { return Default::default() };
    (system.kernel_params(), runtime_files::words(machine).join(" "))
}
