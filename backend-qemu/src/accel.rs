//! How a guest's instructions are run: by the processor, or by emulation.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;

use driver_core::need::{Cure, Need, Place, Where, nix};
use driver_core::spec::{Accel as Asked, Problem};

use crate::arch::Arch;

const KVM: &str = "/dev/kvm";

/// What a VM gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accel {
    /// The processor itself, by the kernel's KVM.
    Kvm,
    /// QEMU's emulation, which every host can do.
    Tcg,
}

/// What this host says of KVM.
#[derive(Debug)]
pub struct Host {
    /// Why /dev/kvm cannot be opened, if it cannot.
    pub device: io::Result<()>,
    /// /proc/cpuinfo.
    pub cpuinfo: String,
}

impl Host {
    /// Asks this host.
    pub fn ask() -> Self {
        let open = || OpenOptions::new().read(true).write(true).open(KVM).map(drop);
        let device = group().and_then(|_| open());
        Self { device, cpuinfo: fs::read_to_string("/proc/cpuinfo").unwrap_or_default() }
    }
}

/// The group as which QEMU, whose user owns nothing, may open /dev/kvm; none if everybody may.
pub(crate) fn group() -> io::Result<Option<u32>> {
    let device = fs::metadata(KVM)?;
    match (device.mode() & 0o006 == 0o006, device.mode() & 0o060 == 0o060) {
        (true, _) => Ok(None),
        (false, true) => Ok(Some(device.gid())),
        (false, false) => Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("its mode {:o} lets only its owner, and QEMU runs as another user", device.mode() & 0o777),
        )),
    }
}

/// Chooses, and says why in a few words. A /dev/kvm alone proves nothing: paravirtual kinds of KVM open and then hang ordinary guests, and so
/// the processor's own flags are asked too.
pub fn choose(asked: Asked, arch: &Arch, host: &Host) -> Result<(Accel, String), Problem> {
    let lacking = lacking(arch, host);
    match (asked, lacking) {
        (Asked::Tcg, _) => Ok((Accel::Tcg, "emulation, as asked".into())),
        (Asked::Auto | Asked::Kvm, None) => Ok((Accel::Kvm, "KVM".into())),
        (Asked::Auto, Some(why)) => Ok((Accel::Tcg, format!("emulation, because {why}"))),
        (Asked::Kvm, Some(why)) => Err(Problem::host(
            "key `accel`",
            format!("KVM cannot be used: {why}"),
            format!("{}, or ask for \"auto\"", cure(arch, host)),
        )),
    }
}

/// KVM, for VMs of `group`, which run without it, too.
pub(crate) fn need(group: &str, arch: &Arch, host: &Host) -> Need {
    const NAME: &str = "KVM";
    const PURPOSE: &str = "to run guests at the speed of this host";
    let Some(why) = lacking(arch, host) else { return Need::ok(group, NAME, PURPOSE, KVM) };
    let advice = cure(arch, host);
    let cure = if Place::current() == Place::NixBuild {
        let advice = "build it where there is KVM, and have the builder show it to those who ask for the feature";
        nix::feature(advice, "kvm").line(Where::Derivation, "requiredSystemFeatures = [ \"kvm\" ];")
    } else if is_refused(arch, host) {
        Cure::new(advice).line(Where::Shell, format!("chgrp kvm {KVM} && chmod 660 {KVM}"))
    } else {
        Cure::new(advice)
            .line(Where::Shell, "modprobe kvm_intel || modprobe kvm_amd")
            .line(Where::NixOs, "boot.kernelModules = [ \"kvm-intel\" \"kvm-amd\" ];")
    };
    Need::limited(group, NAME, PURPOSE, format!("{why}: guests are emulated, some ten times slower"), cure)
}

fn is_refused(arch: &Arch, host: &Host) -> bool {
    let refused = host.device.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied);
    refused && is_real(arch, host)
}

fn cure(arch: &Arch, host: &Host) -> String {
    if is_refused(arch, host) {
        return format!(
            "give {KVM} a group of its own that may read and write it, as udev does (`chgrp kvm`, `chmod 660`)"
        );
    }
    "switch on virtualisation in the firmware or the outer hypervisor and load kvm_intel or kvm_amd".into()
}

/// What keeps KVM from being used. The processor comes before permissions: to mend those alone would not help.
fn lacking(arch: &Arch, host: &Host) -> Option<String> {
    match &host.device {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(format!("{KVM} cannot be opened ({error})")),
        _ if !is_real(arch, host) => {
            Some(format!("{KVM} is there, but the processor has none of the flags {}", arch.kvm_flags.join(", ")))
        }
        Err(error) => Some(format!("{KVM} cannot be opened ({error})")),
        Ok(()) => None,
    }
}

fn is_real(arch: &Arch, host: &Host) -> bool {
    let has = |flag: &&str| {
        host.cpuinfo.lines().any(|line| line.starts_with("flags") && line.split_whitespace().any(|word| word == *flag))
    };
    arch.kvm_flags.is_empty() || arch.kvm_flags.iter().any(has)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::{AARCH64, X86_64};

    fn host(device: bool, cpuinfo: &str) -> Host {
        let device = if device { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) };
        Host { device, cpuinfo: cpuinfo.into() }
    }

    fn chosen(asked: Asked, arch: &Arch, host: &Host) -> Option<Accel> {
        choose(asked, arch, host).ok().map(|(accel, _)| accel)
    }

    #[test]
    fn kvm_is_taken_only_where_it_is_real() {
        let real = host(true, "flags\t\t: fpu vmx sse\n");
        let fake = host(true, "flags\t\t: fpu vmxoff sse\nvmx flags: none\n");
        let none = host(false, "flags\t\t: svm\n");
        for (asked, host, expected) in [
            (Asked::Auto, &real, Some(Accel::Kvm)),
            (Asked::Auto, &fake, Some(Accel::Tcg)),
            (Asked::Auto, &none, Some(Accel::Tcg)),
            (Asked::Kvm, &real, Some(Accel::Kvm)),
            (Asked::Kvm, &fake, None),
            (Asked::Kvm, &none, None),
            (Asked::Tcg, &real, Some(Accel::Tcg)),
        ] {
            assert_eq!(chosen(asked, &X86_64, host), expected, "{asked:?} {host:?}");
        }
        assert_eq!(chosen(Asked::Auto, &AARCH64, &host(true, "")), Some(Accel::Kvm));
    }

    #[test]
    fn the_reason_is_told() {
        let (_, why) = choose(Asked::Auto, &X86_64, &host(true, "")).unwrap();
        assert_eq!(why, "emulation, because /dev/kvm is there, but the processor has none of the flags vmx, svm");
        assert!(choose(Asked::Kvm, &X86_64, &host(false, "")).unwrap_err().to_string().contains("cannot be opened"));
    }

    #[test]
    fn without_kvm_vms_are_slower() {
        assert_eq!(need("VMs", &X86_64, &host(true, "flags : svm")).found, "/dev/kvm");
        let need = need("VMs", &X86_64, &host(true, "flags : fpu"));
        assert!(!need.is_missing() && need.found.contains("emulated") && need.cure.to_string().contains("kvm_amd"));
    }

    #[test]
    fn the_cure_fits_the_reason() {
        let refused =
            |cpuinfo: &str| Host { device: Err(io::ErrorKind::PermissionDenied.into()), cpuinfo: cpuinfo.into() };
        let told = |host: &Host| choose(Asked::Kvm, &X86_64, host).unwrap_err().to_string();
        assert!(told(&refused("flags : vmx")).contains("chmod 660"));
        let unreal = told(&refused("flags : fpu"));
        assert!(unreal.contains("none of the flags") && unreal.contains("firmware"), "{unreal}");
    }
}
