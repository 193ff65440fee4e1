//! A second terminal with a shell in a machine.

use std::time::Duration;

use rustix::process::Signal;
use tandem_tests::leftovers::Snapshot;
use tandem_tests::program::Program;
use tandem_tests::terminal::Terminal;
use tandem_tests::{TestResult, host_lock, requirement};

use crate::stage::{COMM, TANDEM, begin, end};

const PROMPT: &str = "one:/tmp# ";

#[test]
fn a_shell_of_a_running_machine_opens_on_another_terminal() -> TestResult {
    if !requirement::containers_and("python3") {
        return Ok(());
    }
    let _lock = host_lock::alone()?;
    let before = Snapshot::take(&[])?;
    let run = begin("ps-attached")?;
    let shells =
        format!("for _ in 1 2 3 4; do {TANDEM} attach ps-attached one; echo status=$?; sleep 1; stty -a; done");
    let mut terminal = Terminal::open(&["sh", "-c", &shells], &[])?;

    // The machine's own, with the size of the window, job control and its status.
    terminal.resize(33, 111)?;
    terminal.says(PROMPT, "stty size; echo $TERM; hostname", "33 111\r\nxterm\r\none\r\n")?;
    terminal.shows(PROMPT)?;
    terminal.resize(44, 122)?;
    terminal.types("sleep 1000\r")?;
    terminal.shows("sleep 1000\r\n")?;
    std::thread::sleep(Duration::from_millis(300));
    terminal.types("\x03")?;
    terminal.says(
        PROMPT,
        "stty size; yes | head -n 100000 | tail -n 1; echo $((40 + 2)) > /root/said",
        "44 122\r\ny\r\n",
    )?;
    terminal.says(PROMPT, "exit 7", "status=7\r\n")?;
    assert_modes(&mut terminal)?;

    // Whatever ends it leaves the terminal as it was.
    terminal.says(PROMPT, "cat /root/said", "42\r\n")?;
    terminal.shows(PROMPT)?;
    terminal.types("\x1d\x1d\x1d")?;
    terminal.shows("left the shell of machine one")?;
    terminal.shows("status=0\r\n")?;
    assert_modes(&mut terminal)?;
    for (signal, status) in [(Signal::TERM, 143), (Signal::KILL, 137)] {
        terminal.shows(PROMPT)?;
        terminal.signal(COMM, signal)?;
        // If it was killed, the terminal is put back a moment later.
        terminal.shows(&format!("status={status}"))?;
        assert_modes(&mut terminal)?;
    }

    let (pen, _directory) = terminal.ended()?;
    let run = end(run)?;
    before.restored_within(Duration::from_secs(2), &[&pen, &run])?;
    Ok(())
}

fn assert_modes(terminal: &mut Terminal) -> TestResult {
    let modes = terminal.shows("extproc")?;
    for mode in ["isig", "icanon", "echo", "icrnl", "opost"] {
        assert!(modes.contains(&format!(" {mode} ")) || modes.contains(&format!("\n{mode} ")), "{mode}: {modes}");
    }
    Ok(())
}

#[test]
fn what_cannot_be_attached_to_is_told_with_what_there_is() -> TestResult {
    if !requirement::containers_and("python3") {
        return Ok(());
    }
    let _lock = host_lock::alone()?;
    let run = begin("ps-refusing")?;
    let attach =
        |words: &[&str]| Program::start(TANDEM, &[&["attach"], words].concat(), &[])?.wait(Duration::from_secs(60));
    for (words, said) in [
        (["ps-refusing", "two"], "machine two of run "),
        (["ps-refusing", "three"], " has no machine `three`; there are:"),
        (["no-such-run", "one"], "no run is named `no-such-run`; there are:"),
    ] {
        let ended = attach(&words)?;
        assert_eq!(ended.status, 2, "{words:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(said) && ended.stderr.contains("two"), "{words:?}: {}", ended.stderr);
    }
    // Without a terminal, too: nobody types anything.
    let ended = attach(&["ps-refusing", "one"])?;
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    end(run)?;
    let ended = attach(&["ps-refusing", "one"])?;
    assert_eq!(ended.status, 2, "{}", ended.stderr);
    Ok(())
}
