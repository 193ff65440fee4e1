//! Start scripts' containers that end and come back.

use std::time::{Duration, Instant};

use driver_core::error::Error;
use tandem_tests::stage::Stage;
use tandem_tests::{TestResult, requirement};

use super::PATIENCE;
use super::machines::{Scripts, runs};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nspawn_start_scripts_start_again() -> TestResult {
    if !requirement::containers() {
        return Ok(());
    }
    let scripts = Scripts::make()?;
    let stage = Stage::boot(vec![scripts.machine("one", 1, &[1])?]).await?;
    let one = stage.machine("one");
    let leader = "cat /proc/sys/kernel/random/uuid > /run/boot; cat /run/boot";
    one.succeed("echo kept > /root/file", None).await?;
    let first = one.succeed(leader, None).await?;

    // After a shutdown: another boot, the same files.
    one.shutdown().await?;
    assert!(!one.is_up());
    one.start().await?;
    assert_eq!(one.succeed("cat /root/file; ls /run/boot 2>/dev/null || echo another", None).await?, "kept\nanother\n");
    assert_ne!(one.succeed(leader, None).await?, first);

    // After a power cut, at once.
    for _ in 0..3 {
        one.crash().await?;
        assert!(!one.is_up());
        one.start().await?;
    }
    one.succeed("ping -c 1 -W 5 192.168.1.254; test -e /root/file; test ! -e /run/boot", None).await?;

    // A reboot that the test asks for.
    one.succeed("touch /run/boot", None).await?;
    one.reboot().await?;
    one.succeed("test ! -e /run/boot && cat /root/file", None).await?;

    // One by itself, and a power-off by itself, end it.
    one.execute("systemctl reboot", None).await.ok();
    one.wait_for_shutdown(Some(PATIENCE)).await?;
    one.start().await?;
    one.execute("systemctl poweroff", None).await.ok();
    one.wait_for_shutdown(Some(PATIENCE)).await?;
    one.shutdown().await?;
    drop(one);
    stage.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nspawn_start_scripts_clean_up_and_leave_nothing() -> TestResult {
    if !requirement::containers() {
        return Ok(());
    }
    let scripts = Scripts::make()?;
    let mut one = scripts.machine("one", 1, &[])?;
    let inner = one.start_script.take().ok_or("no script")?;
    let mark = format!("{}.5d", std::process::id());
    let (path, cleaned) = (scripts.path().join("cleaning"), scripts.path().join("cleaned"));
    // What the script leaves running is in a session of its own and heeds no signal.
    let text = format!(
        "#!/bin/bash\nsetsid bash -c 'trap \"\" TERM HUP; exec -a sleeper sleep {mark}' >/dev/null 2>&1 &\n\
         trap 'kill $inner; wait $inner; echo \"$?\" >{}; exit 0' TERM\n{} &\ninner=$!\nwait $inner\n",
        cleaned.display(),
        inner.display()
    );
    Scripts::executable(&path, &text)?;
    one.start_script = Some(path);
    let stage = Stage::boot(vec![one]).await?;
    assert!(runs(&mark)?);
    stage.machine("one").crash().await?;
    assert_eq!(std::fs::read_to_string(&cleaned)?, "0\n");
    assert!(!runs(&mark)?, "it is still there");
    // The end of a run is no less.
    std::fs::remove_file(&cleaned)?;
    stage.machine("one").start().await?;
    stage.finish().await?;
    assert_eq!(std::fs::read_to_string(&cleaned)?, "0\n");
    assert!(!runs(&mark)?, "it is still there");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nspawn_start_scripts_that_heed_no_signal_are_killed() -> TestResult {
    if !requirement::containers() {
        return Ok(());
    }
    let scripts = Scripts::make()?;
    let mut one = scripts.machine("one", 1, &[])?;
    let inner = one.start_script.take().ok_or("no script")?;
    let path = scripts.path().join("deaf");
    Scripts::executable(&path, &format!("#!/bin/bash\ntrap '' TERM\n{}\n", inner.display()).replace("exec ", ""))?;
    // Python takes the signal back, so the deaf one is only the script above it.
    one.start_script = Some(path);
    let stage = Stage::boot(vec![one]).await?;
    let began = Instant::now();
    stage.machine("one").crash().await?;
    assert!(began.elapsed() >= Duration::from_secs(30) && began.elapsed() < Duration::from_secs(60));
    let said = format!("{:?}", stage.events());
    assert!(said.contains("its start script did not clean up within 30 s, and was killed"));
    stage.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nspawn_start_scripts_that_are_killed_are_told() -> TestResult {
    if !requirement::containers() {
        return Ok(());
    }
    let scripts = Scripts::make()?;
    let stage = Stage::boot(vec![scripts.machine("one", 1, &[])?]).await?;
    let one = stage.machine("one");
    let pid = stage.events().iter().find_map(|event| match &event.kind {
        driver_core::event::Kind::Message { text, .. } => {
            text.strip_prefix("systemd-nspawn running (pid ")?.strip_suffix(')')?.parse().ok()
        }
        _ => None,
    });
    let pid = rustix::process::Pid::from_raw(pid.ok_or("its pid was not told")?).ok_or("no pid")?;
    rustix::process::kill_process(pid, rustix::process::Signal::KILL)?;
    let Err(Error::Machine(error)) = one.succeed("sleep 100", None).await else { return Err("it lives".into()) };
    assert_eq!(error.cause, "it died: systemd-nspawn process exited unexpectedly (status 137)");
    assert!(error.gone);
    drop(one);
    stage.finish().await
}
