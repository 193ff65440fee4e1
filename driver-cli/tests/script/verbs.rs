//! What a script can do with machines.

use std::time::Duration;

use driver_core::fake::Reply;
use driver_core::guest::Exit;

use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn commands() {
    let stage = Stage::new(&["server"]);
    let script = r#"
from datetime import timedelta
assert server.succeed("echo one", "echo two") == "one\ntwo\n"
assert server.execute("echo out; echo err >&2; exit 3") == (3, "out\n")
assert server.execute("echo out; exit 3", check_return=False) == (-1, "out\n")
assert server.fail("echo no; exit 1") == "no\n"
assert server.execute("sleep 10", timeout=timedelta(milliseconds=50))[0] == 124
ran = server.run("echo out; echo err >&2; exit 4")
assert (ran.status, ran.stdout, ran.stderr) == (4, "out\n", "err\n"), ran
assert server.execute("sleep 0.1; touch later", check_output=False) == (-2, "")
server.wait_for_file("later")
assert server.succeed("printf 'a\\377\\000b'") == "a\ufffd\0b"
assert server.succeed("echo 'ä\"\\'") == "ä\"\\\n"
assert len(server.succeed("head -c 300000 /dev/zero | tr '\\0' x")) == 300_000
server.sleep(duration=timedelta(milliseconds=1))
server.sleep(0)
"#;
    stage.pass(script).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_says_so_in_upstreams_words() {
    let stage = Stage::new(&["server"]);
    let script = r#"
from datetime import timedelta
from test_driver.errors import MachineError, RequestedAssertionFailed
from subprocess import TimeoutExpired

def message(kind, verb, *arguments, **named):
    try:
        verb(*arguments, **named)
    except kind as error:
        return str(error)
    raise AssertionError("should have failed")

short = timedelta(milliseconds=30)
t.assertEqual(message(RequestedAssertionFailed, server.succeed, "false"), "command `false` failed (exit code 1)")
t.assertEqual(message(RequestedAssertionFailed, server.fail, "true"), "command `true` unexpectedly succeeded")
t.assertIn("timed out after", message(RequestedAssertionFailed, server.wait_for_file, "never", timeout=short))
t.assertIn("timed out after", message(RequestedAssertionFailed, server.wait_until_succeeds, "false", timeout=short))
t.assertIn("timed out", message(TimeoutExpired, server.wait_for_shutdown, short))
server.crash()
t.assertIn("not running", message(RequestedAssertionFailed, server.crash))
t.assertIn("only VMs can do that", message(MachineError, server.switch_root))
t.assertEqual(message(AttributeError, getattr, server, "fly"), "machine server has no attribute 'fly'")
t.assertEqual(message(TypeError, server.succeed, 3), "a command is a str, not int")
t.assertEqual(message(TypeError, server.wait_for_unit, 3), "a unit is a str, not int")
t.assertEqual(message(TypeError, server.succeed, "true", timeout=True), "succeed(): a duration is a datetime.timedelta, not bool")
"#;
    stage.pass(script).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn life() {
    let stage = Stage::new(&["a", "b"]);
    let script = r"
assert not a.is_up() and not a.booted
start_all()
assert a.is_up() and b.is_up()
a.start()
a.shutdown()
assert not a.is_up() and b.is_up()
a.connect()
assert a.is_up()
a.crash()
a.start()
a.reboot()
a.succeed('true')
a.block()
b.succeed('true')
b.shutdown()
a.shutdown()
join_all()
";
    stage.pass(script).await;
    assert_eq!((stage.fake("a").starts(), stage.fake("b").starts()), (3, 1));
    assert_eq!(stage.fake("a").unplugged(), [0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_that_cannot_start_are_named() {
    let stage = Stage::new(&["a", "b", "c"]);
    for name in ["a", "c"] {
        stage.fake(name).boots(driver_core::fake::Booting::Unlaunched(Duration::ZERO, "no disk".into()));
    }
    let report = stage.break_down("start_all()\n").await;
    assert!(report.contains("Failed to start the following machines:\na: ") && report.contains("\nc: "), "{report}");
    assert!(!report.contains("\nb: "), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_cannot_start_is_named_in_the_same_words() {
    let stage = Stage::new(&["a", "b"]);
    stage.fake("a").boots(driver_core::fake::Booting::Unlaunched(Duration::ZERO, "no disk".into()));
    let script = r#"
from test_driver.errors import MachineError
try:
    start_all()
    raise SystemExit("should have failed")
except MachineError as error:
    t.assertEqual(str(error), "Failed to start the following machines:\na: machine a: start: no disk")
assert b.is_up() and not a.is_up()
"#;
    stage.pass(script).await;
    let failure = stage.failure("start all VMs").unwrap();
    assert!(failure.starts_with("Failed to start the following machines:"), "{failure}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_without_a_place_for_more_machines_says_so() {
    let stage = Stage::new(&[]);
    let report = stage.fail("create_machine('/bin/run-x-vm')\n").await;
    assert!(report.ends_with("create_machine: this run has no place for more machines"), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_runs_itself_without_end_is_stopped() {
    let stage = Stage::new(&[]);
    let report = stage.fail("import sys\nsys.setrecursionlimit(200)\ntest_script()\n").await;
    assert!(report.contains("RecursionError: maximum recursion depth exceeded"), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn units() {
    let stage = Stage::new(&["server"]);
    let server = stage.fake("server");
    server.reply("systemctl", Reply::ok("ActiveState=active\n"));
    let script = r#"
server.wait_for_unit("x.service")
server.require_unit_state("x.service")
assert server.get_unit_info("x.service")["ActiveState"] == "active"
assert server.get_unit_property("x.service", "ActiveState") == "active"
assert server.systemctl("start x")[0] == 0
server.start_job("x.service")
server.stop_job("x.service", user="alice")
"#;
    stage.pass(script).await;
    assert!(server.commands().iter().any(|command| command.contains("alice")));
}

#[tokio::test(flavor = "multi_thread")]
async fn copies() {
    let stage = Stage::new(&["server"]);
    let script = r#"
import pathlib
here = pathlib.Path(__file__).parent
(here / "sent").write_text("sent\n")
server.copy_from_host(here / "sent", str(here / "below" / "got"))
assert (here / "below" / "got").read_text() == "sent\n"
server.succeed("echo made > made")
server.copy_from_machine(str(here / "made"))
assert (driver.out_dir / "made").read_text() == "made\n"
server.copy_from_vm(str(here / "made"), "deep/down")
assert (server.out_dir / "deep" / "down" / "made").read_text() == "made\n"
"#;
    stage.pass(script).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn console_text() {
    let stage = Stage::new(&["server"]);
    let server = stage.fake("server");
    server.boot_says(["booting", "login: first", "login: second"]);
    server.reply("say", Reply::ok(""));
    let script = r#"
from datetime import timedelta
import re
from test_driver.errors import RequestedAssertionFailed
server.start()
server.wait_for_console_text("login: (?P<who>f)")
server.wait_for_console_text(re.compile("LOGIN", re.I))
try:
    server.wait_for_console_text("login", timeout=timedelta(milliseconds=20))
    raise SystemExit("found again")
except RequestedAssertionFailed as error:
    assert "action timed out" in str(error), error
assert server.get_console_log() == "booting\nlogin: first\nlogin: second"
server.crash()
server.start()
server.wait_for_console_text("booting\nlogin: first\nlogin")
"#;
    stage.pass(script).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_machine_ends_a_wait_for_its_console() {
    let stage = Stage::new(&["server"]);
    let server = stage.fake("server");
    let watcher = async {
        while server.starts() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server.say("one");
        server.say("Kernel panic");
        server.die(Exit::Died("it fell over".into()));
    };
    let script = "server.wait_for_console_text('panic')\nserver.wait_for_console_text('never')\n";
    let (report, ()) = tokio::join!(stage.break_down(script), watcher);
    assert!(
        report.contains("MachineError: machine server: wait_for_console_text: it is not running any more"),
        "{report}"
    );
    assert!(report.ends_with("    one\n    Kernel panic"), "{report}");
    assert!(report.contains("line 2"), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_machine_ends_a_wait() {
    let stage = Stage::new(&["server"]);
    stage.fake("server").reply("fatal", Reply::die(Exit::Died("it fell over".into())));
    let report = stage.break_down("server.wait_until_succeeds('fatal')\n").await;
    assert!(report.contains("MachineError: machine server: "), "{report}");
    assert!(report.contains("it fell over"), "{report}");
}
