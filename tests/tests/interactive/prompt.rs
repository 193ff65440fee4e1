//! What is typed at the prompt.

use std::fs;
use std::time::{Duration, Instant};

use tandem_tests::leftovers::Snapshot;
use tandem_tests::program::Program;
use tandem_tests::{TestResult, host_lock, requirement};

use crate::stage::{SCRIPT, Stage, TANDEM};

#[test]
fn a_failing_call_returns_to_the_prompt_and_the_machine_stays() -> TestResult {
    if !requirement::containers_and("python3") {
        return Ok(());
    }
    let mut stage = Stage::open("", SCRIPT)?;
    let exposed = stage.terminal.shows("m,\r\n    vlan1,\r\n    ")?;
    assert!(exposed.contains("additionally exposed symbols:\r\n    "), "{exposed}");
    stage.says("m.is_up()", "False")?;
    stage.says(
        "m.succeed('touch /run/here; false')",
        "!!! RequestedAssertionFailed: command `touch /run/here; false`",
    )?;
    stage.says("1 / 0", "ZeroDivisionError: division by zero")?;
    stage.says("m.succeed('ls /run/here')", "'/run/here\\n'")?;
    stage.says("exit()", "")?;
    stage.ends("0")
}

#[test]
fn verbs_are_completed_and_lines_are_kept() -> TestResult {
    if !requirement::containers_and("python3") {
        return Ok(());
    }
    let mut stage = Stage::open("", SCRIPT)?;
    stage.terminal.shows(">>> ")?;
    stage.terminal.types("m.wait_for_uni\t")?;
    stage.terminal.shows("m.wait_for_unit(")?;
    stage.terminal.types("\x03")?;
    stage.terminal.shows("KeyboardInterrupt")?;
    stage.says("'kept' + 'line'", "'keptline'")?;
    stage.terminal.shows(">>> ")?;
    stage.terminal.types("\x04")?;
    stage.terminal.shows("status=")?;
    let history = stage.terminal.directory.path().join("state/tandem/repl-history");
    assert_eq!(fs::read_to_string(history)?.lines().last(), Some("'kept' + 'line'"));
    Ok(())
}

#[test]
fn ctrl_c_stops_the_call_and_not_the_machine() -> TestResult {
    if !requirement::containers_and("python3") {
        return Ok(());
    }
    let mut stage = Stage::open("", SCRIPT)?;
    stage.says("m.succeed('true')", "''")?;
    for call in ["m.succeed('sleep 1000')", "m.wait_for_file('/nowhere')", "m.wait_for_console_text('never')"] {
        stage.says(call, ": ")?;
        std::thread::sleep(Duration::from_millis(500));
        let began = Instant::now();
        stage.terminal.types("\x03\x03")?;
        stage.terminal.shows("KeyboardInterrupt")?;
        assert!(began.elapsed() < Duration::from_secs(10), "{call}: {:?}", began.elapsed());
        stage.terminal.types("\r")?;
    }
    stage.says("m.wait_until_fails('pgrep -f [s]leep.1000')", "''")?;
    stage.says("exit()", "")?;
    stage.ends("0")
}

#[test]
fn the_script_runs_as_often_as_one_likes() -> TestResult {
    if !requirement::containers_and("python3") {
        return Ok(());
    }
    let mut stage = Stage::open("", SCRIPT)?;
    stage.says("start_all()", ">>> ")?;
    stage.terminal.types("test_script()\r")?;
    stage.says("run_tests()", "Test will time out and terminate in 3600.0 seconds")?;
    stage.says("print('runs:', m.succeed('wc -l < /root/runs'))", "runs: 2")?;
    // It is edited meanwhile.
    let path = stage.terminal.directory.path().join("test.py");
    fs::write(path, "leaked = 1\nm.succeed('exit 7')\n")?;
    let report = stage.says("test_script()", "!!! Traceback (most recent call last):")?;
    assert!(report.contains("run the VM test script"), "{report}");
    stage.terminal.shows("test.py\", line 2, in <module>")?;
    stage.terminal.shows("!!! RequestedAssertionFailed: command `exit 7` failed")?;
    stage.says("leaked", "NameError")?;
    stage.says("exit()", "")?;
    stage.ends("0")
}

#[test]
fn lines_of_a_pipe_are_run() -> TestResult {
    if !requirement::containers_and("python3") {
        return Ok(());
    }
    let _lock = host_lock::alone()?;
    let before = Snapshot::take(&[])?;
    let lines = "for n in range(2):\n    print('n is', n)\n\nm.succeed('false')\nprint(m.succeed('echo still here'))\n\
                 m.shell_interact()\ncd /etc; pwd\n";
    let command = format!("{TANDEM} repl test.py < lines");
    let files = [("test.py", SCRIPT), ("lines", lines)];
    let ended = Program::start("sh", &["-c", &command], &files)?.wait(Duration::from_secs(60))?;
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    for said in ["additionally exposed symbols:", "n is 0\nn is 1\n", "still here\n", "\n/etc"] {
        assert!(ended.stdout.contains(said), "{said}: {}", ended.stdout);
    }
    assert!(!ended.stdout.contains(">>>"), "{}", ended.stdout);
    assert!(ended.stderr.contains("!!! RequestedAssertionFailed: command `false` failed"), "{}", ended.stderr);
    before.restored_within(Duration::from_secs(1), &[&ended.pen])?;
    Ok(())
}

#[test]
fn a_test_that_cannot_run_is_told_before_there_is_a_prompt() -> TestResult {
    let wrong = SCRIPT.replace("\"container\"", "\"contaner\"") + "if\n";
    let ended = Program::start(TANDEM, &["repl", "test.py"], &[("test.py", &wrong)])?.wait(Duration::from_secs(60))?;
    assert_eq!((ended.status, &*ended.stdout), (2, ""), "{}", ended.stderr);
    assert!(ended.stderr.contains("contaner"), "{}", ended.stderr);
    Ok(())
}
