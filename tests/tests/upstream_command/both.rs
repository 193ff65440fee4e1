//! A whole test with a VM and a container on one VLAN, as nixpkgs runs it.

use std::fs;
use std::time::Duration;

use serde_json::json;
use tandem_tests::upstream::Container;
use tandem_tests::upstream::vm::{Machine, Machines};
use tandem_tests::{TestResult, host_lock, requirement};

use super::ground::{Ground, in_order};

/// An emulated machine takes long to boot on a busy host.
const PATIENCE: Duration = Duration::from_secs(480);

const SCRIPT: &str = r#"
start_all()
server.wait_for_unit("multi-user.target")
with subtest("they reach each other by name"):
    box.succeed("ping -c 1 -W 10 192.168.1.2")
    server.succeed("ping -c 1 -W 10 192.168.1.1", "ping -c 1 -W 10 2001:db8:1::1")
    box.succeed("ping -c 1 -W 10 server")
with subtest("they share a directory"):
    box.succeed("echo of the box > /tmp/shared/word")
    t.assertEqual(server.succeed("cat /tmp/shared/word"), "of the box\n")
with subtest("what is copied goes out"):
    server.succeed("echo from the server > /tmp/word")
    server.copy_from_machine("/tmp/word", "server")
    box.copy_from_machine("/etc/hostname", "box")
t.assertEqual([machine.name for machine in machines], ["box", "server"])
t.assertEqual(([m.name for m in machines_nspawn], [m.name for m in machines_qemu]), (["box"], ["server"]))
box.shutdown()
server.shutdown()
"#;

#[test]
fn a_vm_and_a_container_are_on_one_vlan() -> TestResult {
    if !requirement::containers() {
        return Ok(());
    }
    let Some(guest) = requirement::upstream_vm() else { return Ok(()) };
    let _lock = host_lock::shared()?;
    let machines = Machines::new(guest)?;
    let server = machines.script(&Machine { node: 2, vlans: &[1], ..Machine::new("server") })?;
    let mut ground = Ground::new()?;
    let named = vec![("box".to_owned(), 1), ("server".to_owned(), 2)];
    let container = Container { hosts: named, ..Container::new("box", 1, &[1]) };
    let place = ground.path("nix");
    fs::create_dir(&place)?;
    ground.set("containers", json!({"box": {"name": "box", "start_script": container.write(&place)?}}));
    ground.start_script("server", &server);
    ground.set("vlans", vec![1]);
    ground.script(SCRIPT)?;

    let log = format!("LOGFILE={}", ground.text("log.xml"));
    let ended = ground.start_with(&[&log], &["--junit=junit.xml"])?.wait(PATIENCE)?;
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    in_order(
        &ended.stderr,
        &[
            "start all VMs",
            "(finished: start all VMs, in ",
            "server: waiting for unit multi-user.target",
            "subtest: they reach each other by name",
            "box: must succeed: ping -c 1 -W 10 192.168.1.2",
            "(finished: subtest: they reach each other by name, in ",
            "test script finished in ",
        ],
    )?;
    assert_eq!(ground.names("out"), ["box", "junit.xml", "server"]);
    assert_eq!(fs::read_to_string(ground.path("out/server/word"))?, "from the server\n");
    assert_eq!(fs::read_to_string(ground.path("out/box/hostname"))?, "box\n");
    let junit = fs::read_to_string(ground.path("out/junit.xml"))?;
    in_order(&junit, &["NixOS integration test", "they reach each other by name", "they share a directory"])?;
    assert!(!junit.contains("<failure"), "{junit}");
    let log = fs::read_to_string(ground.path("log.xml"))?;
    in_order(&log, &["<logfile>", "<head>start all VMs</head>", "subtest: they share a directory", "</logfile>"])?;
    // Without -K, nothing stays.
    assert_eq!(ground.names("state"), [""; 0]);
    Ok(())
}
