//! Virtual machines: on a LAN with containers, and gone with their driver.

use std::time::Duration;

use rustix::process::Signal;
use tandem_tests::leftovers::Snapshot;
use tandem_tests::program::Program;
use tandem_tests::{TestResult, host_lock, requirement};

const TANDEM: &str = env!("CARGO_BIN_EXE_tandem-under-test");

/// An emulated machine takes half a minute to boot on a busy host.
const PATIENCE: Duration = Duration::from_secs(300);

#[test]
fn qemu_shares_a_lan_with_containers_and_starts_again() -> TestResult {
    if !requirement::virtual_machines() {
        return Ok(());
    }
    let _lock = host_lock::alone()?;
    let before = Snapshot::take(&[])?;
    let ended =
        Program::start(TANDEM, &["run", "mixed.py"], &[("mixed.py", include_str!("mixed.py"))])?.wait(PATIENCE)?;
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    before.restored_within(Duration::from_secs(1), &[&ended.pen])?;
    Ok(())
}

/// Runs a program with an empty directory in the place of /dev/net.
const WITHOUT_TUN: &str = "mount -t tmpfs -o mode=0755 none /dev/net && exec \"$@\"";

#[test]
fn qemu_joins_lans_without_taps() -> TestResult {
    if !requirement::virtual_machines() || !requirement::program("unshare") {
        return Ok(());
    }
    let _lock = host_lock::alone()?;
    let before = Snapshot::take(&[])?;
    // What is mounted is seen by nobody else.
    let arguments =
        ["--mount", "--propagation", "private", "sh", "-ec", WITHOUT_TUN, "sh", TANDEM, "run", "relayed.py"];
    let ended = Program::start("unshare", &arguments, &[("relayed.py", include_str!("relayed.py"))])?.wait(PATIENCE)?;
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    let said = [&*ended.stdout, &*ended.stderr].concat();
    let told: Vec<&str> = said.lines().filter(|line| line.contains("joins VLAN 1 by a relay in user space")).collect();
    // Once for each start of the machine.
    assert_eq!(told.len(), 2, "{said}");
    assert!(told[0].contains("there is no /dev/net/tun"), "{told:?}");
    before.restored_within(Duration::from_secs(1), &[&ended.pen])?;
    Ok(())
}

#[test]
fn qemu_shares_a_switch_with_containers() -> TestResult {
    if !requirement::virtual_machines() {
        return Ok(());
    }
    let _lock = host_lock::shared()?;
    let script = include_str!("mixed.py").replace("# [tool.tandem]\n", "# [tool.tandem]\n# lan = \"switch\"\n");
    let ended = Program::start(TANDEM, &["run", "mixed.py"], &[("mixed.py", &script)])?.wait(PATIENCE)?;
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    let said = [&*ended.stdout, &*ended.stderr].concat();
    assert!(said.contains("joins VLAN 1 by a socket: the LAN is a switch in user space"), "{said}");
    Ok(())
}

#[test]
fn qemu_has_all_verbs_of_scripts() -> TestResult {
    if !requirement::virtual_machines() {
        return Ok(());
    }
    let _lock = host_lock::shared()?;
    let ended =
        Program::start(TANDEM, &["run", "verbs.py"], &[("verbs.py", include_str!("verbs.py"))])?.wait(PATIENCE)?;
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    let told = |what: &str| ended.stderr.lines().position(|line| line.contains(&format!("vm: {what}")));
    let lines = ["starting vm", "QEMU running (pid ", "kill QemuMachine (pid "].map(told);
    assert!(lines.iter().all(Option::is_some) && lines.is_sorted(), "{}", ended.stderr);
    Ok(())
}

#[test]
fn qemu_goes_with_a_killed_driver() -> TestResult {
    if !requirement::virtual_machines() {
        return Ok(());
    }
    let _lock = host_lock::alone()?;
    let before = Snapshot::take(&[])?;
    let program = Program::start(TANDEM, &["run", "killed.py"], &[("killed.py", include_str!("killed.py"))])?;
    assert!(program.says("the machine boots", PATIENCE));
    program.signal(Signal::KILL)?;
    let ended = program.wait(PATIENCE)?;
    before.restored_within(Duration::from_secs(1), &[&ended.pen])?;
    Ok(())
}
