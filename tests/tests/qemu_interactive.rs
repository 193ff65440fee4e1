//! A person at a prompt with a VM.

use std::time::Duration;

use tandem_tests::leftovers::Snapshot;
use tandem_tests::terminal::Terminal;
use tandem_tests::{TestResult, host_lock, requirement};

const TANDEM: &str = env!("CARGO_BIN_EXE_tandem-under-test");

const SCRIPT: &str = r#"# /// script
# requires-python = ">=3.11"
# [tool.tandem.machines.m]
# backend = "vm"
# ///
"#;

const PROMPT: &str = ">>> ";

#[test]
fn its_shell_takes_lines_and_its_console_what_is_typed() -> TestResult {
    if !requirement::virtual_machines() {
        return Ok(());
    }
    let _lock = host_lock::alone()?;
    let before = Snapshot::take(&[])?;
    let line = format!("{TANDEM} repl test.py; echo status=$?");
    let mut terminal = Terminal::open(&["sh", "-c", &line], &[("test.py", SCRIPT)])?;
    terminal.says(PROMPT, "m.shell_interact()", "m: ready")?;
    terminal.says("\n$ ", "cd /etc; no-such-program", "no-such-program: command not found")?;
    terminal.says("\n$ ", "pwd; echo $((40+2))", "/etc\r\n42\r\n")?;
    terminal.says("$ ", "sleep 1000", "")?;
    std::thread::sleep(Duration::from_secs(2));
    terminal.types("\x03")?;
    terminal.says("\n$ ", "echo again", "again\r\n")?;
    terminal.shows("$ ")?;
    terminal.types("\x04")?;
    terminal.says(PROMPT, "m.succeed('hostname')", "'m\\n'")?;
    terminal.says(PROMPT, "m.succeed('setsid head -n 1 </dev/console >/root/typed 2>/dev/null & sleep 2')", "''")?;
    terminal.shows(PROMPT)?;
    terminal.types("m.console_interact()\r")?;
    terminal.shows("m: Terminal is ready (there is no prompt):")?;
    terminal.types("to the console\r")?;
    terminal.shows("to the console\r\n")?;
    terminal.types("\x04")?;
    terminal.says(PROMPT, "m.wait_until_succeeds('grep console /root/typed')", "'to the console\\n'")?;
    terminal.says(PROMPT, "exit()", "status=0")?;
    let (pen, _directory) = terminal.ended()?;
    before.restored_within(Duration::from_secs(2), &[&pen])?;
    Ok(())
}
