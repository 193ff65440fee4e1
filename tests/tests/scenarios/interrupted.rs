//! Runs that end by a signal or the clock: cleanly, and with the status that says so.

use std::time::Duration;

use rustix::process::Signal;
use tandem_tests::leftovers::Snapshot;
use tandem_tests::program::{Ended, Program};
use tandem_tests::{TestResult, host_lock, requirement};

const SCRIPT: &str = r#"# /// script
# requires-python = ">=3.11"
# [tool.tandem]
# global-timeout = GLOBAL
# [tool.tandem.machines.m]
# backend = "container"
# ///
m.succeed("true")
print("now")
m.succeed("trap '' TERM; sleep 1000")
"#;

/// Runs a test of that global timeout until its command runs, sends these signals, and checks that nothing is left.
fn ended_by(timeout: &str, signals: &[Signal]) -> TestResult<Ended> {
    let _lock = host_lock::alone()?;
    let before = Snapshot::take(&[])?;
    let script = SCRIPT.replace("GLOBAL", timeout);
    let program = env!("CARGO_BIN_EXE_tandem-under-test");
    let program = Program::start(program, &["run", "script.py"], &[("script.py", &script)])?;
    assert!(program.says("now", Duration::from_secs(60)), "it does not boot");
    std::thread::sleep(Duration::from_millis(100));
    for signal in signals {
        program.signal(*signal)?;
    }
    let ended = program.wait(Duration::from_secs(60))?;
    before.restored_within(Duration::from_secs(1), &[&ended.pen])?;
    Ok(ended)
}

#[test]
fn ctrl_c_once_ends_the_run_and_says_so() -> TestResult {
    if !requirement::containers_and("python3") {
        return Ok(());
    }
    let ended = ended_by("600", &[Signal::INT])?;
    assert_eq!(ended.status, 130, "{}", ended.stderr);
    assert!(ended.stderr.contains("interrupted"), "{}", ended.stderr);
    Ok(())
}

#[test]
fn ctrl_c_twice_ends_it_at_once() -> TestResult {
    if !requirement::containers_and("python3") {
        return Ok(());
    }
    let ended = ended_by("600", &[Signal::INT, Signal::INT])?;
    assert_eq!(ended.status, 130, "{}", ended.stderr);
    Ok(())
}

#[test]
fn sigterm_ends_the_run_with_its_status() -> TestResult {
    if !requirement::containers_and("python3") {
        return Ok(());
    }
    assert_eq!(ended_by("600", &[Signal::TERM])?.status, 143);
    Ok(())
}

#[test]
fn the_global_timeout_ends_the_run() -> TestResult {
    if !requirement::containers_and("python3") {
        return Ok(());
    }
    let ended = ended_by("3", &[])?;
    assert_eq!(ended.status, 143, "{}", ended.stderr);
    assert!(ended.stderr.contains("timeout reached"), "{}", ended.stderr);
    Ok(())
}
