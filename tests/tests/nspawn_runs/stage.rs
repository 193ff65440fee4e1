//! Runs of other processes, and the program that looks at them.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tandem_tests::TestResult;
use tandem_tests::pen::Pen;
use tandem_tests::program::{Ended, Program};

pub(crate) const TANDEM: &str = env!("CARGO_BIN_EXE_tandem-under-test");

/// As long a name as the kernel keeps.
pub(crate) const COMM: &str = "tandem-under-te";

/// A test of two containers, of which one is up until there is a file `go`.
pub(crate) const SCRIPT: &str = r#"# /// script
# requires-python = ">=3.11"
# [tool.tandem.machines.one]
# backend = "container"
# [tool.tandem.machines.two]
# backend = "container"
# ///
import pathlib, time

one.succeed("true")
print("ready")
while not pathlib.Path(__file__).with_name("go").exists():
    time.sleep(0.05)
one.succeed("true")
"#;

/// Begins a run of a test with this name.
pub(crate) fn begin(test: &str) -> TestResult<Program> {
    let file = format!("{test}.py");
    let program = Program::start(TANDEM, &["run", &file], &[(&file, SCRIPT)])?;
    if program.says("ready", Duration::from_secs(120)) {
        return Ok(program);
    }
    Err(format!("{test} does not come so far: {}", program.wait(Duration::ZERO)?.stderr).into())
}

/// Lets a run come to its end.
pub(crate) fn end(program: Program) -> TestResult<Pen> {
    fs::write(program.directory().join("go"), "")?;
    let ended = program.wait(Duration::from_secs(60))?;
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    Ok(ended.pen)
}

/// Kills a driver and its keeper, and waits for all that ends by itself then.
pub(crate) fn kill(program: Program) -> TestResult<Pen> {
    let comm = |pid: &i32| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let keeper = program.pen.processes().into_iter().find(|pid| comm(pid).trim() == "tandem-keeper");
    kill_process(keeper.and_then(Pid::from_raw).ok_or("there is no keeper")?, Signal::KILL)?;
    program.signal(Signal::KILL)?;
    let Ended { pen, .. } = program.wait(Duration::from_secs(10))?;
    let deadline = Instant::now() + Duration::from_secs(10);
    while !pen.processes().is_empty() {
        assert!(Instant::now() < deadline, "processes {:?} are left", pen.processes());
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(pen)
}

/// What the program says with these words; it must end well.
pub(crate) fn said(words: &[&str]) -> TestResult<String> {
    let ended = Program::start(TANDEM, words, &[])?.wait(Duration::from_secs(60))?;
    assert_eq!((ended.status, &*ended.stderr), (0, ""), "{words:?}");
    Ok(ended.stdout)
}

/// The run of a test, as `tandem ps --json` has it. There may be others on this host.
pub(crate) fn listed(test: &str) -> TestResult<Option<Value>> {
    let document: Value = serde_json::from_str(&said(&["ps", "--json"])?)?;
    assert_eq!(document["version"], 1);
    let runs = document["runs"].as_array().ok_or("there are no runs")?;
    Ok(runs.iter().find(|run| run["test"] == test).cloned())
}
