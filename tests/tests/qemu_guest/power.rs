//! Reboots, asked for and not, and shells that come again.

use driver_core::guest::{Command, Exit};
use futures::FutureExt;
use tandem_tests::{TestResult, requirement};
use tokio::time::timeout;

use crate::ground::{Ground, PATIENCE, SOON, ask, end};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn qemu_reboots_when_asked_and_ends_when_it_reboots_by_itself() -> TestResult {
    if !requirement::virtual_machines() {
        return Ok(());
    }
    let ground = Ground::new("asked").await?;
    let guest = &*ground.boot(false).await?;
    let boot = ask(guest, "cat /proc/sys/kernel/random/boot_id; touch /root/kept /run/lost").await?;

    // A shell that somebody kills is started again by the guest.
    let killer = "kill -9 $(ps -o pid= -C bash | head -n 1); sleep 60";
    let error = timeout(SOON, guest.run(Command::new(killer))).await?.unwrap_err();
    assert!(error.to_string().contains("shell was killed while the command ran"), "{error}");
    assert_eq!(ask(guest, "echo again").await?, "again\n");

    timeout(PATIENCE, guest.reboot()).await??;
    assert!(guest.ready().now_or_never().is_none(), "it is ready before it has booted again");
    let error = guest.run(Command::new("true")).await.unwrap_err();
    assert_eq!(error.cause, "it is booting");
    timeout(PATIENCE, guest.ready()).await??;
    assert_ne!(ask(guest, "cat /proc/sys/kernel/random/boot_id").await?, boot);
    ask(guest, "test -e /root/kept -a ! -e /run/lost").await?;

    // Nobody allowed it to reboot by itself.
    ask(guest, "systemctl --no-block reboot").await?;
    assert_eq!(end(guest).await?, Exit::PoweredOff);
    let error = guest.run(Command::new("true")).await.unwrap_err();
    assert!(error.gone && error.cause == "it powered off", "{error}");
    ground.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn qemu_reboots_by_itself_where_that_is_allowed_also_after_a_panic() -> TestResult {
    if !requirement::virtual_machines() {
        return Ok(());
    }
    let ground = Ground::new("allowed").await?;
    let guest = &*ground.boot(true).await?;
    let events = guest.monitor().ok_or("it has a monitor")?.events();
    let running = guest.run(Command::new("echo c >/proc/sysrq-trigger; sleep 1000"));
    let error = timeout(SOON, running).await?.unwrap_err();
    assert!(error.to_string().contains("it rebooted before the command was over"), "{error}");
    assert!(events.since(0).iter().any(|event| event["event"] == "RESET"), "{:?}", events.since(0));
    timeout(PATIENCE, guest.ready()).await??;

    // From emergency mode there is no way on, but that is no end.
    // It takes the shell along, perhaps before that can tell.
    let _ = guest.run(Command::new("systemctl --no-block emergency").timeout(Some(SOON))).await;
    let error = timeout(PATIENCE, async {
        loop {
            match guest.run(Command::new("sleep 1000").timeout(Some(SOON))).await {
                Ok(_) => {}
                Err(error) => break error,
            }
        }
    });
    let error = error.await?;
    assert_eq!(error.cause, "it is in emergency mode", "{error:?}");
    assert!(!error.gone && !error.last_seen.is_empty(), "{error:?}");
    assert!(guest.exited().now_or_never().is_none());
    // The power button ends it.
    guest.stop().await?;
    let _ = timeout(SOON, guest.exited()).await;
    guest.kill().await?;
    ground.finish().await
}
