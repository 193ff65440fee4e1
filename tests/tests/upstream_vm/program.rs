//! The verbs of VMs as scripts have them, in the whole program.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tandem_tests::program::{Ended, Program};
use tandem_tests::upstream::vm::{FIRMWARE, Machine, Machines};
use tandem_tests::{TestResult, host_lock, requirement};

use super::PATIENCE;

const TANDEM: &str = env!("CARGO_BIN_EXE_tandem-under-test");

/// Runs a script over one machine.
fn run(machines: &Machines, machine: &Machine<'_>, qemu_args: &[&str], script: &str) -> TestResult<Ended> {
    let path = machines.script(machine)?;
    let name = machine.name;
    let test = format!(
        "script = 'test.py'\nssh-backdoor = true\n[machines.{name}]\nbackend = 'vm'\nvlans = []\nstart-script = '{}'\nqemu-args = {qemu_args:?}\n",
        path.display()
    );
    let _lock = host_lock::shared()?;
    Ok(Program::start(TANDEM, &["run", "test.toml"], &[("test.py", script), ("test.toml", &test)])?
        .wait(2 * PATIENCE)?)
}

#[test]
fn upstream_vm_verbs_are_there() -> TestResult {
    let Some(guest) = requirement::upstream_vm() else { return Ok(()) };
    let firmware = !Path::new(FIRMWARE).join("OVMF_CODE_4M.fd").exists();
    if !requirement::met(firmware.then(|| format!("there is no firmware in {FIRMWARE}"))) {
        return Ok(());
    }
    let machines = Machines::new(guest)?;
    let one = Machine { firmware: FIRMWARE, ..Machine::new("one") };
    let ended = run(&machines, &one, &[], include_str!("verbs.py"))?;
    let said = [&*ended.stdout, &*ended.stderr].concat();
    assert_eq!(ended.status, 0, "{said}");
    let told = "SSH backdoor enabled, the machines can be accessed like this:";
    // At the start, and when the script asks.
    assert_eq!(said.matches(told).count(), 2, "{said}");
    assert_eq!(said.matches("    one:  ssh -o User=root ").count(), 2, "{said}");
    Ok(())
}

#[test]
fn upstream_vm_switches_root() -> TestResult {
    let Some(guest) = requirement::upstream_vm() else { return Ok(()) };
    // The same Debian once more, as the root that an initrd switches to.
    let disk = format!("file={},format=raw,snapshot=on,if=none,id=second", guest.disk.display());
    let machines = Machines::new(guest)?;
    let one = Machine { cmdline: "root=/dev/vdb rootfstype=ext4 rw", ..Machine::new("one") };
    let more = ["-drive", &disk, "-device", "virtio-blk-pci,drive=second"];
    let ended = run(&machines, &one, &more, include_str!("switch_root.py"))?;
    assert_eq!(ended.status, 0, "{}{}", ended.stdout, ended.stderr);
    Ok(())
}

#[test]
fn upstream_vsock_devices_that_do_not_start_are_told() -> TestResult {
    if !requirement::virtual_machines() {
        return Ok(());
    }
    let programs = tempfile::Builder::new().prefix("tandem-test-").tempdir()?;
    let program = programs.path().join("vhost-device-vsock");
    std::fs::write(&program, "#!/bin/sh\necho \"$@\" >&2\nexit 3\n")?;
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))?;
    let path = format!("PATH={}:{}", programs.path().display(), std::env::var("PATH")?);
    let test = "script = 'test.py'\nssh-backdoor = true\n\
                [machines.one]\nbackend = 'vm'\nstart-script = '/bin/true'\n\
                [machines.two]\nbackend = 'vm'\nstart-script = '/bin/true'\n";
    let _lock = host_lock::shared()?;
    let files = [("test.py", "print('the script goes on')"), ("test.toml", test)];
    let ended = Program::start("env", &[&path, TANDEM, "run", "test.toml"], &files)?.wait(PATIENCE)?;
    let said = [&*ended.stdout, &*ended.stderr].concat();
    assert_eq!(ended.status, 0, "{said}");
    let told = "vhost-device-vsock did not start: it ended with exit status: 3: --vm guest-cid=3,socket=";
    assert!(said.contains(told) && said.contains(" --vm guest-cid=4,socket="), "{said}");
    assert!(said.contains("over their LANs only") && said.contains("the script goes on"), "{said}");
    Ok(())
}
