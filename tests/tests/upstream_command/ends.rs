//! How tests end, and what of that the caller sees.

use std::time::Duration;

use rustix::process::Signal;
use tandem_tests::leftovers::Snapshot;
use tandem_tests::program::Ended;
use tandem_tests::{TestResult, host_lock, requirement};

use super::ground::{Ground, PATIENCE, in_order};

/// Runs the test until it says `now`, sends this signal if there is one, and checks that nothing is left.
fn ended_by(ground: &Ground, signal: Option<Signal>) -> TestResult<Ended> {
    let before = Snapshot::take(&[])?;
    let driver = ground.start(&[])?;
    if let Some(signal) = signal {
        assert!(driver.says("now", PATIENCE), "it does not come to its script");
        driver.signal(signal)?;
    }
    let ended = driver.wait(PATIENCE)?;
    before.restored_within(Duration::from_secs(1), &[&ended.pen])?;
    assert_eq!(ground.names("state").iter().filter(|name| *name != "tandem-record").count(), 0);
    Ok(ended)
}

#[test]
fn the_global_timeout_ends_a_start_script_that_never_connects() -> TestResult {
    if !requirement::virtual_machines() {
        return Ok(());
    }
    let _lock = host_lock::alone()?;
    let mut ground = Ground::new()?;
    ground.vm("m", "#!/bin/sh\necho thinking\nsleep 1000 &\ntrap '' TERM\nsleep 1000\n")?;
    ground.set("global_timeout", 3);
    ground.script("start_all()\n")?;
    let ended = ended_by(&ground, None)?;
    assert_eq!(ended.status, 143, "{}", ended.stderr);
    in_order(
        &ended.stderr,
        &[
            "Test will time out and terminate in 3.0 seconds\n",
            "m # thinking\n",
            "timeout reached; test terminating...\n",
            "the test's record is in ",
        ],
    )?;
    assert!(!ended.stderr.contains("test script finished"), "{}", ended.stderr);
    assert_eq!(ground.names("state/tandem-record"), ["events.jsonl", "m"]);
    Ok(())
}

#[test]
fn signals_end_a_test_with_their_status() -> TestResult {
    if !requirement::root() {
        return Ok(());
    }
    let _lock = host_lock::alone()?;
    let ground = Ground::new()?;
    ground.script("import time\nprint('now')\ntime.sleep(1000)\n")?;
    assert_eq!(ended_by(&ground, Some(Signal::TERM))?.status, 143);
    assert_eq!(ended_by(&ground, Some(Signal::INT))?.status, 130);
    Ok(())
}

#[test]
fn a_script_that_fails_in_any_way_has_status_1() -> TestResult {
    if !requirement::virtual_machines() {
        return Ok(());
    }
    let _lock = host_lock::shared()?;
    let mut ground = Ground::new()?;
    ground.vm("m", "#!/bin/sh\necho 'no disk for you' >&2\nexit 3\n")?;
    for (script, said) in [
        ("t.assertEqual(1, 2)\n", "!!! RequestedAssertionFailed: 1 != 2"),
        ("raise KeyError('x')\n", "!!! KeyError: 'x'"),
        ("log.error('gave up')\n", "gave up"),
        ("raise SystemExit(7)\n", "7"),
        ("os._exit(0)\n", "!!! the interpreter ended with status 0 before the script came to its end"),
        ("os.kill(os.getpid(), 9)\n", "!!! the interpreter was killed"),
        ("m.succeed('true')\n", "QEMU process exited with code 3 before connecting to monitor socket."),
        ("start_all()\n", "no disk for you"),
    ] {
        ground.script(script)?;
        let ended = ground.run(&[])?;
        assert_eq!(ended.status, 1, "{script}: {}", ended.stderr);
        assert!(ended.stderr.contains(said), "{script}: {}", ended.stderr);
        assert!(!ended.stderr.contains("test script finished"), "{script}: {}", ended.stderr);
        assert_eq!((ground.names("state"), ground.names("out")), (vec!["tandem-record".to_owned()], vec![]));
    }
    ground.script("raise SystemExit(0)\n")?;
    assert_eq!(ground.run(&[])?.status, 0);
    assert_eq!(ground.names("state"), [""; 0]);
    Ok(())
}

#[test]
fn a_record_stays_where_somebody_wants_it() -> TestResult {
    if !requirement::virtual_machines() {
        return Ok(());
    }
    let _lock = host_lock::shared()?;
    let mut ground = Ground::new()?;
    ground.vm("m", "#!/bin/sh\nexit 3\n")?;
    // Files of the test's go there, too.
    let out = format!("TANDEM_RECORD={}", ground.text("out"));
    for (script, status) in [("(driver.out_dir / 'picture').touch()\n", 0), ("t.assertEqual(1, 2)\n", 1)] {
        ground.script(script)?;
        let ended = ground.start_with(&[&out], &[])?.wait(PATIENCE)?;
        assert_eq!(ended.status, status, "{}", ended.stderr);
        assert_eq!(ended.stderr.contains("the test's record is in "), status != 0, "{}", ended.stderr);
        assert_eq!(
            (ground.names("out"), ground.names("state")),
            (["events.jsonl", "m", "picture"].map(Into::into).into(), vec![])
        );
        assert_eq!(ground.names("out/m"), ["console.log", "journal.jsonl"]);
        let events = std::fs::read_to_string(ground.path("out/events.jsonl"))?;
        assert_eq!(events.contains("1 != 2"), status != 0, "{events}");
    }
    let file = format!("TANDEM_RECORD={}", ground.text("test-script"));
    let ended = ground.start_with(&[&file], &[])?.wait(PATIENCE)?;
    assert_eq!(ended.status, 1, "{}", ended.stderr);
    in_order(&ended.stderr, &["test-script: ", "name another directory by TANDEM_RECORD"])
}
