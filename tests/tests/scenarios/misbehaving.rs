//! Scripts that misbehave: the driver survives, says what happened, leaves nothing, and ends with the right status.

use std::fs;
use std::time::Duration;

use rustix::process::Signal;
use tandem_tests::program::{Ended, Program};
use tandem_tests::{TestResult, host_lock, requirement};

const PATIENCE: Duration = Duration::from_secs(120);

/// Boots a container first, so that there is something to clean up.
const HEAD: &str = r#"# /// script
# requires-python = ">=3.11"
# [tool.tandem]
# global-timeout = TIMEOUT
# [tool.tandem.machines.m]
# backend = "container"
# ///
import signal, subprocess, sys, tempfile, threading, time
m.succeed("true")
print("now")
"#;

/// How long a script with an end may take, and how long one without.
const LONG: &str = "100";
const SHORT: &str = "3";

fn start(script: &str, timeout: &str) -> TestResult<Program> {
    let script = HEAD.replace("TIMEOUT", timeout) + script;
    let args = ["run", "--junit-xml", "junit.xml", "script.py"];
    Ok(Program::start(env!("CARGO_BIN_EXE_tandem-under-test"), &args, &[("script.py", &script)])?)
}

/// Waits for the end, after which nothing may be left.
fn end(program: Program) -> TestResult<Ended> {
    let ended = program.wait(PATIENCE)?;
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while !ended.pen.processes().is_empty() {
        assert!(
            std::time::Instant::now() < deadline,
            "processes {:?} are left: {}",
            ended.pen.processes(),
            ended.stderr
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(ended)
}

/// Runs each script and checks its status, what is said, and what the report says of `main`.
fn check(timeout: &str, cases: &[(&str, i32, &str)]) -> TestResult {
    if !requirement::containers_and("python3") {
        return Ok(());
    }
    let _lock = host_lock::shared()?;
    let mut wrong = Vec::new();
    for (script, status, said) in cases {
        let ended = end(start(script, timeout)?)?;
        let junit = fs::read_to_string(ended.directory.path().join("junit.xml"))?;
        let reported = match status {
            0 => !junit.contains("<failure") && !junit.contains("<error"),
            1 => junit.contains("<failure"),
            _ => junit.contains("<error"),
        };
        if ended.status != *status || !ended.stderr.contains(said) || !reported {
            let said: Vec<_> = ended.stderr.lines().rev().take(20).collect();
            wrong.push(format!("{script}\nstatus {}\n{said:#?}\n{junit:.300}", ended.status));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    Ok(())
}

#[test]
fn whatever_is_raised_is_a_verdict() -> TestResult {
    check(
        LONG,
        &[
            ("raise type('Own', (BaseException,), {})('x')", 1, "\n!!! Own: x\n"),
            ("raise BaseExceptionGroup('g', [SystemExit(0), ValueError('y')])", 1, "\n!!!   ValueError: y\n"),
            (
                "class Mute(Exception):\n    def __str__(self): raise self\nwith subtest('s'): raise Mute",
                1,
                "\n!!! Mute: (its __str__ raised Mute)\n",
            ),
            ("def f(): f()\nf()", 1, "\n!!! RecursionError: maximum recursion depth exceeded"),
            ("sys.exit()", 0, ""),
            ("sys.exit(256)", 1, "!!! the script ended with sys.exit(256)"),
            ("sys.exit('text')", 1, "\n!!! text\n"),
            ("log.error('enough')", 1, "\n!!! enough\n"),
        ],
    )
}

#[test]
fn an_interpreter_that_dies_is_no_success() -> TestResult {
    check(
        LONG,
        &[
            ("os._exit(0)", 1, "before the script came to its end"),
            ("os._exit(3)", 1, "ended with status 3"),
            ("os.kill(os.getpid(), signal.SIGKILL)", 4, "!!! the interpreter was killed by signal: 9 (SIGKILL)"),
            ("os.kill(os.getpid(), signal.SIGSEGV)", 4, "SIGSEGV"),
            ("os.abort()", 4, "SIGABRT"),
            ("with subtest('s'): os.kill(os.getpid(), 9)", 4, "(failed: subtest: s, after "),
            ("threading.Timer(0.1, lambda: os.kill(os.getpid(), 15)).start()\nm.sleep(60)", 4, "SIGTERM"),
        ],
    )
}

#[test]
fn threads_and_children_do_not_decide() -> TestResult {
    check(
        LONG,
        &[
            ("threading.Thread(target=time.sleep, args=[1000], daemon=True).start()", 0, "test script passed"),
            ("threading.Thread(target=m.succeed, args=['echo']).start()", 0, "must succeed: echo"),
            ("threading.Thread(target=time.sleep, args=[1000]).start()\nraise ValueError('x')", 1, "!!! ValueError: x"),
            ("if os.fork() == 0:\n    while True: print('on and on')", 0, "test script passed"),
            ("if os.fork() == 0: os.setsid(); time.sleep(1000)", 0, "test script passed"),
            ("if os.fork() == 0: raise ValueError('of the child')\nos.wait()", 0, "ValueError: of the child"),
            ("if os.fork(): os.wait(); raise ValueError('of the parent')", 1, "!!! ValueError: of the parent"),
            (
                "if os.fork() == 0: m.succeed('echo child'); os._exit(0)\nos.wait()\nm.succeed('echo parent')",
                0,
                "parent",
            ),
            ("subprocess.Popen(['sleep', '1000'])", 0, "test script passed"),
        ],
    )
}

#[test]
fn a_script_may_break_what_is_its_own() -> TestResult {
    check(
        LONG,
        &[
            ("os.close(1); os.close(2)\nm.succeed('true')", 0, "test script passed"),
            ("os.close(1); os.close(2)\nraise ValueError('x')", 1, "!!! ValueError: x"),
            ("sys.stdout = None; sys.stderr = object()\nraise ValueError('x')", 1, "!!! ValueError: x"),
            ("d = tempfile.mkdtemp(); os.chdir(d); os.rmdir(d)\nm.succeed('true')\nt.fail('x')", 1, "!!! Requested"),
            ("os.closerange(0, 4096)\nm.succeed('true')", 1, "Bad file descriptor"),
            ("sys.stdout.buffer.write(b'a\\xff\\x00\\x1b[2Jb')\nprint('no end', end='')", 0, "no end\n"),
            ("print('\\udcff')", 0, "\u{fffd}\n"),
            ("for s in set(signal.Signals) - {9, 19}: signal.signal(s, signal.SIG_IGN)", 0, "test script passed"),
            ("sys.modules.clear()\nraise ValueError('x')", 1, "!!! "),
        ],
    )
}

#[test]
fn a_script_without_end_is_ended() -> TestResult {
    check(
        SHORT,
        &[
            ("while True: pass", 143, "!!! timeout reached; test terminating"),
            ("while True: print('on and on')", 143, "!!! timeout reached; test terminating"),
            ("while True: log.info('on and on')", 143, "!!! timeout reached; test terminating"),
            ("for s in set(signal.Signals) - {9, 19}: signal.signal(s, signal.SIG_IGN)\nm.sleep(1000)", 143, "timeout"),
            ("threading.Thread(target=time.sleep, args=[1000]).start()", 143, "timeout reached"),
            ("while True:\n    try: m.sleep(1000)\n    except BaseException: pass", 143, "timeout reached"),
            ("os.kill(os.getpid(), signal.SIGSTOP)", 143, "timeout reached"),
            ("with subtest('s'):\n    while True: pass", 143, "(failed: subtest: s, after "),
        ],
    )
}

#[test]
fn what_a_script_prints_does_not_fill_the_memory() -> TestResult {
    if !requirement::containers_and("python3") {
        return Ok(());
    }
    let _lock = host_lock::shared()?;
    // One line without an end, and many.
    let program = start(
        "for _ in range(2048): sys.stdout.write('x' * 65536)\nprint()\nfor _ in range(999999): print('y')",
        LONG,
    )?;
    let mut most = 0;
    loop {
        let used = program.pen.processes().into_iter().filter_map(peak).max();
        match used {
            Some(used) => most = most.max(used),
            None if most > 0 => break,
            None => {}
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let ended = end(program)?;
    assert_eq!(ended.status, 0, "{}", &ended.stderr[ended.stderr.len().saturating_sub(1000)..]);
    assert!(most < 128 << 10, "it took {most} KiB");
    // The terminal and the report say how much they leave out; the record has it all.
    let junit = fs::read_to_string(ended.directory.path().join("junit.xml"))?;
    assert!(junit.len() < 1 << 20 && junit.contains(" more lines)"), "{} bytes", junit.len());
    assert!(ended.stderr.contains(" more bytes)"));
    let record = fs::read(ended.directory.path().join("tandem-out/script/events.jsonl"))?;
    let printed = record.split(|byte| *byte != b'x').filter(|run| run.len() > 1000).map(<[u8]>::len).sum::<usize>();
    assert_eq!(printed, 2048 * 65536);
    assert_eq!(String::from_utf8(record)?.matches("\"text\":\"y\"").count(), 999_999);
    Ok(())
}

/// The most memory that a driver has taken, in KiB; none if it is no driver.
fn peak(pid: i32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    if field("Name:")? != "tandem-under-te" {
        return None;
    }
    field("VmHWM:")?.strip_suffix(" kB")?.parse().ok()
}

#[test]
fn reports_are_whole_however_the_driver_ends() -> TestResult {
    if !requirement::containers_and("python3") {
        return Ok(());
    }
    let _lock = host_lock::shared()?;
    for (signals, status, said) in [
        (&[Signal::TERM][..], 143, "message=\"interrupted\""),
        (&[Signal::INT, Signal::INT], 130, "message=\"interrupted\""),
        (&[Signal::KILL], 137, "message=\"the driver ended before the test did\""),
    ] {
        let program = start("with subtest('under way'): m.sleep(1000)", LONG)?;
        assert!(program.says("now", PATIENCE), "it does not come so far");
        std::thread::sleep(Duration::from_millis(200));
        for signal in signals {
            program.signal(*signal)?;
        }
        let ended = end(program)?;
        assert_eq!(ended.status, status, "{}", ended.stderr);
        let junit = fs::read_to_string(ended.directory.path().join("junit.xml"))?;
        assert!(junit.contains(said) && junit.trim_end().ends_with("</testsuites>"), "{signals:?}: {junit}");
    }
    Ok(())
}

#[test]
fn a_report_that_cannot_be_written_is_told_before_anything_starts() -> TestResult {
    let program = env!("CARGO_BIN_EXE_tandem-under-test");
    let script = HEAD.replace("TIMEOUT", LONG);
    let args = ["run", "--junit-xml", "/nonexistent/junit.xml", "script.py"];
    let ended = end(Program::start(program, &args, &[("script.py", &script)])?)?;
    if !requirement::containers_and("python3") {
        return Ok(());
    }
    assert_eq!(ended.status, 2, "{}", ended.stderr);
    assert!(ended.stderr.contains("--junit-xml /nonexistent/junit.xml: No such file"), "{}", ended.stderr);
    Ok(())
}
