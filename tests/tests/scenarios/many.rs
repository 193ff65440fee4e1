//! Many containers in one run, and many runs on one host.

use std::time::Duration;

use driver_core::spec::TestSpec;
use futures::future::try_join_all;
use tandem_tests::leftovers::Snapshot;
use tandem_tests::program::Program;
use tandem_tests::stage::{Stage, container};
use tandem_tests::{TestResult, host_lock, requirement};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_four_containers_run_and_no_sysctl_is_raised() -> TestResult {
    if !requirement::containers() {
        return Ok(());
    }
    let lock = tokio::task::spawn_blocking(host_lock::alone).await??;
    let before = Snapshot::take(&[])?;
    let names: Vec<String> = (1..=24).map(|number| format!("m{number}")).collect();
    let spec = TestSpec::new("many", names.iter().map(|name| container(name)).collect());
    let stage = Stage::under(lock, spec).await?;
    stage.run().start_all().await?;
    let machines = stage.run().machines();
    let hostnames = try_join_all(machines.iter().map(|machine| machine.succeed("hostname", None))).await?;
    let mut expected: Vec<String> = names.iter().map(|name| format!("{name}\n")).collect();
    expected.sort_unstable();
    assert_eq!(hostnames, expected);
    // Each can use what a machine of its own can use of inotify, which the kernel counts by user.
    let watch = "systemctl is-system-running --wait; systemd-run --wait -p Type=oneshot true";
    try_join_all(machines.iter().map(|machine| machine.succeed(watch, Some(Duration::from_secs(60))))).await?;
    let sysctls = before.differences(&Snapshot::take(&[])?);
    let sysctls: Vec<_> = sysctls.iter().filter(|it| it.kind == tandem_tests::leftovers::Kind::Sysctl).collect();
    assert!(sysctls.is_empty(), "{sysctls:?}");
    stage.finish().await
}

#[test]
fn ten_runs_go_on_at_once() -> TestResult {
    if !requirement::containers() {
        return Ok(());
    }
    let _lock = host_lock::alone()?;
    let before = Snapshot::take(&[])?;
    let start = |number| match number % 2 {
        0 => Program::start(env!("CARGO_BIN_EXE_story-under-test"), &[], &[]),
        _ => Program::start(
            env!("CARGO_BIN_EXE_tandem-under-test"),
            &["run", "story.py"],
            &[("story.py", include_str!("story.py"))],
        ),
    };
    let programs: Vec<Program> = (0..10).map(start).collect::<Result<_, _>>()?;
    let mut pens = Vec::new();
    for program in programs {
        let ended = program.wait(Duration::from_secs(120))?;
        assert_eq!(ended.status, 0, "{}", ended.stderr);
        pens.push(ended.pen);
    }
    before.restored_within(Duration::from_secs(1), &pens.iter().collect::<Vec<_>>())?;
    Ok(())
}
