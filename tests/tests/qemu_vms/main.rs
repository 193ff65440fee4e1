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

#[test]
fn qemu_has_all_verbs_of_scripts() -> TestResult {
    if !requirement::virtual_machines() {
        return Ok(());
    }
    let _lock = host_lock::shared()?;
    let ended =
        Program::start(TANDEM, &["run", "verbs.py"], &[("verbs.py", include_str!("verbs.py"))])?.wait(PATIENCE)?;
    assert_eq!(ended.status, 0, "{}", ended.stderr);
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
