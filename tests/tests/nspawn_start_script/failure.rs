//! Start scripts that do not boot anything.

use std::time::{Duration, Instant};

use driver_core::error::{Error, MachineError};
use driver_core::spec::{MachineSpec, TestSpec};
use tandem_tests::stage::Stage;
use tandem_tests::{TestResult, host_lock, requirement};

use super::machines::{Scripts, runs};

/// A machine whose start script has this text.
fn machine(scripts: &Scripts, name: &str, text: &str) -> TestResult<MachineSpec> {
    let path = scripts.path().join(format!("run-{name}-nspawn"));
    Scripts::executable(&path, text)?;
    Ok(MachineSpec { start_script: Some(path), vlans: Vec::new(), ..MachineSpec::new(name, "container") })
}

async fn refusal(stage: &Stage, name: &str) -> TestResult<MachineError> {
    match stage.machine(name).start().await {
        Ok(()) => Err("it started".into()),
        Err(Error::Machine(error)) => Ok(error),
        Err(error) => Err(error.into()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nspawn_start_scripts_that_end_early_are_told_with_what_they_said() -> TestResult {
    if !requirement::containers() {
        return Ok(());
    }
    let scripts = Scripts::make()?;
    let machines = vec![
        machine(&scripts, "loud", "#!/bin/sh\nseq 100000\necho 'no veth for you' >&2\nsetsid sleep 1000 &\nexit 3\n")?,
        machine(&scripts, "mute", "#!/bin/sh\nexit 0\n")?,
        machine(&scripts, "shapeless", "echo no first line\n")?,
        machine(&scripts, "nobodys", "#!/no/such/shell\n")?,
    ];
    let stage = Stage::set(machines).await?;
    let began = Instant::now();
    for (name, last) in [("loud", Some("no veth for you")), ("mute", None)] {
        let error = refusal(&stage, name).await?;
        assert_eq!(error.cause, "systemd-nspawn process exited unexpectedly");
        assert_eq!(error.last_seen.last().map(String::as_str), last);
        assert_eq!((&*error.machine, &*error.operation, error.gone), (name, "start", true));
    }
    let error = refusal(&stage, "shapeless").await?;
    assert!(error.cause.contains("run-shapeless-nspawn: Exec format error"), "{error}");
    assert!(error.cause.contains("its first line must name"), "{error}");
    let error = refusal(&stage, "nobodys").await?;
    assert!(error.cause.contains("is the program there that its first line names?"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(60));
    stage.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nspawn_start_scripts_that_never_get_ready_are_given_up() -> TestResult {
    if !requirement::containers() {
        return Ok(());
    }
    let scripts = Scripts::make()?;
    let mark = format!("{}.6d", std::process::id());
    let text = format!("#!/bin/bash\nprintf 'thinking, '\nsleep {mark} &\nwait\n");
    let lock = tokio::task::spawn_blocking(host_lock::shared).await??;
    let mut spec = TestSpec::new("stage", vec![machine(&scripts, "slow", &text)?]);
    spec.boot_timeout = Duration::from_secs(12);
    let stage = Stage::under(lock, spec).await?;
    let error = refusal(&stage, "slow").await?;
    assert_eq!(error.cause, "it was not ready 12 s after its start (`boot-timeout`)");
    assert_eq!(error.last_seen, ["thinking,"]);
    assert!(!runs(&mark)?, "it is still there");
    let said = format!("{:?}", stage.events());
    assert_eq!(said.matches("still waiting for container 'slow' to reach ready state...").count(), 1);
    stage.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nspawn_start_scripts_that_cannot_be_are_refused_before_anything_starts() -> TestResult {
    if !requirement::containers() {
        return Ok(());
    }
    let missing =
        MachineSpec { start_script: Some("/no/such/run-m-nspawn".into()), ..MachineSpec::new("m", "container") };
    let Err(error) = Stage::set(vec![missing]).await.map(drop) else { return Err("it started".into()) };
    let expected = "machine `m`: key `start-script`: `/no/such/run-m-nspawn`: No such file or directory (os error 2)";
    assert!(error.to_string().contains(expected), "{error}");
    Ok(())
}
