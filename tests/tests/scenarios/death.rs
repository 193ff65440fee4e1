//! Machines that cannot boot, or that end when nobody asked.

use std::time::{Duration, Instant};

use driver_core::Error;
use driver_core::spec::{Root, TestSpec};
use tandem_tests::stage::{Stage, container};
use tandem_tests::{TestResult, host_lock, requirement, roots};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_that_cannot_boot_is_an_error_at_once() -> TestResult {
    if !requirement::containers() {
        return Ok(());
    }
    let directory = tempfile::tempdir()?;
    roots::with_init(directory.path(), "echo my last words; exit 3")?;
    let mut machine = container("m");
    machine.root = Root::Directory(directory.path().into());
    let stage = Stage::set(vec![machine]).await?;
    let machine = stage.machine("m");
    let began = Instant::now();
    let error = match machine.succeed("true", None).await {
        Err(Error::Machine(error)) => error,
        other => return Err(format!("{other:?}").into()),
    };
    // Its boot deadline is 300 seconds.
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert!(error.gone, "{error:?}");
    assert!(error.last_seen.iter().any(|line| line.contains("my last words")), "{error:?}");
    assert!(error.to_string().contains("status 3"), "{error}");
    drop(machine);
    stage.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_that_never_gets_ready_ends_with_its_deadline() -> TestResult {
    if !requirement::containers() {
        return Ok(());
    }
    let directory = tempfile::tempdir()?;
    roots::with_init(directory.path(), "echo I hang; while :; do read -t 1000 < <(:); done")?;
    let mut machine = container("m");
    machine.root = Root::Directory(directory.path().into());
    let mut spec = TestSpec::new("hangs", vec![machine]);
    spec.boot_timeout = Duration::from_secs(2);
    let lock = tokio::task::spawn_blocking(host_lock::shared).await??;
    let stage = Stage::under(lock, spec).await?;
    let machine = stage.machine("m");
    let error = tokio::time::timeout(Duration::from_secs(30), machine.succeed("true", None)).await?.unwrap_err();
    let Error::Machine(error) = error else { return Err(format!("{error:?}").into()) };
    assert!(error.to_string().contains("boot-timeout"), "{error}");
    assert!(error.last_seen.iter().any(|line| line.contains("I hang")), "{error:?}");
    drop(machine);
    stage.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_ends_with_its_machine() -> TestResult {
    if !requirement::containers() {
        return Ok(());
    }
    let stage = Stage::boot(vec![container("m")]).await?;
    let machine = stage.machine("m");
    let waiting = tokio::spawn({
        let machine = machine.clone();
        async move { machine.wait_for_file("/never", Duration::from_secs(600)).await }
    });
    machine
        .succeed("systemd-run --on-active=1 --timer-property=AccuracySec=10ms systemctl poweroff --force --force", None)
        .await?;
    let error = tokio::time::timeout(Duration::from_secs(60), waiting).await??.unwrap_err();
    assert!(matches!(&error, Error::Machine(error) if error.gone), "{error:?}");
    drop(machine);
    stage.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_ends_late_does_not_hold_up_the_power_off() -> TestResult {
    if !requirement::containers() {
        return Ok(());
    }
    let stage = Stage::boot(vec![container("m")]).await?;
    let machine = stage.machine("m");
    let late = machine.clone();
    let script = "touch /tmp/runs; trap 'sleep 0.3; exit 0' TERM; while :; do sleep 0.05; done";
    let command = tokio::spawn(async move { late.execute(script, None).await });
    machine.wait_for_file("/tmp/runs", Duration::from_secs(30)).await?;
    let began = Instant::now();
    machine.shutdown().await?;
    // systemd-shutdown waits ten seconds for a process whose end it is not told of.
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    // It may have ended by itself or with its machine.
    drop(command.await?);
    drop(machine);
    stage.finish().await
}
