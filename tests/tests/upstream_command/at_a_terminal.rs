//! Somebody at a terminal, with a prompt in place of a run of the script.

use std::fs;

use tandem_tests::terminal::Terminal;
use tandem_tests::{TestResult, host_lock, requirement};

use super::ground::Ground;

const PROMPT: &str = ">>> ";

#[test]
fn interactively_the_script_waits_to_be_called() -> TestResult {
    if !requirement::root() {
        return Ok(());
    }
    let _lock = host_lock::shared()?;
    let mut ground = Ground::new()?;
    // Only `run_tests` has it.
    ground.set("global_timeout", 2);
    ground.script("print('the script', 'runs')\n")?;
    // This writes the configuration, too.
    let run = ground.run(&[])?;
    assert!(run.stderr.contains("the script runs"), "{}", run.stderr);
    let (state, program) = (ground.text("state"), ground.text("nixos-test-driver"));
    let configuration = ground.text("driverConfiguration.json");
    let line = format!("XDG_RUNTIME_DIR={state} {program} -c {configuration} --interactive; echo status=$?");
    let mut terminal = Terminal::open(&["sh", "-c", &line], &[])?;
    let begun = terminal.shows(PROMPT)?;
    terminal.types("import time; time.sleep(3); driver.name\r")?;
    let later = terminal.shows("'driverConfiguration'")?;
    for part in ["Machine state will be reset", "additionally exposed symbols:", "run_tests", "test_script"] {
        assert!(begun.contains(part), "{part}: {begun}");
    }
    for part in ["the script runs", "Test will time out"] {
        assert!(!begun.contains(part) && !later.contains(part), "{part}: {begun}{later}");
    }
    terminal.says(PROMPT, "test_script()", "the script runs")?;
    terminal.says(PROMPT, "run_tests()", "Test will time out and terminate in 2.0 seconds")?;
    terminal.shows("the script runs")?;
    terminal.says(PROMPT, "exit()", "status=0")?;
    let (_pen, directory) = terminal.ended()?;
    let history = fs::read_to_string(directory.path().join(".nixos-test-history"))?;
    assert!(history.contains("run_tests()\n"), "{history}");
    assert_eq!(ground.names("state"), [""; 0]);
    Ok(())
}
