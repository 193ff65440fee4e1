//! What is wrong is told before anything starts.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use tandem_tests::{TestResult, host_lock, requirement};

use super::ground::{Ground, PATIENCE, in_order};

#[test]
fn wrong_command_lines_have_status_2_and_their_usage() -> TestResult {
    let ground = Ground::new()?;
    let file = ground.text("test-script");
    let cases: [(&[&str], &str); 7] = [
        (&[], "the following arguments are required: -c/--config"),
        (&["-c", "x", "-o", "/no/such"], "argument -o/--output_directory: /no/such is not a directory"),
        (&["-c", "x", "-o", &file], "test-script is not a directory"),
        (&["-c", "x", "--log-level", "loud"], "invalid choice: 'loud'"),
        (&["-c", "x", "--keep"], "ambiguous option: --keep could match --keep-machine-state, --keep-vm-state"),
        (&["-c", "x", "--junit-xlm", "y"], "unrecognized arguments: --junit-xlm; did you mean --junit-xml?"),
        (&["-c", "x", "script.py"], "unrecognized arguments: testScript; --config says all of that"),
    ];
    for (args, expected) in cases {
        let ended = ground.call("nixos-test-driver", &[], args)?.wait(PATIENCE)?;
        assert_eq!(ended.status, 2, "{args:?}: {}", ended.stderr);
        in_order(&ended.stderr, &["usage: nixos-test-driver ", "\nnixos-test-driver: error: ", expected])?;
        assert_eq!((ended.stdout.as_str(), ground.names("state")), ("", vec![]));
    }
    Ok(())
}

#[test]
fn an_output_directory_that_cannot_be_written_to_is_refused() -> TestResult {
    if !requirement::program("setpriv") {
        return Ok(());
    }
    let ground = Ground::new()?;
    // Root may write anywhere.
    let (program, out) = (env!("CARGO_BIN_EXE_tandem-under-test"), ground.text("out"));
    fs::set_permissions(ground.path("."), fs::Permissions::from_mode(0o755))?;
    let call = "exec -a nixos-test-driver \"$0\" -c x -o \"$1\"";
    let args = ["--reuid=65534", "--regid=65534", "--clear-groups", "bash", "-c", call, program, &out];
    let ended = tandem_tests::program::Program::start("setpriv", &args, &[])?.wait(PATIENCE)?;
    if ended.stderr.contains("Permission denied") {
        return Err(format!("the program must be where everybody may run it: {}", ended.stderr).into());
    }
    assert_eq!(ended.status, 2, "{}", ended.stderr);
    in_order(&ended.stderr, &["error: argument -o/--output_directory: ", "out is not a writable directory"])
}

#[test]
fn all_that_is_wrong_with_a_configuration_is_told_at_once() -> TestResult {
    let mut ground = Ground::new()?;
    ground.vm("plain", "#!/bin/sh\n")?;
    fs::set_permissions(ground.path("run-plain-vm"), fs::Permissions::from_mode(0o644))?;
    ground.start_script("gone", &ground.path("no-such"));
    ground.set("vlans", vec![300]);
    ground.set("global_timeout", "soon");
    ground.set("containers", 1);
    ground.script("if True\n")?;
    let ended = ground.run(&[])?;
    assert_eq!(ended.status, 1, "{}", ended.stderr);
    for part in [
        "`vms.plain.start_script`: `",
        "may not be executed; run `chmod +x ",
        "`vms.gone.start_script`: `",
        "no-such` does not exist",
        "`vlans[0]`: 300 is no VLAN",
        "`global_timeout`: `soon` is not a time",
        "`containers`: expected a table of containers, found a whole number",
        "test-script:1: expected ':'",
        "problems, nothing was started",
    ] {
        assert!(ended.stderr.contains(part), "{part} in {}", ended.stderr);
    }
    assert_eq!((ended.stdout.as_str(), ground.names("state")), ("", vec![]));
    Ok(())
}

#[test]
fn a_configuration_that_cannot_be_read_is_told() -> TestResult {
    let ground = Ground::new()?;
    let path = ground.text("broken");
    for (text, expected) in [
        ("{\"vms\": {},\n\"vlans\": [1,]}", "broken:2:13: not valid JSON: trailing comma"),
        ("", "broken:1:1: not valid JSON: "),
        ("{}", "`vms`: expected a table of VMs, found nothing; add the key `vms`"),
        ("\u{0}", "not valid JSON"),
    ] {
        fs::write(&path, text)?;
        let ended = ground.call("nixos-test-driver", &[], &["-c", &path])?.wait(PATIENCE)?;
        assert_eq!(ended.status, 1, "{}", ended.stderr);
        assert!(ended.stderr.contains(expected), "{expected} in {}", ended.stderr);
    }
    let ended = ground.call("nixos-test-driver", &[], &["-c", "/no/such"])?.wait(PATIENCE)?;
    assert_eq!(ended.status, 1);
    assert!(ended.stderr.contains("`/no/such` does not exist"), "{}", ended.stderr);
    Ok(())
}

#[test]
fn places_that_cannot_be_used_are_told() -> TestResult {
    if !requirement::root() {
        return Ok(());
    }
    let _lock = host_lock::shared()?;
    let ground = Ground::new()?;
    let file = format!("XDG_RUNTIME_DIR={}", ground.text("test-script"));
    let ended = ground.start_with(&[&file], &[])?.wait(PATIENCE)?;
    assert_eq!(ended.status, 1, "{}", ended.stderr);
    in_order(&ended.stderr, &["test-script: it is not a directory; set XDG_RUNTIME_DIR to"])?;
    // One that is missing is made.
    let missing = format!("XDG_RUNTIME_DIR={}", ground.text("missing"));
    let ended = ground.start_with(&[&missing], &[])?.wait(PATIENCE)?;
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    assert_eq!(fs::metadata(ground.path("missing"))?.permissions().mode() & 0o777, 0o700);
    Ok(())
}
