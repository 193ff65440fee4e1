//! A second terminal with the shell of a VM.

use std::time::Duration;

use tandem_tests::leftovers::Snapshot;
use tandem_tests::program::Program;
use tandem_tests::terminal::Terminal;
use tandem_tests::{TestResult, host_lock, requirement};

const TANDEM: &str = env!("CARGO_BIN_EXE_tandem-under-test");

const SCRIPT: &str = r#"# /// script
# requires-python = ">=3.11"
# [tool.tandem.machines.m]
# backend = "vm"
# ///
import pathlib, time

m.succeed("true")
print("ready")
while not pathlib.Path(__file__).with_name("go").exists():
    m.succeed("true")
    time.sleep(0.05)
"#;

const PROMPT: &str = "m# ";

#[test]
fn its_shell_takes_lines_beside_the_script() -> TestResult {
    if !requirement::virtual_machines() {
        return Ok(());
    }
    let _lock = host_lock::alone()?;
    let before = Snapshot::take(&[])?;
    let run = Program::start(TANDEM, &["run", "attached-vm.py"], &[("attached-vm.py", SCRIPT)])?;
    assert!(run.says("ready", Duration::from_secs(400)), "it does not boot: {}", run.wait(Duration::ZERO)?.stderr);
    // Ctrl-C is for this shell, too.
    let line = format!("trap : INT; {TANDEM} attach attached-vm; echo status=$?");
    let mut terminal = Terminal::open(&["sh", "-c", &line], &[])?;
    terminal.says(PROMPT, "cd /etc; no-such-program", "no-such-program: command not found")?;
    terminal.says(PROMPT, "pwd; echo $((40+2))", "/etc\r\n42\r\n")?;
    terminal.says(PROMPT, "sleep 1000", "")?;
    std::thread::sleep(Duration::from_secs(2));
    terminal.types("\x03")?;
    terminal.says(PROMPT, "(exit 7)", "")?;
    terminal.shows(PROMPT)?;
    terminal.types("\x04")?;
    terminal.shows("status=7\r\n")?;
    let (pen, _directory) = terminal.ended()?;
    std::fs::write(run.directory().join("go"), "")?;
    let ended = run.wait(Duration::from_secs(120))?;
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    before.restored_within(Duration::from_secs(2), &[&pen, &ended.pen])?;
    Ok(())
}
