//! What a host must have for VMs.

use driver_core::need::{Ask, Cure, Need, Place, Where, find, program};
use driver_core::spec::{MachineSpec, Root};

use crate::accel::{self, Host};
use crate::arch::Arch;
use crate::kernel::Kernel;
use crate::{image, initramfs, memory, process, tools};

const GROUP: &str = "VMs";

/// What these VMs need together, or any if there are none.
pub(crate) fn needs(machines: &[&MachineSpec]) -> Vec<Need> {
    let mut needs = Vec::new();
    // A start script brings what its machine needs.
    let own: Vec<&MachineSpec> = machines.iter().copied().filter(|machine| machine.start_script.is_none()).collect();
    if own.is_empty() && !machines.is_empty() {
        return needs;
    }
    let any = |asks: fn(&MachineSpec) -> bool| own.is_empty() || own.iter().any(|machine| asks(machine));
    match Arch::of_host() {
        None => {
            let (found, cure) = ("this one is not supported", Cure::new("use x86_64 or aarch64"));
            needs.push(Need::missing(GROUP, "architecture", "QEMU runs guests of this host's own", found, cure));
        }
        Some(arch) => {
            let cure = Cure::package("qemu-system", "qemu-kvm", "qemu");
            needs.push(program(GROUP, arch.qemu, "it runs them", find(arch.qemu), cure));
            needs.push(accel::need(GROUP, arch, &Host::ask()));
        }
    }
    if any(tools::has_share) {
        needs.push(virtiofsd());
    }
    if any(tools::has_files) {
        let need = program(GROUP, "mke2fs", "it makes the disk above a shared root", find("mke2fs"), e2fsprogs());
        // Its first word is no version but a mistake.
        let ask = need.ask.clone().map(|ask| Ask { arguments: vec!["-V".into()], ..ask });
        needs.push(Need { ask, ..need });
    }
    if any(tools::takes_hosts_kernel) {
        needs.push(kernel(own.is_empty()));
    }
    if own.iter().any(|machine| tools::is_packed(machine)) {
        needs.push(program(
            GROUP,
            image::PROGRAM,
            "roots whose files belong to others are copied into images",
            find(image::PROGRAM),
            image::cure(),
        ));
    } else if own.is_empty() {
        let need = program(GROUP, image::PROGRAM, "it reads disk images", find(image::PROGRAM), image::cure());
        needs.push(need.or_limited("it is not on the PATH: machines cannot have disk images"));
    }
    needs.push(memory::need(GROUP, &own));
    needs
}

fn virtiofsd() -> Need {
    const NAME: &str = "virtiofsd";
    let cure = Cure::new("install it")
        .line(Where::Debian, "apt-get install qemu-system-common || apt-get install virtiofsd")
        .line(Where::Fedora, "dnf install virtiofsd")
        .line(Where::NixOs, "environment.systemPackages = [ pkgs.virtiofsd ];");
    let need = program(GROUP, NAME, "it shows them a directory as their root", process::virtiofsd(), cure);
    if need.is_missing() { Need { found: "it is not installed".into(), ..need } } else { need }
}

fn e2fsprogs() -> Cure {
    Cure::package("e2fsprogs", "e2fsprogs", "e2fsprogs")
}

/// A kernel for guests that bring none. If they are `any`, they may as well bring theirs, and have a shared root, which takes modules.
fn kernel(any: bool) -> Need {
    const NAME: &str = "kernel";
    const PURPOSE: &str = "VMs boot it that do not name theirs";
    let install = || {
        Cure::new("install one, or name one by the key `kernel`")
            .line(Where::Debian, format!("apt-get install {}", Kernel::package()))
            .line(Where::Fedora, "dnf install kernel-core")
    };
    let Some(kernel) = Kernel::of_host().or_else(Kernel::cached) else {
        return match Kernel::cannot_download() {
            _ if Place::current() == Place::NixBuild => {
                let cure = Cure::new("name one in the store by the key `kernel`");
                let need = Need::missing(GROUP, NAME, PURPOSE, "none here, and a build downloads nothing", cure);
                if any { need.or_limited("none here: VMs have to name theirs") } else { need }
            }
            None => {
                let found = format!("none here: the first run downloads {}", Kernel::package());
                Need::limited(GROUP, NAME, PURPOSE, found, install())
            }
            Some(error) => {
                let found = format!("neither the host nor the cache has one, and {error}");
                Need::missing(GROUP, NAME, PURPOSE, found, Cure { advice: error.cure(), ..install() })
            }
        };
    };
    let shown = format!("Linux {} ({})", kernel.release, kernel.image.display());
    // Whether it has the modules for a machine's own root is looked at with the machine.
    match any.then(|| initramfs::check(&kernel, &tools::source(&Root::Host, None))) {
        None => Need::ok(GROUP, NAME, PURPOSE, shown),
        Some(Ok(())) => Need::ok(GROUP, NAME, PURPOSE, format!("{shown} with the modules it takes")),
        Some(Err(error)) => Need::limited(GROUP, NAME, PURPOSE, error.to_string(), Cure::new(error.cure())),
    }
}

#[cfg(test)]
mod tests {
    use driver_core::spec::{Image, ImageFormat};

    use super::*;

    fn names(machines: &[&MachineSpec]) -> Vec<String> {
        needs(machines).into_iter().map(|need| need.name).collect()
    }

    #[test]
    fn only_what_the_machines_use_is_needed() {
        let plain = MachineSpec::new("a", "vm");
        let scripted = MachineSpec { start_script: Some("/x".into()), ..plain.clone() };
        let image = Image { path: "/x.img".into(), format: ImageFormat::Raw };
        let disk = MachineSpec { root: Root::Image(image), kernel: Some("/k".into()), ..plain.clone() };
        assert_eq!(names(&[&scripted]), [""; 0]);
        let has = |machines: &[&MachineSpec], name: &str| names(machines).iter().any(|have| have == name);
        for (machines, expected) in
            [(&[][..], true), (&[&plain], true), (&[&disk], false), (&[&disk, &plain, &scripted], true)]
        {
            for name in ["virtiofsd", "mke2fs", "kernel"] {
                assert_eq!(has(machines, name), expected, "{name}");
            }
            assert!(has(machines, "memory") && has(machines, "KVM"));
        }
    }
}
