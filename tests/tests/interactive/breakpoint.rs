//! The debug hook.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use tandem_tests::leftovers::Snapshot;
use tandem_tests::program::Program;
use tandem_tests::{TestResult, host_lock, requirement};

use crate::stage::TANDEM;

const HEAD: &str = r#"# /// script
# requires-python = ">=3.11"
# [tool.tandem.machines.m]
# backend = "container"
# ///
"#;

/// Somebody at the debugger.
struct Debugger(BufReader<TcpStream>);

impl Debugger {
    fn connect() -> TestResult<Self> {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            match TcpStream::connect(("127.0.0.1", 4444)) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
                    let mut debugger = Self(BufReader::new(stream));
                    debugger.prompt()?;
                    return Ok(debugger);
                }
                Err(error) if Instant::now() > deadline => return Err(format!("nobody listens: {error}").into()),
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    /// Reads up to the prompt.
    fn prompt(&mut self) -> TestResult<String> {
        let mut text = Vec::new();
        while !text.ends_with(b"(Pdb) ") {
            if self.0.read_until(b' ', &mut text)? == 0 {
                return Err(format!("it hung up after: {}", String::from_utf8_lossy(&text)).into());
            }
        }
        Ok(String::from_utf8(text)?)
    }

    fn types(&mut self, line: &str) -> TestResult {
        Ok(self.0.get_mut().write_all(format!("{line}\r\n").as_bytes())?)
    }

    fn says(&mut self, line: &str) -> TestResult<String> {
        self.types(line)?;
        self.prompt()
    }
}

/// The commands of the processes in the pen.
fn commands(program: &Program) -> Vec<String> {
    let command = |pid| fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default().replace('\0', " ");
    program.pen.processes().into_iter().map(command).collect()
}

/// The number after `marker` that the program has written to its record.
fn told(program: &Program, script: &str) -> TestResult<String> {
    let events = fs::read_to_string(program.directory().join("tandem-out").join(script).join("events.jsonl"))?;
    let (_, rest) =
        events.split_once("!!! Breakpoint reached, run 'sudo /bin/attach ").ok_or("no breakpoint in the record")?;
    Ok(rest.chars().take_while(char::is_ascii_digit).collect())
}

#[test]
fn a_failed_script_waits_for_a_debugger() -> TestResult {
    if !requirement::containers_and("python3") {
        return Ok(());
    }
    let _lock = host_lock::alone()?;
    let before = Snapshot::take(&[])?;
    let script = format!("{HEAD}answer = 40\ndef check(n):\n    m.succeed(f'exit {{n}}')\ncheck(answer + 2)\n");
    let program = Program::start(TANDEM, &["run", "--debug-hook=/bin/attach", "fails.py"], &[("fails.py", &script)])?;
    let mut debugger = Debugger::connect()?;
    assert!(debugger.says("p n")?.starts_with("42"));
    debugger.says("up")?;
    assert!(debugger.says("p answer, machines")?.starts_with("(40, [<NspawnMachine 'm'>])"));
    let machine_answers = debugger.says("p m.succeed('echo alive')")?;
    assert!(machine_answers.contains("'alive\\n'"), "{machine_answers}");
    let number = told(&program, "fails")?;
    assert!((6..=7).contains(&number.len()), "{number}");
    let marker = format!("sleep {number} ");
    assert!(commands(&program).contains(&marker), "{marker}: {:?}", commands(&program));
    debugger.types("c")?;
    let ended = program.wait(Duration::from_secs(30))?;
    assert_eq!(ended.status, 1, "{}", ended.stderr);
    let report = ended.stderr.find("!!! RequestedAssertionFailed: command `exit 42` failed");
    assert!(report.is_some() && report < ended.stderr.find("!!! Breakpoint reached"), "{}", ended.stderr);
    before.restored_within(Duration::from_secs(1), &[&ended.pen])?;
    Ok(())
}

#[test]
fn a_breakpoint_lets_the_script_go_on() -> TestResult {
    if !requirement::containers_and("python3") {
        return Ok(());
    }
    let _lock = host_lock::alone()?;
    let script =
        format!("{HEAD}state = 'before'\ndebug.breakpoint()\nprint('state', state)\nimport os\nos.stat('/')\n");
    let program = Program::start(TANDEM, &["run", "--debug-hook", "stops.py"], &[("stops.py", &script)])?;
    let mut debugger = Debugger::connect()?;
    assert!(commands(&program).iter().any(|command| command.starts_with("sleep ")));
    assert!(debugger.says("p state")?.starts_with("'before'"));
    let next = debugger.says("!state = 'changed'")? + &debugger.says("n")?;
    assert!(next.contains("stops.py(9)"), "{next}");
    debugger.types("c")?;
    let ended = program.wait(Duration::from_secs(30))?;
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    assert!(ended.stderr.contains("state changed"), "{}", ended.stderr);
    assert!(ended.stderr.contains("!!! Breakpoint reached, run 'nc 127.0.0.1 4444'"), "{}", ended.stderr);
    Ok(())
}

#[test]
fn the_global_timeout_holds_at_a_breakpoint() -> TestResult {
    if !requirement::containers_and("python3") {
        return Ok(());
    }
    let _lock = host_lock::alone()?;
    let before = Snapshot::take(&[])?;
    let script = format!("{HEAD}debug.breakpoint()\n");
    let args = ["run", "--debug-hook", "--global-timeout", "3", "stops.py"];
    let ended = Program::start(TANDEM, &args, &[("stops.py", &script)])?.wait(Duration::from_secs(60))?;
    assert_eq!(ended.status, 143, "{}", ended.stderr);
    before.restored_within(Duration::from_secs(1), &[&ended.pen])?;
    Ok(())
}

#[test]
fn without_the_hook_and_for_broken_machines_there_is_no_breakpoint() -> TestResult {
    if !requirement::containers_and("python3") {
        return Ok(());
    }
    let _lock = host_lock::alone()?;
    let nop = format!("{HEAD}debug.breakpoint()\ndebug.breakpoint(host='127.0.0.1', port=4444)\n");
    let ended = Program::start(TANDEM, &["run", "nop.py"], &[("nop.py", &nop)])?.wait(Duration::from_secs(30))?;
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    let broken = format!("{HEAD}from test_driver.errors import MachineError\nraise MachineError('broken')\n");
    let args = ["run", "--debug-hook", "broken.py"];
    let ended = Program::start(TANDEM, &args, &[("broken.py", &broken)])?.wait(Duration::from_secs(30))?;
    assert_eq!(ended.status, 4, "{}", ended.stderr);
    assert!(!ended.stderr.contains("Breakpoint"), "{}", ended.stderr);
    let open = format!("{HEAD}debug.breakpoint('0.0.0.0')\n");
    let args = ["run", "--debug-hook", "--global-timeout", "20", "open.py"];
    let program = Program::start(TANDEM, &args, &[("open.py", &open)])?;
    Debugger::connect()?.types("c")?;
    let ended = program.wait(Duration::from_secs(30))?;
    assert_eq!(ended.status, 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("0.0.0.0 is not an address of the loopback interface"), "{}", ended.stderr);
    Ok(())
}
