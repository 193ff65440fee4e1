//! Faults and captures of LANs.

use std::time::Duration;

use driver_core::event::Kind;
use driver_core::spec::{Lan, TestSpec, VlanId};
use rustix::process::Signal;
use tandem_tests::program::Program;
use tandem_tests::stage::{Stage, container};
use tandem_tests::{TestResult, host_lock, pcapng, requirement};

const PATIENCE: Duration = Duration::from_secs(60);

const CAPTURE: &str = r#"# /// script
# requires-python = ">=3.11"
# [tool.tandem.machines.a]
# backend = "container"
# [tool.tandem.machines.b]
# backend = "container"
# ///
start_all()
capture = vlan1.capture("whole.pcapng")
a.succeed("ping -c 3 -i 0.1 b")
print("now")
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_come_before_a_boot_and_outlast_a_crash() -> TestResult {
    if !requirement::containers_and("ping") {
        return Ok(());
    }
    let stage = Stage::set(vec![container("client"), container("server")]).await?;
    let (client, server) = (stage.machine("client"), stage.machine("server"));
    let link = server.link(VlanId::new(1).ok_or("1 is a VLAN")?)?;
    link.down().await?;
    stage.run().start_all().await?;
    client.fail("ping -c 1 -W 1 server", Some(PATIENCE)).await?;
    link.up().await?;
    client.wait_until_succeeds("ping -c 1 -W 1 server", PATIENCE).await?;
    stage.run().vlans()[0].isolate("server").await?;
    server.crash().await?;
    server.start().await?;
    client.fail("ping -c 1 -W 1 server", Some(PATIENCE)).await?;
    stage.run().vlans()[0].heal().await?;
    client.wait_until_succeeds("ping -c 1 -W 1 server", PATIENCE).await?;
    let changes = stage.events().into_iter().filter_map(|event| match event.kind {
        Kind::Network { change, .. } => Some(change),
        _ => None,
    });
    assert_eq!(changes.collect::<Vec<_>>(), ["down", "up", "isolate: server", "heal"]);
    drop((client, server, link));
    stage.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn containers_reach_each_other_over_each_kind_of_lan() -> TestResult {
    if !requirement::containers_and("ping") {
        return Ok(());
    }
    for (lan, said) in [(Lan::Bridge, "vlan 1: a bridge"), (Lan::Switch, "vlan 1: a switch"), (Lan::Auto, "vlan 1: ")] {
        let lock = tokio::task::spawn_blocking(host_lock::shared).await??;
        let spec = TestSpec { lan, ..TestSpec::new("stage", vec![container("client"), container("server")]) };
        let stage = Stage::under(lock, spec).await?;
        stage.run().start_all().await?;
        stage.machine("client").succeed("ping -c 1 -W 10 server", Some(PATIENCE)).await?;
        stage.run().vlans()[0].partition(&[vec!["client"], vec!["server"]]).await?;
        stage.machine("client").fail("ping -c 1 -W 1 server", Some(PATIENCE)).await?;
        let told = |kind: &Kind| matches!(kind, Kind::Message { text, .. } if text.starts_with(said));
        assert!(stage.events().iter().any(|event| told(&event.kind)), "{lan:?}");
        stage.finish().await?;
    }
    Ok(())
}

/// Runs a script that begins with [`CAPTURE`] and leaves its capture open, and checks that this is whole. Returns the status.
fn left_open(rest: &str, signal: Option<Signal>) -> TestResult<i32> {
    let _lock = host_lock::shared()?;
    let script = format!("{CAPTURE}{rest}");
    let program = env!("CARGO_BIN_EXE_tandem-under-test");
    let program = Program::start(program, &["run", "script.py"], &[("script.py", &script)])?;
    if let Some(signal) = signal {
        assert!(program.says("now", PATIENCE), "it does not come so far");
        program.signal(signal)?;
    }
    let ended = program.wait(PATIENCE)?;
    assert!(ended.stderr.contains("vlan 1: capture ends: whole.pcapng, "), "{}", ended.stderr);
    let frames = pcapng::frames(&ended.directory.path().join("tandem-out/script/whole.pcapng"))?;
    assert!(frames >= 6, "{frames} frames");
    Ok(ended.status)
}

#[test]
fn captures_are_whole_however_a_script_ends() -> TestResult {
    if !requirement::containers_and("ping") {
        return Ok(());
    }
    assert_eq!(left_open("", None)?, 0);
    assert_eq!(left_open("raise ValueError('no')\n", None)?, 1);
    assert_eq!(left_open("import os; os._exit(7)\n", None)?, 1);
    assert_eq!(left_open("a.sleep(1000)\n", Some(Signal::INT))?, 130);
    Ok(())
}
