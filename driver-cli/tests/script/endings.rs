//! How scripts end.

use std::time::{Duration, Instant};

use driver_cli::script::ScriptOutcome;
use driver_core::event::Kind;

use crate::stage::{PATIENCE, Stage};

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_shows_the_scripts_own_lines() {
    let stage = Stage::new(&["server"]);
    let script = r#"
def ask():
    server.succeed("exit 7")

with subtest("asking"):
    ask()
"#;
    let report = stage.fail(script).await;
    let expected = r#"Traceback (most recent call last):
  File "SCRIPT", line 6, in <module>
    ask()
  File "SCRIPT", line 3, in ask
    server.succeed("exit 7")

RequestedAssertionFailed: command `exit 7` failed (exit code 7)"#;
    assert_eq!(report, expected);
    let recorded = stage.events().into_iter().filter(|event| matches!(event.kind, Kind::Failure { .. })).count();
    assert_eq!(recorded, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn assertions_and_exceptions_are_told_alike() {
    let stage = Stage::new(&[]);
    let frame = |code: &str| {
        format!("Traceback (most recent call last):\n  File \"SCRIPT\", line 1, in <module>\n    {code}\n\n")
    };
    let code = "t.assertEqual(1, 2, 'sums')";
    assert_eq!(stage.fail(code).await, frame(code) + "RequestedAssertionFailed: 1 != 2 : sums");
    let code = "assert 1 == 2";
    assert_eq!(stage.fail(code).await, frame(code) + "AssertionError");
    let code = "{}['key']";
    assert_eq!(stage.fail(code).await, frame(code) + "KeyError: 'key'");
    let code = "raise KeyboardInterrupt";
    assert_eq!(stage.fail(code).await, frame(code) + "KeyboardInterrupt");
    let code = "import json; json.loads('{')";
    let report = stage.fail(code).await;
    assert!(report.starts_with(&(frame(code) + "json.decoder.JSONDecodeError: Expecting")), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn causes_are_kept_short() {
    let stage = Stage::new(&[]);
    let script = "try:\n    {}['key']\nexcept KeyError as error:\n    raise ValueError('worse') from error\n";
    let report = stage.fail(script).await;
    assert!(report.ends_with("\n\nValueError: worse\ncaused by KeyError: 'key' (test.py, line 2)"), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_of_modules_beside_the_script_are_shown() {
    let stage = Stage::new(&["server"]);
    std::fs::write(stage.path().join("helper.py"), "def ask(machine):\n    machine.succeed('false')\n").unwrap();
    let report = stage.fail("import helper\nhelper.ask(server)\n").await;
    let helper = stage.path().join("helper.py").display().to_string();
    assert!(
        report.contains(&format!("  File \"{helper}\", line 2, in ask\n    machine.succeed('false')\n")),
        "{report}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sys_exit() {
    let stage = Stage::new(&[]);
    stage.pass("import sys; sys.exit()").await;
    stage.pass("import sys; sys.exit(0)").await;
    assert_eq!(stage.fail("import sys; sys.exit(3)").await, "the script ended with sys.exit(3)");
    assert_eq!(stage.fail("import sys; sys.exit('no luck')").await, "no luck");
    assert_eq!(stage.fail("import sys; sys.exit('')").await, "the script ended with sys.exit('')");
    assert_eq!(stage.fail("import sys; sys.exit(0.0)").await, "the script ended with sys.exit(0.0)");
    let odd =
        "import sys\nclass Odd:\n    def __repr__(self): raise ValueError\n    __eq__ = __repr__\nsys.exit(Odd())";
    assert_eq!(stage.fail(odd).await, "the script ended with sys.exit() of a Odd");
}

#[tokio::test(flavor = "multi_thread")]
async fn any_exception_is_reported() {
    let stage = Stage::new(&[]);
    for (script, told) in [
        ("raise type('Own', (BaseException,), {})('x')", "Own: x"),
        ("raise GeneratorExit", "GeneratorExit"),
        (
            "raise ExceptionGroup('two', [ValueError(1), ExceptionGroup('deep', [KeyError(2)])])",
            "ExceptionGroup: two (2 sub-exceptions)\n  ValueError: 1\n  ExceptionGroup: deep (1 sub-exception)\n    KeyError: 2",
        ),
        (
            "class Mute(Exception):\n    def __str__(self): raise SystemExit(0)\nraise Mute",
            "Mute: (its __str__ raised SystemExit)",
        ),
        ("raise ValueError('\\udcff')", "ValueError: \\udcff"),
        ("error = ValueError('x'); error.__notes__ = 7\nraise error", "ValueError: x"),
        ("def f(): f()\nf()", "RecursionError: maximum recursion depth exceeded"),
        ("def deep(n): return deep(n - 1) if n else 1 / 0\ndeep(500)", "ZeroDivisionError: division by zero"),
    ] {
        let report = stage.fail(script).await;
        assert!(report.starts_with("Traceback (most recent call last):\n"), "{report}");
        assert!(report.contains(&format!("\n\n{told}")), "{script}: {report}");
        assert!(report.lines().count() < 100, "{report}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_odd_exception_in_a_subtest_is_reported_too() {
    let stage = Stage::new(&[]);
    let script = r#"
class Mute(Exception):
    def __str__(self): raise ValueError
with subtest("odd \udcff"):
    raise Mute
"#;
    let report = stage.fail(script).await;
    assert!(report.ends_with("Mute: (its __str__ raised ValueError)"), "{report}");
    assert_eq!(stage.failure("odd \\udcff").as_deref(), Some("(its __str__ raised ValueError)"));
}

#[tokio::test(flavor = "multi_thread")]
async fn log_error_ends_the_script_wherever_it_is_called() {
    let stage = Stage::new(&[]);
    assert_eq!(stage.fail("log.error('enough')\nprint('not reached')").await, "enough");
    let script =
        "import threading, time\nthreading.Thread(target=log.error, args=['of a thread']).start()\ntime.sleep(60)";
    assert_eq!(stage.fail(script).await, "of a thread");
    assert_eq!(stage.fail("log.error(0)").await, "0");
    assert!(!stage.messages().contains(&"not reached".to_owned()));
    stage.pass("log.log_test_error('only said')").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_script_is_not_held_up_by_a_thread_without_end() {
    let stage = Stage::new(&[]);
    let script =
        "import threading, time\nthreading.Thread(target=time.sleep, args=[1000]).start()\nraise ValueError('no')";
    let report = stage.fail(script).await;
    assert!(report.ends_with("ValueError: no"), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forked_child_does_not_speak_for_the_script() {
    let stage = Stage::new(&[]);
    // The child comes to its end, or fails, before the parent goes on.
    let passes = "pid = os.fork()\nif pid:\n    os.waitpid(pid, 0)\n";
    let report = stage.fail(&format!("{passes}    raise ValueError('of the parent')")).await;
    assert!(report.ends_with("ValueError: of the parent"), "{report}");
    stage.pass(&format!("{passes}else:\n    raise ValueError('of the child')")).await;
    assert!(stage.messages().contains(&"ValueError: of the child".to_owned()), "{:?}", stage.messages());
    stage.pass(&format!("{passes}else:\n    import sys; sys.exit(3)")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interpreter_that_ends_early_is_no_success() {
    let stage = Stage::new(&[]);
    for status in [0, 5] {
        let report = stage.fail(&format!("os._exit({status})")).await;
        assert_eq!(
            report,
            format!("the interpreter ended with status {status} before the script came to its end, as os._exit() does")
        );
    }
    let report = stage.fail("import atexit; atexit.register(os._exit, 9)").await;
    assert_eq!(report, "the script came to its end, but then the interpreter ended with status 9");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_interpreter_crashed() {
    let stage = Stage::new(&[]);
    let outcome = stage.run("os.kill(os.getpid(), 9)").await;
    assert_eq!(outcome, ScriptOutcome::Crashed("the interpreter was killed by signal: 9 (SIGKILL)".into()));
    assert!(
        stage
            .events()
            .iter()
            .any(|event| matches!(&event.kind, Kind::Failure { report } if report.contains("SIGKILL")))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn threads_are_waited_for_and_their_exceptions_are_theirs() {
    let stage = Stage::new(&["server"]);
    let script = r#"
import threading, time
def late():
    time.sleep(0.1)
    server.succeed("echo late")
    raise ValueError("in a thread")
threading.Thread(target=late).start()
"#;
    stage.pass(script).await;
    assert!(stage.fake("server").commands().iter().any(|command| command.ends_with("echo late")));
    assert!(stage.messages().contains(&"ValueError: in a thread".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_a_script_leaves_do_not_hold_it_up_and_are_ended() {
    let stage = Stage::new(&[]);
    let script = "import subprocess\nprint(subprocess.Popen(['sleep', '1000']).pid)\n";
    let began = Instant::now();
    stage.pass(script).await;
    assert!(began.elapsed() < PATIENCE);
    let pid = stage.messages().concat();
    assert!(gone(&pid).await, "process {pid} is still there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_run_kills_an_endless_script_and_its_children() {
    let stage = Stage::new(&[]);
    let script = "import subprocess\nprint(os.getpid(), subprocess.Popen(['sleep', '1000']).pid)\nwhile True: pass\n";
    let interpreter = stage.interpreter(script).await;
    let printed = async {
        while stage.messages().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        outcome = interpreter.run(stage.test()) => panic!("{outcome:?}"),
        () = printed => {}
    }
    for pid in stage.messages().concat().split(' ') {
        assert!(gone(pid).await, "process {pid} is still there");
    }
    assert!(!stage.path().join("private/driver.socket").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_closes_its_connections_goes_on_with_others() {
    let stage = Stage::new(&["server"]);
    let script = r#"
import gc, socket
server.succeed("true")
for thing in gc.get_objects():
    if isinstance(thing, socket.socket) and thing.family == socket.AF_UNIX:
        thing.shutdown(socket.SHUT_RDWR)
try:
    server.succeed("true")
    raise SystemExit("should have failed")
except Exception as error:
    assert "the driver is gone" in str(error), error
server.succeed("true")
"#;
    stage.pass(script).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forked_child_can_use_machines() {
    let stage = Stage::new(&["server"]);
    let script = r#"
server.succeed("true")
pid = os.fork()
if pid == 0:
    assert server.succeed("echo child") == "child\n"
    os._exit(0)
assert server.succeed("echo parent") == "parent\n"
assert os.waitpid(pid, 0)[1] == 0
"#;
    stage.pass(script).await;
}

/// Whether a process is gone, or goes soon.
async fn gone(pid: &str) -> bool {
    for _ in 0..500 {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // A zombie is gone; who started it may not have been told yet.
        if stat.rsplit(')').next().is_none_or(|rest| rest.is_empty() || rest.trim_start().starts_with('Z')) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    false
}
