//! Where machines keep their state, and whose it is.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use rustix::process::Signal;
use tandem_tests::{TestResult, host_lock, requirement};

use super::ground::{Ground, PATIENCE, in_order, soon};

/// Goes on when there is a file `go` in the output directory.
const WAIT: &str = "
import time
print('here')
while not (driver.out_dir / 'go').exists():
    time.sleep(0.02)
";

/// A start script that writes down what it is told, and never comes to QEMU.
const NOTES: &str = "#!/bin/sh\nenv > environment\npwd > directory\necho 'no disk'\nexit 3\n";

#[test]
fn start_scripts_are_told_upstreams_places_and_every_vlan() -> TestResult {
    if !requirement::virtual_machines() {
        return Ok(());
    }
    let _lock = host_lock::shared()?;
    let mut ground = Ground::new()?;
    for name in ["one", "the_other"] {
        ground.vm(name, NOTES)?;
    }
    ground.set("vlans", vec![3, 11]);
    ground.script(
        "for machine in machines:\n    try:\n        machine.start()\n    except Exception as error:\n        print(error)\n",
    )?;
    let ended = ground.run(&["-K"])?;
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    assert!(!ended.stderr.contains("Machine state will be reset"), "{}", ended.stderr);
    assert_eq!(ground.names("state"), ["shared-xchg", "vm-state-one", "vm-state-the_other"]);
    for name in ["one", "the_other"] {
        let state = ground.path(&format!("state/vm-state-{name}"));
        assert_eq!(fs::metadata(&state)?.permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::read_to_string(state.join("directory"))?.trim_end(), state.display().to_string());
        let environment = fs::read_to_string(state.join("environment"))?;
        for (variable, value) in [
            ("TMPDIR", state.display().to_string()),
            ("SHARED_DIR", ground.text("state/shared-xchg")),
            ("NIX_EFI_VARS", state.join(format!("{name}-efi-vars.fd")).display().to_string()),
        ] {
            assert!(environment.lines().any(|line| line == format!("{variable}={value}")), "{variable}: {environment}");
        }
        for variable in ["USE_TMPDIR=1", "QEMU_VDE_SOCKET_3=/", "QEMU_VDE_SOCKET_11=/"] {
            assert!(environment.lines().any(|line| line.starts_with(variable)), "{variable}: {environment}");
        }
    }
    Ok(())
}

#[test]
fn state_of_an_earlier_test_is_deleted_unless_it_is_kept() -> TestResult {
    if !requirement::virtual_machines() {
        return Ok(());
    }
    let _lock = host_lock::shared()?;
    let mut ground = Ground::new()?;
    ground.vm("m", NOTES)?;
    fs::create_dir_all(ground.path("state/vm-state-m"))?;
    fs::create_dir_all(ground.path("state/vm-state-of-another-test"))?;
    fs::write(ground.path("state/vm-state-m/disk"), "x")?;
    let look = |there: &str| format!("assert os.path.exists('{}') == {there}\n", ground.text("state/vm-state-m/disk"));

    ground.script(&look("True"))?;
    let kept = ground.run(&["--keep-machine-state"])?;
    assert_eq!(kept.status, 0, "{}", kept.stderr);
    assert!(!kept.stderr.contains("deleting"), "{}", kept.stderr);

    // At the end, what nobody wants to keep is gone.
    ground.script(&look("False"))?;
    let deleted = ground.run(&[])?;
    assert_eq!(deleted.status, 0, "{}", deleted.stderr);
    let told = format!("deleting machine state directory {}\n", ground.text("state/vm-state-m"));
    in_order(&deleted.stderr, &[&told, "if you want to keep the machine state, pass --keep-machine-state\n"])?;
    assert_eq!(ground.names("state"), ["vm-state-of-another-test"]);

    let by_its_old_name = ground.run(&["--keep-vm"])?;
    assert!(by_its_old_name.stderr.contains("DeprecationWarning"), "{}", by_its_old_name.stderr);
    assert_eq!(ground.names("state"), ["shared-xchg", "vm-state-m", "vm-state-of-another-test"]);
    Ok(())
}

#[test]
fn a_second_driver_has_places_of_its_own_and_may_not_keep_the_firsts() -> TestResult {
    if !requirement::virtual_machines() {
        return Ok(());
    }
    let _lock = host_lock::shared()?;
    let mut ground = Ground::new()?;
    ground.vm("m", NOTES)?;
    ground.script(WAIT)?;
    let first = ground.start(&[])?;
    assert!(first.says("here", PATIENCE));
    fs::write(ground.path("state/vm-state-m/mark"), "the first's")?;

    ground.script("try:\n    m.start()\nexcept Exception as error:\n    print(error)\nprint(open('/proc/self/mounts').read()[:0])\n")?;
    let second = ground.run(&[])?;
    assert_eq!(second.status, 0, "{}", second.stderr);
    assert!(ground.path("state/vm-state-m/mark").exists());
    assert!(!ground.path("state/vm-state-m/environment").exists(), "it was the second's");
    let refused = ground.run(&["-K"])?;
    assert_eq!(refused.status, 1, "{}", refused.stderr);
    in_order(&refused.stderr, &["state in ", ": another driver, process ", ", uses it; wait for its end"])?;

    // The record of one that failed stays until the next begins.
    ground.script("raise ValueError('no')")?;
    let failed = ground.run(&[])?;
    assert_eq!(failed.status, 1);
    let (_, record) = failed.stderr.split_once("the test's record is in ").ok_or("no record")?;
    assert!(std::path::Path::new(record.trim_end()).join("events.jsonl").exists(), "{record}");

    fs::write(ground.path("out/go"), "")?;
    assert_eq!(first.wait(PATIENCE)?.status, 0);
    ground.script("")?;
    assert_eq!(ground.run(&[])?.status, 0);
    assert_eq!(ground.names("state"), [""; 0]);
    Ok(())
}

#[test]
fn nothing_is_left_of_a_driver_that_was_killed() -> TestResult {
    if !requirement::virtual_machines() {
        return Ok(());
    }
    let _lock = host_lock::shared()?;
    let mut ground = Ground::new()?;
    ground.vm("m", "#!/bin/sh\nmkdir -p deep/down\ntouch deep/file\nexec sleep 1000\n")?;
    ground.script("import threading\nthreading.Thread(target=m.start, daemon=True).start()\nprint('here')\nmachines[0].succeed('x')\n")?;
    for keep in [false, true] {
        let driver = ground.start(if keep { &["-K"] } else { &[] })?;
        let there = || ground.path("state/vm-state-m/deep/file").exists();
        soon("the start script runs", PATIENCE, there)?;
        driver.signal(Signal::KILL)?;
        let ended = driver.wait(PATIENCE)?;
        soon("no process is left", Duration::from_secs(10), || ended.pen.processes().is_empty())?;
        soon("state is as it should be", Duration::from_secs(10), || {
            let names = ground.names("state");
            let kept = names.iter().any(|name| name == "vm-state-m") && names.iter().any(|name| name == "shared-xchg");
            !names.contains(&"tandem.lock".to_owned()) && kept == keep && there() == keep
        })
        .map_err(|error| format!("{error}: {:?}", ground.names("state")))?;
    }
    Ok(())
}

#[test]
fn a_long_path_does_not_keep_sockets_from_being_made() -> TestResult {
    if !requirement::virtual_machines() {
        return Ok(());
    }
    let _lock = host_lock::shared()?;
    let mut ground = Ground::new()?;
    ground.vm("m", "#!/bin/sh\nexec qemu-system-x86_64 -accel tcg -S -nic none \"$@\"\n")?;
    ground.script("m.start()\nm.crash()\n")?;
    let long = ground.path(&"x".repeat(100));
    fs::create_dir(&long)?;
    let variable = format!("XDG_RUNTIME_DIR={}", long.display());
    let ended = ground.start_with(&[&variable], &[])?.wait(PATIENCE)?;
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    assert_eq!(fs::read_dir(&long)?.count(), 0);
    Ok(())
}
