//! Shells in machines, and their consoles.

use tandem_tests::{TestResult, requirement};

use crate::stage::{PROMPT, SCRIPT, Stage};

#[test]
fn a_container_has_a_shell_with_job_control_and_the_windows_size() -> TestResult {
    if !requirement::containers_and("python3") {
        return Ok(());
    }
    let mut stage = Stage::open("", SCRIPT)?;
    stage.terminal.resize(33, 111)?;
    stage.says("m.shell_interact()", "m:/tmp# ")?;
    stage.terminal.types("stty size; echo $TERM\r")?;
    stage.terminal.shows("33 111\r\nxterm\r\n")?;
    stage.terminal.resize(44, 122)?;
    stage.terminal.types("sleep 1000\r")?;
    stage.terminal.shows("sleep 1000\r\n")?;
    std::thread::sleep(std::time::Duration::from_millis(300));
    stage.terminal.types("\x1a")?;
    stage.terminal.shows("Stopped")?;
    stage.terminal.types("kill %1; wait %1; stty size\r")?;
    stage.terminal.shows("44 122")?;
    stage.terminal.types("cat > /root/typed\r")?;
    stage.terminal.shows("cat > /root/typed\r\n")?;
    stage.terminal.types("word\r")?;
    stage.terminal.shows("word\r\n")?;
    stage.terminal.types("\x03")?;
    stage.terminal.shows("m:/tmp# ")?;
    stage.terminal.types("\x04")?;
    stage.says("m.succeed('cat /root/typed')", "'word\\n'")?;
    stage.says("exit()", "")?;
    stage.ends("0")
}

#[test]
fn a_shell_can_be_elsewhere() -> TestResult {
    if !requirement::containers_and("socat") {
        return Ok(());
    }
    let mut stage = Stage::open("", SCRIPT)?;
    let elsewhere = stage.terminal.directory.path().join("elsewhere.sh");
    std::fs::write(elsewhere, "echo 'echo $((40+2)) > /root/said; exit'\nsleep 5\n")?;
    stage.says("m.shell_interact('EXEC:sh elsewhere.sh')", "deprecated")?;
    stage.says("m.succeed('cat /root/said')", "'42\\n'")?;
    stage.says("exit()", "")?;
    stage.ends("0")
}

#[test]
fn the_console_takes_what_is_typed() -> TestResult {
    if !requirement::containers_and("python3") {
        return Ok(());
    }
    let mut stage = Stage::open("", SCRIPT)?;
    stage.says("m.succeed('setsid head -n 1 </dev/console >/root/typed 2>/dev/null & sleep 1')", "''")?;
    stage.terminal.shows(PROMPT)?;
    stage.terminal.types("m.console_interact()\r")?;
    stage.terminal.shows("m: Terminal is ready (there is no prompt):")?;
    stage.terminal.types("to the console: \u{e4}\r")?;
    stage.terminal.shows("to the console: \u{e4}\r\n")?;
    stage.terminal.types("\x04")?;
    stage.says("m.wait_until_succeeds('grep console: /root/typed')", "'to the console: ")?;
    stage.says("exit()", "")?;
    stage.ends("0")
}
