//! What a test needs of the host. Without it the test says so and is over; where the environment variable `CI` is set it fails instead.

use std::io::Write;

use backend_nspawn::Nspawn;
use backend_qemu::Qemu;
use driver_core::backend::Backend;

use crate::nix::NixHost;
use crate::roots::SmallRoot;
use crate::systemd_host::SystemdHost;
use crate::toplevel::System;
use crate::upstream::vm::Guest;

/// Whether this process is root, as a run's namespaces need it.
pub fn root() -> bool {
    met((!rustix::process::geteuid().is_root()).then(|| "the namespaces of a run need root".into()))
}

/// Whether containers can run here.
pub fn containers() -> bool {
    met(lacking_for_containers())
}

/// Whether VMs, and containers beside them, can run here.
pub fn virtual_machines() -> bool {
    let problems = Qemu::new().preflight(&[]);
    let lacking = (!problems.is_empty()).then(|| driver_core::spec::list(&problems));
    met(lacking_for_containers().or(lacking))
}

/// Whether `program` is on the `PATH`.
pub fn program(program: &str) -> bool {
    met(lacking_program(program))
}

/// Whether containers and `program` can run here.
pub fn containers_and(program: &str) -> bool {
    met(lacking_for_containers().or_else(|| lacking_program(program)))
}

/// A small Debian as root of a machine, built when first asked for. Containers can run here, too.
pub fn small_root() -> Option<SmallRoot> {
    let lacking = lacking_for_containers().or_else(|| lacking_program("mmdebstrap"));
    if !met(lacking) {
        return None;
    }
    match SmallRoot::build() {
        Ok(root) => Some(root),
        Err(error) => {
            met(Some(format!("no small root could be built: {error}")));
            None
        }
    }
}

/// A stand-in for a NixOS system, built when first asked for. Containers and VMs can run here, too.
pub fn nixos_system() -> Option<System> {
    let problems = Qemu::new().preflight(&[]);
    let lacking = (!problems.is_empty()).then(|| driver_core::spec::list(&problems));
    let lacking = lacking.or_else(lacking_for_containers).or_else(|| lacking_program("mmdebstrap"));
    if !met(lacking) {
        return None;
    }
    match System::build() {
        Ok(system) => Some(system),
        Err(error) => {
            met(Some(format!("no stand-in for a NixOS system could be built: {error}")));
            None
        }
    }
}

/// A VM's guest to upstream's contract, built when first asked for. VMs can run here, too.
pub fn upstream_vm() -> Option<Guest> {
    let problems = Qemu::new().preflight(&[]);
    let lacking = (!problems.is_empty()).then(|| driver_core::spec::list(&problems));
    let lacking = lacking.or_else(lacking_for_containers).or_else(|| lacking_program("mmdebstrap"));
    if !met(lacking) {
        return None;
    }
    match Guest::build() {
        Ok(guest) => Some(guest),
        Err(error) => {
            met(Some(format!("no guest to upstream's contract could be built: {error}")));
            None
        }
    }
}

/// The files of a systemd host, built when first asked for. One can be booted here, too.
pub fn systemd_host() -> Option<SystemdHost> {
    let lacking =
        lacking_for_containers().or_else(|| lacking_program("mmdebstrap")).or_else(|| lacking_program("unshare"));
    if !met(lacking) {
        return None;
    }
    match SystemdHost::build() {
        Ok(host) => Some(host),
        Err(error) => {
            met(Some(format!("no systemd host could be built: {error}")));
            None
        }
    }
}

/// The files of a host with a real Nix, built when first asked for. One can be booted here, too.
pub fn nix_host() -> Option<NixHost> {
    if !met(lacking_for_containers()) {
        return None;
    }
    nix()
}

/// The same files, for what needs no boot, such as evaluation.
pub fn nix() -> Option<NixHost> {
    let not_root = (!rustix::process::geteuid().is_root()).then(|| "a root's files can be used by root only".into());
    if !met(not_root.or_else(|| lacking_program("mmdebstrap")).or_else(|| lacking_program("unshare"))) {
        return None;
    }
    match NixHost::build() {
        Ok(host) => Some(host),
        Err(error) => {
            met(Some(format!("no host with Nix could be built: {error}")));
            None
        }
    }
}

/// Whether the host has what this test wants; `lacking` is what it has not.
pub fn met(lacking: Option<String>) -> bool {
    let Some(reason) = lacking else { return true };
    let ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty());
    assert!(!ci, "no test may be skipped where CI is set: {reason}");
    // Not by `eprintln`: the test harness shows what a test prints only if the test fails.
    let _ = writeln!(std::io::stderr(), "skipped: {reason}");
    false
}

fn lacking_for_containers() -> Option<String> {
    let problems = Nspawn::new().preflight(&[]);
    if problems.is_empty() { None } else { Some(driver_core::spec::list(&problems)) }
}

/// What is lacking if no program of this name is on the `PATH`.
pub fn lacking_program(name: &str) -> Option<String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|directory| directory.join(name).is_file());
    (!found).then(|| format!("{name} is not installed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_not_lacking() {
        assert_eq!(lacking_program("sh"), None);
        assert_eq!(lacking_program("no-such-program"), Some("no-such-program is not installed".into()));
    }
}
