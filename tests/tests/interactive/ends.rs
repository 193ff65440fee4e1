//! All other ends of a prompt than the one that is meant.

use std::time::Duration;

use rustix::process::Signal;
use tandem_tests::leftovers::Snapshot;
use tandem_tests::terminal::Terminal;
use tandem_tests::{TestResult, host_lock, requirement};

use crate::stage::{COMM, PROMPT, SCRIPT, Stage, TANDEM};

/// A prompt with a machine that runs, in the middle of a call.
fn busy() -> TestResult<Stage> {
    let mut stage = Stage::open("", SCRIPT)?;
    stage.says("m.succeed('true')", "''")?;
    stage.says("m.succeed('sleep 1000')", "must succeed: sleep 1000")?;
    Ok(stage)
}

#[test]
fn the_quit_key_ends_all() -> TestResult {
    if !requirement::containers_and("python3") {
        return Ok(());
    }
    let mut stage = busy()?;
    stage.terminal.types("\x1c")?;
    stage.ends("130")
}

#[test]
fn sigterm_ends_all() -> TestResult {
    if !requirement::containers_and("python3") {
        return Ok(());
    }
    let mut stage = Stage::open("", SCRIPT)?;
    stage.says("m.succeed('true')", PROMPT)?;
    stage.terminal.signal(COMM, Signal::TERM)?;
    stage.ends("143")
}

#[test]
fn a_killed_driver_leaves_the_terminal_as_it_was() -> TestResult {
    if !requirement::containers_and("python3") {
        return Ok(());
    }
    let mut stage = Stage::open("", SCRIPT)?;
    // The line editor has changed the modes.
    stage.says("m.succeed('true')", PROMPT)?;
    stage.terminal.types("not a whole li")?;
    stage.terminal.shows("whole li")?;
    stage.terminal.signal(COMM, Signal::KILL)?;
    stage.ends("137")
}

#[test]
fn a_killed_interpreter_leaves_the_terminal_as_it_was() -> TestResult {
    if !requirement::containers_and("python3") {
        return Ok(());
    }
    let mut stage = Stage::open("", SCRIPT)?;
    stage.says("m.succeed('true')", "''")?;
    stage.says("import tty; tty.setraw(0); os.kill(os.getpid(), 9)", "the interpreter was killed")?;
    stage.ends("4")
}

#[test]
fn an_exit_with_a_status_is_a_failure() -> TestResult {
    if !requirement::containers_and("python3") {
        return Ok(());
    }
    let mut stage = Stage::open("", SCRIPT)?;
    stage.says("exit(3)", "exit(3)")?;
    stage.ends("1")
}

#[test]
fn only_run_tests_has_the_global_timeout() -> TestResult {
    if !requirement::containers_and("python3") {
        return Ok(());
    }
    let script = format!("{SCRIPT}m.succeed('sleep 1000')\n");
    let mut stage = Stage::open("--global-timeout 3", &script)?;
    stage.says("m.succeed('sleep 5; echo longer')", "'longer\\n'")?;
    stage.says("run_tests()", "timeout reached; test terminating...")?;
    stage.ends("143")
}

#[test]
fn it_can_be_stopped_and_continued() -> TestResult {
    if !requirement::containers_and("python3") {
        return Ok(());
    }
    let _lock = host_lock::alone()?;
    let before = Snapshot::take(&[])?;
    let mut terminal = Terminal::open(&["bash", "--norc", "-i"], &[("test.py", SCRIPT)])?;
    terminal.says("shell: ", &format!("{TANDEM} repl test.py"), "exposed")?;
    terminal.says(PROMPT, "m.succeed('touch /run/here')", "''")?;
    for line in ["m.succeed('ls /run/here')", "exit()"] {
        terminal.shows(PROMPT)?;
        terminal.types("\x1a")?;
        terminal.shows("Stopped")?;
        terminal.says("shell: ", "echo $((40+2))", "42")?;
        terminal.says("shell: ", "fg", "tandem")?;
        // The line editor shows its prompt again when there is a key.
        terminal.types(&format!("{line}\r"))?;
        terminal.shows(if line == "exit()" { "shell: " } else { "'/run/here\\n'" })?;
    }
    terminal.types("exit\r")?;
    let (pen, _directory) = terminal.ended()?;
    before.restored_within(Duration::from_secs(1), &[&pen])?;
    Ok(())
}
