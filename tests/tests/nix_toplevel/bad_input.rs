//! Systems that cannot be, and are told before anything starts.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use backend_nspawn::Nspawn;
use backend_qemu::Qemu;
use driver_core::backend::Backend;
use driver_core::spec::{self, MachineSpec, Root, Toplevel, list};
use tandem_tests::stage::{container, vm};
use tandem_tests::{TestResult, requirement};

/// A system without a kernel.
fn small_system(directory: &Path) -> TestResult<Root> {
    let system = directory.join("nix/store/abc-nixos-system-small-25.05");
    fs::create_dir_all(&system)?;
    fs::write(system.join("nixos-version"), "25.05")?;
    fs::write(system.join("init"), "#!/bin/sh\n")?;
    fs::set_permissions(system.join("init"), fs::Permissions::from_mode(0o555))?;
    Ok(Root::Toplevel(Toplevel::at(&system)?.ok_or("it lies in a store")?))
}

/// What is said about a test file with a machine of this root.
fn said(directory: &Path, root: &str) -> TestResult<String> {
    let file = directory.join("test.toml");
    fs::write(directory.join("test.py"), "pass\n")?;
    fs::write(&file, format!("script = 'test.py'\n[machines.box]\nbackend = 'container'\nroot = '{root}'\n"))?;
    Ok(spec::read(&file).err().map(|problems| list(&problems)).unwrap_or_default())
}

#[test]
fn nix_systems_are_told_from_roots_and_from_what_is_neither() -> TestResult {
    let directory = tempfile::tempdir()?;
    let shown = directory.path().display();
    small_system(directory.path())?;
    assert_eq!(said(directory.path(), "nix/store/abc-nixos-system-small-25.05")?, "");
    fs::create_dir_all(directory.path().join("none/etc"))?;
    assert_eq!(
        said(directory.path(), "none")?,
        format!(
            "{shown}/test.toml: machine `box`: key `root`: `{shown}/none` is no system: none of `sbin/init`, `lib/systemd/systemd`, \
             `usr/lib/systemd/systemd`, `init` is a program in it, as in a distribution's root, and it has no `init` beside `nixos-version`, \
             as a NixOS system has; give a root with systemd, or what a NixOS configuration builds as `system.build.toplevel`"
        )
    );
    // What a store holds besides systems.
    let moved = directory.path().join("moved");
    fs::rename(directory.path().join("nix/store/abc-nixos-system-small-25.05"), &moved)?;
    let text = said(directory.path(), "moved")?;
    assert!(text.contains("is a NixOS system outside of a store"), "{text}");
    Ok(())
}

#[test]
fn nix_systems_of_containers_are_no_vms_without_a_kernel() -> TestResult {
    if !requirement::virtual_machines() {
        return Ok(());
    }
    let directory = tempfile::tempdir()?;
    let root = small_system(directory.path())?;
    let machine = MachineSpec { root: root.clone(), ..vm("box") };
    let said = list(&Qemu::new().check(&machine));
    assert!(said.starts_with("machine `box`: key `root`: `/"), "{said}");
    assert!(said.contains("is a NixOS system without a kernel, as containers have them; use a container"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert_eq!(list(&Nspawn::new().check(&MachineSpec { root: root.clone(), ..container("box") })), "");
    for (backend, of) in [(&Qemu::new() as &dyn Backend, vm("box")), (&Nspawn::new(), container("box"))] {
        let machine = MachineSpec { root: root.clone(), units: vec!["x.service".into()], ..of };
        let said = list(&backend.check(&machine));
        assert!(said.contains("machine `box`: key `units`: only a machine with `root = \"host\"`"), "{said}");
    }
    Ok(())
}
