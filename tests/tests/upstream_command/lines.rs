//! What the command line does, and what is said.

use std::fs;

use tandem_tests::program::Program;
use tandem_tests::{TestResult, host_lock, requirement};

use super::ground::{Ground, PATIENCE, in_order};

#[test]
fn a_test_that_passes_says_what_upstreams_does_and_leaves_what_it_copied() -> TestResult {
    if !requirement::root() {
        return Ok(());
    }
    let _lock = host_lock::shared()?;
    let mut ground = Ground::new()?;
    ground.set("global_timeout", 90.5);
    ground.script("log.info(f'in {driver.out_dir}')\n(driver.out_dir / 'made').write_text('x')\n")?;
    let ended = ground.run(&[])?;
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    let output = format!("in {}\n", fs::canonicalize(ground.path("out"))?.display());
    in_order(
        &ended.stderr,
        &[
            "Machine state will be reset. To keep it, pass --keep-machine-state\n",
            "Test will time out and terminate in 90.5 seconds\n",
            &output,
            "test script finished in 0.",
            "s\n",
        ],
    )?;
    in_order(&ended.stdout, &["additionally exposed symbols:\n    ", "driver, ", "start_all, "])?;
    assert_eq!((ground.names("out"), ground.names("state")), (vec!["made".to_owned()], vec![]));
    Ok(())
}

#[test]
fn machines_and_vlans_are_among_the_names_that_are_told() -> TestResult {
    if !requirement::virtual_machines() {
        return Ok(());
    }
    let _lock = host_lock::shared()?;
    let mut ground = Ground::new()?;
    ground.vm("a-b", "#!/bin/sh\n")?;
    ground.vm("c", "#!/bin/sh\n")?;
    ground.set("vlans", vec![1, 7]);
    ground
        .script("assert [m.name for m in machines] == ['a-b', 'c'] and a_b is machines[0], machines\nvlan1, vlan7\n")?;
    let ended = ground.run(&[])?;
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    in_order(&ended.stdout, &["additionally exposed symbols:\n    a_b, c,\n    vlan1, vlan7,\n    "])
}

#[test]
fn the_users_flags_come_after_the_wrappers_and_win() -> TestResult {
    if !requirement::root() {
        return Ok(());
    }
    let _lock = host_lock::shared()?;
    let ground = Ground::new()?;
    fs::create_dir(ground.path("other"))?;
    ground.script("log.info('to' + 'ld'); (driver.out_dir / 'made').write_text('x'); raise ValueError('oh no')\n")?;
    let other = ground.text("other");
    let ended = ground.run(&["-I", "--no-inter", "--log=error", "-o", &other])?;
    assert_eq!(ended.status, 1);
    // Failures are shown at any level.
    assert!(!ended.stderr.contains("told"), "{}", ended.stderr);
    assert!(ended.stderr.contains("!!! ValueError: oh no\n"), "{}", ended.stderr);
    assert_eq!((ground.names("out"), ground.names("other")), (vec![], vec!["made".to_owned()]));
    Ok(())
}

#[test]
fn the_environment_says_how_much_is_logged() -> TestResult {
    if !requirement::root() {
        return Ok(());
    }
    let _lock = host_lock::shared()?;
    let ground = Ground::new()?;
    ground.script("log.info('told'); log.warning('odd')\n")?;
    ground.start(&[])?.wait(PATIENCE)?;
    let configuration = ground.text("driverConfiguration.json");
    let call = |args: &[&str]| -> TestResult<String> {
        let args = [&["-c", &configuration], args].concat();
        let ended = ground.call("nixos-test-driver", &["logLevel=warning"], &args)?.wait(PATIENCE)?;
        assert_eq!(ended.status, 0, "{}", ended.stderr);
        Ok(ended.stderr)
    };
    let said = call(&[])?;
    assert!(said.contains("odd") && !said.contains("told"), "{said}");
    let said = call(&["--log-level=info"])?;
    assert!(said.contains("odd") && said.contains("told"), "{said}");
    Ok(())
}

#[test]
fn a_vm_has_a_window_where_there_is_a_display() -> TestResult {
    if !requirement::virtual_machines() {
        return Ok(());
    }
    let _lock = host_lock::shared()?;
    let mut ground = Ground::new()?;
    ground.vm("m", "#!/bin/sh\necho \"$@\" > arguments\nexit 3\n")?;
    ground.script("try:\n    m.start()\nexcept Exception as error:\n    print(error)\n")?;
    for (variables, window) in [
        (["DISPLAY=", "WAYLAND_DISPLAY="], false),
        (["DISPLAY=:9", "WAYLAND_DISPLAY="], true),
        (["DISPLAY=", "WAYLAND_DISPLAY=wayland-9"], true),
    ] {
        let ended = ground.start_with(&variables, &["-K"])?.wait(PATIENCE)?;
        assert_eq!(ended.status, 0, "{}", ended.stderr);
        let arguments = fs::read_to_string(ground.path("state/vm-state-m/arguments"))?;
        assert_eq!(!arguments.contains(" -nographic"), window, "{variables:?}: {arguments}");
    }
    Ok(())
}

#[test]
fn the_older_command_line_is_taken_with_a_hint() -> TestResult {
    if !requirement::virtual_machines() {
        return Ok(());
    }
    let _lock = host_lock::shared()?;
    let mut ground = Ground::new()?;
    ground.vm("server", "#!/bin/sh\n")?;
    ground.script("assert [m.name for m in machines] == ['server'] and vlans, (machines, vlans)\n")?;
    let (script, test) = (ground.text("run-server-vm"), ground.text("test-script"));
    let args = ["--start-scripts", &script, "--vlans", "1", "--global-timeout", "300", "--", &test];
    let ended = ground.call("nixos-test-driver", &[], &args)?.wait(PATIENCE)?;
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    in_order(&ended.stderr, &["hint: ", "--config", "terminate in 300.0 seconds"])?;

    let variables = [format!("startScripts={script}"), format!("testScript={test}")];
    let variables = [&*variables[0], &*variables[1], "vlans=1", "globalTimeout=20"];
    let ended = ground.call("nixos-test-driver", &variables, &[])?.wait(PATIENCE)?;
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    in_order(&ended.stderr, &["hint: ", "--config", "terminate in 20.0 seconds"])
}

#[test]
fn tandem_runs_the_same_configuration() -> TestResult {
    if !requirement::root() {
        return Ok(());
    }
    let _lock = host_lock::shared()?;
    let mut ground = Ground::new()?;
    ground.set("display_viewers", serde_json::json!({"vnc": {"kind": "vnc"}}));
    ground.script("print(driver.name)\n")?;
    assert_eq!(ground.run(&[])?.status, 0);
    let configuration = ground.text("driverConfiguration.json");
    let ended = Program::start(env!("CARGO_BIN_EXE_tandem-under-test"), &["run", &configuration], &[])?;
    let ended = ended.wait(PATIENCE)?;
    assert_eq!((ended.status, ended.stdout.as_str()), (0, ""), "{}", ended.stderr);
    in_order(
        &ended.stderr,
        &[
            "ignored in the configuration, for they mean nothing here: `display_viewers`\n",
            "driverConfiguration\n",
            "its record is in tandem-out/driverConfiguration",
        ],
    )
}

#[test]
fn the_names_for_linters_are_written() -> TestResult {
    let ground = Ground::new()?;
    let ended = ground.call("generate-driver-symbols", &[], &[])?.wait(PATIENCE)?;
    assert_eq!((ended.status, ended.stderr.as_str()), (0, ""));
    let symbols = fs::read_to_string(ended.directory.path().join("driver-symbols"))?;
    let symbols: Vec<&str> = symbols.split(',').collect();
    for name in ["driver", "log", "machines", "os", "retry", "start_all", "subtest", "t", "vlans"] {
        assert!(symbols.contains(&name), "{name} in {symbols:?}");
    }
    let ended = ground.call("generate-driver-symbols", &[], &["more"])?.wait(PATIENCE)?;
    assert_eq!(ended.status, 2);
    assert!(ended.stderr.contains("unrecognized arguments: more"), "{}", ended.stderr);
    Ok(())
}
