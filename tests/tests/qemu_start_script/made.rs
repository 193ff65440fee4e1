//! VMs that a script makes of start commands while its run goes on.

use std::time::Duration;

use tandem_tests::leftovers::Snapshot;
use tandem_tests::program::Program;
use tandem_tests::{TestResult, host_lock, requirement};

use super::machines::{Guest, runs};

const TANDEM: &str = env!("CARGO_BIN_EXE_tandem-under-test");

/// Several boots of an emulated machine, on a busy host.
const PATIENCE: Duration = Duration::from_secs(500);

#[test]
fn qemu_scripts_make_machines_of_start_commands() -> TestResult {
    if !requirement::virtual_machines() {
        return Ok(());
    }
    let guest = Guest::make()?;
    let mark = format!("{}.5d", std::process::id());
    let machine = guest.machine("late", &mark)?;
    let start = machine.start_script.ok_or("it has a start script")?.display().to_string();
    let _lock = host_lock::alone()?;
    let before = Snapshot::take(&[])?;
    let files = [("made.py", include_str!("made.py")), ("start", &*start)];
    let ended = Program::start(TANDEM, &["run", "made.py"], &files)?.wait(PATIENCE)?;
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    assert!(!runs(&mark)?, "what a made machine left running is still there");
    before.restored_within(Duration::from_secs(1), &[&ended.pen])?;
    Ok(())
}
