//! What nobody must wait for: notifications, and output.

use tandem_tests::stage::Stage;
use tandem_tests::upstream::Container;
use tandem_tests::{TestResult, requirement};

use super::PATIENCE;
use super::machines::Scripts;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nspawn_start_scripts_may_say_that_they_are_ready_again_and_again() -> TestResult {
    if !requirement::containers() {
        return Ok(());
    }
    let scripts = Scripts::make()?;
    let stage = Stage::boot(vec![scripts.machine("one", 1, &[])?]).await?;
    let one = stage.machine("one");
    // A socket that nobody reads from holds so many datagrams and one more.
    let most: u32 = std::fs::read_to_string("/proc/sys/net/unix/max_dgram_qlen")?.trim().parse()?;
    for _ in 0..most.min(100) + 2 {
        one.succeed("systemctl daemon-reexec", Some(PATIENCE)).await?;
    }
    assert_eq!(one.succeed("systemctl is-system-running --wait", None).await?, "running\n");
    drop(one);
    stage.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nspawn_start_scripts_may_say_much() -> TestResult {
    if !requirement::containers() {
        return Ok(());
    }
    let scripts = Scripts::make()?;
    let mut container = Container::new("one", 1, &[]);
    // At its start systemd throws away what is still in the terminal's buffer.
    container.init = "seq 50000; sleep 1".to_owned();
    let mut one = scripts.boots(&container)?;
    let path = scripts.path().join("loud");
    let inner = one.start_script.take().ok_or("no script")?;
    let text =
        format!("#!/bin/sh\nseq 50000 | sed 's/^/out /'\nseq 50000 | sed 's/^/err /' >&2\nexec {}\n", inner.display());
    Scripts::executable(&path, &text)?;
    one.start_script = Some(path);
    let stage = Stage::boot(vec![one]).await?;
    let one = stage.machine("one");
    let log = one.console_log();
    for line in ["out 50000", "err 50000", "50000", "systemd-nspawn's PID is "] {
        assert!(log.lines().any(|said| said.starts_with(line)), "no `{line}`");
    }
    one.succeed("seq 50000 | sed 's/^/late /' >/dev/console", None).await?;
    one.wait_for_console_text("late 50000", Some(PATIENCE)).await?;
    // The journal comes, too.
    one.succeed("logger --tag fixture this is for the journal; journalctl --sync", None).await?;
    let began = std::time::Instant::now();
    while !stage.events().iter().any(|event| format!("{event:?}").contains("this is for the journal")) {
        assert!(began.elapsed() < PATIENCE, "the journal is not followed");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    drop(one);
    stage.finish().await
}
