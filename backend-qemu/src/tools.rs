//! What a VM boots with: programs, accelerator, kernel, and where its root is.

use std::fs::File;
use std::path::PathBuf;

use driver_core::event::Level;
use driver_core::spec::{MachineSpec, Problem, Root};

use crate::accel::{self, Accel, Host};
use crate::arch::Arch;
use crate::image;
use crate::initramfs::{Source, Upper};
use crate::kernel::{Kernel, KernelError};
use crate::volume::{FileSystem, Volume};
use crate::{packed, process, toplevel};

/// Processors of a VM that does not say.
pub(crate) const CPUS: u32 = 1;

/// Memory in MiB of a VM that does not say.
pub(crate) const MEMORY: u64 = 1024;

/// The tag of the share that shows the root, or the store of one that is empty.
pub(crate) const ROOT_TAG: &str = "root";

/// The first disk, in a guest.
const FIRST_DISK: &str = "/dev/vda";

/// What a VM boots with, found out before.
#[derive(Clone, Debug)]
pub(crate) struct Tools {
    pub(crate) arch: &'static Arch,
    pub(crate) qemu: PathBuf,
    /// Where the root is a share.
    pub(crate) virtiofsd: Option<PathBuf>,
    pub(crate) accel: Accel,
    pub(crate) kernel: Kernel,
    /// Where the root is a disk that our initramfs mounts, what of it can be the root.
    pub(crate) volumes: Option<Vec<Volume>>,
}

impl Tools {
    /// Finds them out again, as the checks did, and downloads a kernel if there is none. Blocks. `told` is for the user.
    pub(crate) fn of(machine: &MachineSpec, told: impl Fn(Level, String)) -> Result<Self, String> {
        let arch = Arch::of_host().ok_or("there are no VMs on this architecture")?;
        let qemu = process::find(arch.qemu).ok_or_else(|| format!("{} is not on the PATH", arch.qemu))?;
        let virtiofsd = process::virtiofsd();
        if virtiofsd.is_none() && has_share(machine) {
            return Err("there is no virtiofsd".into());
        }
        let (accel, why) = accel::choose(machine.accel, arch, &Host::ask()).map_err(|problem| problem.to_string())?;
        told(Level::Info, format!("instructions are run by {why}"));
        let broken = |error: KernelError| format!("{error}; {}", error.cure());
        let kernel = if let Some(kernel) = kernel(machine).map_err(broken)? {
            kernel
        } else {
            told(Level::Info, "this host has no kernel for VMs: downloading Debian's into the cache".into());
            Kernel::download().map_err(broken)?
        };
        if machine.initrd.is_none()
            && let Some(doubt) = kernel.doubt()
        {
            told(Level::Warning, format!("{doubt}; taking all that it needs for built in"));
        }
        let volumes = volumes(machine, arch).map_err(|problem| problem.to_string())?;
        Ok(Self { arch, qemu, virtiofsd, accel, kernel, volumes })
    }

    /// Where the guest's root comes from.
    pub(crate) fn source(&self, root: &Root) -> Source<'_> {
        source(root, self.volumes.as_deref())
    }
}

/// Where such a root of a guest comes from, whose disk has these volumes.
pub(crate) fn source<'a>(root: &Root, volumes: Option<&'a [Volume]>) -> Source<'a> {
    match volumes {
        _ if matches!(root, Root::Toplevel(_)) => Source::Empty { device: FIRST_DISK, store: ROOT_TAG },
        Some(volumes) => Source::Disk { device: FIRST_DISK, volumes },
        None => Source::Share { tag: ROOT_TAG, upper: Upper::Disk(FIRST_DISK) },
    }
}

/// Whether the root is shown by virtiofsd.
pub(crate) fn has_share(machine: &MachineSpec) -> bool {
    has_files(machine) && !is_packed(machine)
}

/// Whether the root comes as files. What an initrd of the test's boots gets no root but a disk.
pub(crate) fn has_files(machine: &MachineSpec) -> bool {
    machine.initrd.is_none() && !matches!(machine.root, Root::Image(_))
}

/// Whether the root's files are packed into a disk.
pub(crate) fn is_packed(machine: &MachineSpec) -> bool {
    has_files(machine) && matches!(&machine.root, Root::Directory(directory) if packed::has_to_be(directory))
}

/// The kernel of a machine; none if it is to be downloaded.
pub(crate) fn kernel(machine: &MachineSpec) -> Result<Option<Kernel>, KernelError> {
    match (&machine.kernel, &machine.initrd) {
        // It may be anything that QEMU boots.
        (Some(image), Some(_)) => {
            File::open(image).map_err(KernelError::unreadable(image))?;
            Ok(Some(Kernel { image: image.clone(), release: String::new(), modules: None, root: "/".into() }))
        }
        (Some(image), None) => Kernel::at(image).map(Some),
        (None, _) => match &machine.root {
            Root::Toplevel(system) => toplevel::kernel(system).map(Some),
            // Where builds run, there is a host in name only, while roots have kernels of theirs.
            root => Ok(Kernel::of_host().or_else(|| of_root(root)).or_else(Kernel::cached)),
        },
    }
}

/// Whether a machine boots a kernel of the host's, or of the cache.
pub(crate) fn takes_hosts_kernel(machine: &MachineSpec) -> bool {
    let brings = match &machine.root {
        Root::Toplevel(_) => true,
        root => Kernel::of_host().is_none() && of_root(root).is_some(),
    };
    machine.kernel.is_none() && !brings
}

/// The kernel that a root brings.
fn of_root(root: &Root) -> Option<Kernel> {
    match root {
        Root::Directory(root) => Kernel::of_root(root),
        _ => None,
    }
}

/// The volumes of a machine's disk that can be its root; none if its root is no disk, or none of ours to find.
pub(crate) fn volumes(machine: &MachineSpec, arch: &Arch) -> Result<Option<Vec<Volume>>, Problem> {
    match &machine.root {
        Root::Image(image) if machine.initrd.is_none() => image::roots(image, arch.root_partition)
            .map(Some)
            .map_err(|error| image::problem(machine, "root", image, &error)),
        _ if is_packed(machine) => Ok(Some(vec![Volume { partition: None, kind: FileSystem::Ext4 }])),
        _ => Ok(None),
    }
}
