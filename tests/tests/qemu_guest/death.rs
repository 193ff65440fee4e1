//! What a VM dies of.

use std::fs;
use std::time::Duration;

use driver_core::guest::{Command, Exit};
use futures::FutureExt;
use rustix::process::{Pid, Signal, kill_process};
use tandem_tests::{TestResult, requirement};
use tokio::time::{Instant, sleep, timeout};

use crate::ground::{Ground, PATIENCE, SOON, ask, end};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn qemu_dies_of_a_panic_and_of_what_kills_it_from_outside() -> TestResult {
    if !requirement::virtual_machines() {
        return Ok(());
    }
    let ground = Ground::new("death").await?;
    let guest = &*ground.boot(false).await?;
    // A program may say what a kernel says.
    ask(guest, "echo '[    1.500000] Kernel panic - not syncing: of a program' >/dev/console").await?;
    ground.says("of a program").await?;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(ask(guest, "echo alive").await?, "alive\n");

    let began = Instant::now();
    let error = guest.run(Command::new("echo c >/proc/sysrq-trigger; sleep 1000")).await.unwrap_err();
    assert!(error.cause.contains("its kernel panicked: sysrq triggered crash"), "{error}");
    assert!(error.last_seen.iter().any(|line| line.contains("Kernel Offset: ")), "{error:?}");
    assert_eq!(end(guest).await?, Exit::Died("its kernel panicked: sysrq triggered crash".into()));
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());

    // Also what holds the guest has taken note of that.
    ground.machine().wait_for_shutdown(Some(SOON)).await?;
    let guest = &*ground.boot(false).await?;
    let monitor = guest.monitor().ok_or("it has a monitor")?;
    let waiting = async {
        let (command, ended) = tokio::join!(guest.run(Command::new("sleep 1000")), guest.exited());
        (command.unwrap_err(), ended)
    };
    let killing = async {
        sleep(Duration::from_secs(1)).await;
        kill_process(qemu()?, Signal::KILL)?;
        TestResult::Ok(())
    };
    let ((error, ended), killed) = timeout(PATIENCE, async { tokio::join!(waiting, killing) }).await?;
    killed?;
    let told = "something outside of the run ended QEMU (signal 9)";
    assert_eq!(ended, Exit::Died(told.into()));
    assert!(error.gone && error.cause.contains(told), "{error}");
    let error = monitor.command("info status").now_or_never().ok_or("it is gone")?.unwrap_err();
    assert!(error.gone && error.cause.contains(told), "{error}");
    ground.finish().await
}

/// The pid of this machine's QEMU.
fn qemu() -> TestResult<Pid> {
    for entry in fs::read_dir("/proc")? {
        let Ok(pid) = entry?.file_name().to_string_lossy().parse::<i32>() else { continue };
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let is_qemu = String::from_utf8_lossy(&command).contains("guest=death,process=tandem-death");
        if is_qemu && is_below(pid, std::process::id().cast_signed()) {
            return Ok(Pid::from_raw(pid).ok_or("no pid")?);
        }
    }
    Err("there is no QEMU".into())
}

/// Whether a process is a descendant of another.
fn is_below(pid: i32, ancestor: i32) -> bool {
    let mut pid = pid;
    while pid > 1 {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // proc_pid_stat(5): the parent comes second after the name, which is in brackets.
        let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)?.parse().ok());
        pid = parent.unwrap_or(0);
        if pid == ancestor {
            return true;
        }
    }
    false
}
