//! VMs: as root of a range of user ids, and as the ordinary user that builds of VMs alone have.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;
use tandem_tests::nix::BUILDER;
use tandem_tests::upstream::vm::{Machine, Machines};
use tandem_tests::{TestResult, host_lock, requirement};

use crate::build::{Build, build};

/// Two VMs on a LAN, whose root is a store path.
fn lan(settings: &str, features: &str, enter: &str) -> TestResult<Option<String>> {
    let _lock = host_lock::shared()?;
    let test = "script = \"lan.py\"\nboot-timeout = \"300s\"\n\
                [machines.one]\nbackend = \"vm\"\nroot = \"@\"\n[machines.two]\nbackend = \"vm\"\nroot = \"@\"\n";
    build(&Build {
        settings,
        features,
        enter,
        command: r#"busybox cp -r $files test; cd test; busybox chmod u+w . test.toml; busybox sed -i "s|@|$distribution|" test.toml; tandem run -o $out test.toml"#,
        files: &[("lan.py", include_str!("lan.py")), ("test.toml", test)],
        binds: &[],
        then: "test -s result/seen.png && grep two result/hostname",
    })
}

#[test]
fn vms_of_a_range_of_users_share_a_lan_by_taps() -> TestResult {
    let Some(said) = lan(BUILDER, r#"["uid-range"]"#, include_str!("range.sh"))? else { return Ok(()) };
    assert!(!said.contains("a relay in user space"), "{said}");
    assert!(!said.contains("the run has no namespaces of its own"), "{said}");
    Ok(())
}

#[test]
fn vms_of_a_build_user_share_a_lan_without_a_device_for_taps() -> TestResult {
    let settings = BUILDER.replace("extra-sandbox-paths = /dev/net\n", "");
    let Some(said) = lan(&settings, "[]", include_str!("user.sh"))? else { return Ok(()) };
    assert!(said.contains("joins VLAN 1 by a relay in user space"), "{said}");
    assert!(!said.contains("the run has no namespaces of its own"), "{said}");
    Ok(())
}

#[test]
fn start_scripts_of_a_build_user_run_as_upstreams_do() -> TestResult {
    let Some(guest) = requirement::upstream_vm() else { return Ok(()) };
    let _lock = host_lock::shared()?;
    let there = guest.disk.parent().ok_or("the guest has a directory")?.to_owned();
    let machines = Machines::new(guest)?;
    let own = machines.directory().to_owned();
    fs::set_permissions(&own, fs::Permissions::from_mode(0o755))?;
    for (name, node) in [("one", 1), ("two", 2)] {
        let path = machines.script(&Machine { vlans: &[1], node, ..Machine::new(name) })?;
        let text = fs::read_to_string(&path)?.replace(&there.display().to_string(), "/guest");
        let text = text.replace(&own.display().to_string(), "/machines").replace("SEEN='/machines'", "SEEN='/build'");
        fs::write(&path, text.replace("/usr/bin/env bash", "/build/bin/bash"))?;
    }
    let configuration = json!({
        "vms": {
            "one": { "start_script": "/machines/run-one-vm" },
            "two": { "start_script": "/machines/run-two-vm" },
        },
        "containers": {},
        "vlans": [1],
        "global_timeout": 3600,
        "enable_ssh_backdoor": false,
        "test_script": "/build/test-script",
    });
    let said = build(&Build {
        settings: &format!("{BUILDER}extra-sandbox-paths = /guest /machines\n"),
        features: r#"["nixos-test"]"#,
        enter: include_str!("user.sh"),
        command: "busybox cp $files/test-script . ; busybox mkdir $out; LOGFILE=/dev/null nixos-test-driver --config $files/configuration -o $out; busybox ls -a /build",
        files: &[("test-script", include_str!("start_scripts.py")), ("configuration", &configuration.to_string())],
        binds: &[(there, "/guest"), (own.clone(), "/machines")],
        then: "test -s result/seen.png && grep guest result/hostname",
    })?;
    let Some(said) = said else { return Ok(()) };
    assert!(said.contains("test script finished in "), "{said}");
    assert!(!said.contains("the run has no namespaces of its own"), "{said}");
    // Upstream's places are used, and nothing of ours is left.
    assert!(!said.lines().any(|line| line.starts_with("tandem") || line.starts_with("vm-state-")), "{said}");
    Ok(())
}
