//! The driver is killed, at any instant, and within a second nothing is left.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tandem_tests::leftovers::Snapshot;
use tandem_tests::program::{Ended, Program};
use tandem_tests::{TestResult, host_lock, requirement};

/// How long a killed run may take to go.
const WITHIN: Duration = Duration::from_secs(1);

/// The phases of both programs, with about as many milliseconds as each takes. The empty one begins with the program.
const PHASES: [(&str, u64); 7] =
    [("", 60), ("boot", 600), ("command", 250), ("copy", 150), ("reboot", 500), ("shutdown", 150), ("teardown", 60)];

/// A test in Rust.
const STORY: &str = env!("CARGO_BIN_EXE_story-under-test");

/// The program `tandem`, and the same test as a script for it.
const TANDEM: &str = env!("CARGO_BIN_EXE_tandem-under-test");
const SCRIPT: &str = include_str!("story.py");

#[test]
fn a_driver_killed_at_twenty_random_instants_leaves_nothing() -> TestResult {
    if !requirement::containers() {
        return Ok(());
    }
    let _lock = host_lock::alone()?;
    let before = Snapshot::take(&[])?;
    let mut failures = Vec::new();
    let mut slowest = Duration::ZERO;
    for number in 0..20 {
        let (phase, length) = PHASES[number / 2 % PHASES.len()];
        let pause = Duration::from_micros(random()? % (length * 1000));
        let program = match number % 2 {
            0 => Program::start(STORY, &[], &[]),
            _ => Program::start(TANDEM, &["run", "story.py"], &[("story.py", SCRIPT)]),
        };
        match killed_at(program?, &before, phase, pause) {
            Ok(took) => slowest = slowest.max(took),
            Err(error) => failures.push(format!("number {number}, killed {pause:?} into \"{phase}\": {error}")),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    println!("the slowest was gone after {slowest:?}");
    Ok(())
}

fn killed_at(program: Program, before: &Snapshot, phase: &str, pause: Duration) -> TestResult<Duration> {
    if !phase.is_empty() && !program.says(phase, Duration::from_secs(60)) {
        let ended = program.wait(Duration::ZERO)?;
        return Err(format!("it does not come so far: {}", ended.stderr).into());
    }
    std::thread::sleep(pause);
    program.signal(Signal::KILL)?;
    let ended = program.wait(Duration::from_secs(10))?;
    // It may have ended well just before.
    assert!(ended.status == 137 || ended.status == 0, "{}", ended.stderr);
    Ok(before.restored_within(WITHIN, &[&ended.pen])?)
}

#[test]
fn a_later_run_sweeps_what_a_killed_keeper_could_not() -> TestResult {
    if !requirement::containers() {
        return Ok(());
    }
    let _lock = host_lock::alone()?;
    let before = Snapshot::take(&[])?;
    let program = Program::start(STORY, &[], &[])?;
    assert!(program.says("command", Duration::from_secs(60)), "it does not boot");
    let keepers: Vec<i32> = program.pen.processes().into_iter().filter(|pid| name(*pid) == "tandem-keeper").collect();
    assert_eq!(keepers.len(), 1);
    for pid in keepers.into_iter().filter_map(Pid::from_raw) {
        kill_process(pid, Signal::KILL)?;
    }
    program.signal(Signal::KILL)?;
    let Ended { pen, .. } = program.wait(Duration::from_secs(10))?;
    // The processes need no keeper to end.
    let deadline = Instant::now() + Duration::from_secs(10);
    while !pen.processes().is_empty() {
        assert!(Instant::now() < deadline, "processes {:?} are left", pen.processes());
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(!pen.below().is_empty() && Path::new("/run/tandem").exists(), "there is nothing to sweep");

    let next = Program::start(STORY, &[], &[])?.wait(Duration::from_secs(60))?;
    assert_eq!(next.status, 0, "{}", next.stderr);
    before.restored_within(WITHIN, &[&pen, &next.pen])?;
    Ok(())
}

#[test]
fn a_killed_container_takes_nothing_else_along() -> TestResult {
    if !requirement::containers() {
        return Ok(());
    }
    let _lock = host_lock::alone()?;
    let before = Snapshot::take(&[])?;
    let program = Program::start(STORY, &[], &[])?;
    assert!(program.says("command", Duration::from_secs(60)), "it does not boot");
    let nspawn = program.pen.processes().into_iter().find(|pid| name(*pid) == "systemd-nspawn");
    let nspawn = nspawn.and_then(Pid::from_raw).ok_or("there is no systemd-nspawn")?;
    kill_process(nspawn, Signal::KILL)?;
    // The story needs both machines, so it fails and says so, and ends by itself.
    let ended = program.wait(Duration::from_secs(60))?;
    assert_eq!(ended.status, 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("one") || ended.stderr.contains("two"), "{}", ended.stderr);
    before.restored_within(WITHIN, &[&ended.pen])?;
    Ok(())
}

fn name(pid: i32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned()
}

fn random() -> std::io::Result<u64> {
    let mut bytes = [0; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(u64::from_ne_bytes(bytes))
}
