//! How machines begin and end.

use std::time::Duration;

use driver_core::Error;
use driver_core::guest::{Channel, Command, Exit, Guest};
use tokio::time::timeout;

use super::super::Power;
use super::super::stage::{ONE, SOON, Stage};
use crate::TestResult;

/// How a guest ended, which whoever asks later hears as well.
async fn exit_of(guest: &dyn Guest) -> TestResult<Exit> {
    let exit = timeout(SOON, guest.exited()).await?;
    assert_eq!(timeout(SOON, guest.exited()).await?, exit);
    Ok(exit)
}

pub(in super::super) async fn machines_start_at_the_same_time(stage: &Stage) -> TestResult {
    stage.run().start_all().await?;
    for machine in stage.run().machines() {
        assert!(machine.is_up(), "{} is down", machine.name());
        timeout(SOON * 3, machine.boot_is_over()).await?;
        machine.succeed("true", Some(SOON)).await?;
        machine.start().await?;
    }
    Ok(())
}

pub(in super::super) async fn the_list_is_true_of_the_guest(stage: &Stage) -> TestResult {
    stage.up().await?;
    let guest = stage.guest()?;
    let Channel { stderr_apart, overlap } = guest.channel();
    for (power, has) in [
        (Power::StderrApart, stderr_apart),
        (Power::Overlap, overlap),
        (Power::Cable, guest.cable().is_some()),
        (Power::Terminal, guest.terminal().is_some()),
        (Power::Screen, guest.screen().is_some()),
        (Power::Keyboard, guest.keyboard().is_some()),
        (Power::Pointer, guest.pointer().is_some()),
        (Power::Monitor, guest.monitor().is_some()),
        (Power::Qmp, guest.monitor().is_some()),
    ] {
        assert_eq!(
            has,
            stage.can(power),
            "{power:?}: what the guest has (left) and what it can do by the list (right)"
        );
    }
    Ok(())
}

pub(in super::super) async fn a_good_spec_has_no_problems(stage: &Stage) -> TestResult {
    let spec = stage.spec();
    assert_eq!(stage.backend().preflight(&[&spec]), []);
    assert_eq!(stage.backend().check(&spec), []);
    Ok(())
}

pub(in super::super) async fn power_off_from_inside_is_seen(stage: &Stage) -> TestResult {
    let machine = stage.two();
    // The command itself may or may not see its own end.
    let _ = machine.execute("systemctl poweroff", Some(SOON)).await;
    machine.wait_for_shutdown(Some(SOON)).await?;
    assert!(!machine.is_up());
    let last = machine.console().last(20).concat();
    assert!(last.to_lowercase().contains("power"), "{last}");
    Ok(())
}

pub(in super::super) async fn a_machine_is_ready_for_everyone(stage: &Stage) -> TestResult {
    let machine = stage.one();
    assert!(!machine.is_up());
    let (one, two) = tokio::join!(machine.start(), machine.start());
    one?;
    two?;
    assert!(machine.is_up());
    let guest = stage.guest()?;
    let (one, two) = tokio::join!(guest.ready(), guest.ready());
    one?;
    two?;
    // And stays so.
    guest.ready().await?;
    stage.ask("true").await.map(drop)
}

pub(in super::super) async fn a_reboot_that_is_not_allowed_is_the_end(stage: &Stage) -> TestResult {
    let machine = stage.up().await?;
    let _ = machine.execute("systemctl reboot", Some(SOON)).await;
    assert_eq!(exit_of(&*stage.guest()?).await?, Exit::PoweredOff);
    // That it ended by itself is not hidden from a test that believes it to run.
    let error = machine.succeed("true", Some(SOON)).await.expect_err("it is gone");
    assert!(matches!(&error, Error::Machine(error) if error.gone && error.machine == ONE), "{error}");
    machine.wait_for_shutdown(Some(SOON)).await?;
    assert!(!machine.is_up());
    Ok(())
}

pub(in super::super) async fn an_allowed_reboot_keeps_the_machine_up(stage: &Stage) -> TestResult {
    let machine = stage.one();
    if machine.is_up() {
        machine.shutdown().await?;
    }
    machine.start_allowing_reboot().await?;
    let id = machine.succeed("cat /proc/sys/kernel/random/boot_id; touch /run/lost", Some(SOON)).await?;
    let _ = machine.execute("systemctl reboot", Some(SOON)).await;
    // In a container the boot's id is the host's.
    let again = "[ ! -e /run/lost ]";
    let deadline = tokio::time::Instant::now() + SOON * 3;
    // Commands may still come in before it goes down, and one that does may be cut off.
    while !machine.execute(again, Some(SOON)).await.is_ok_and(|output| output.status == 0) {
        assert!(machine.is_up(), "it did not stay up");
        assert!(tokio::time::Instant::now() < deadline, "it does not come back; its first boot was {id}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

pub(in super::super) async fn a_reboot_is_the_same_guest(stage: &Stage) -> TestResult {
    let machine = stage.up().await?;
    let guest = stage.guest()?;
    machine.reboot().await?;
    assert!(machine.is_up());
    machine.succeed("true", Some(SOON)).await?;
    assert!(std::sync::Arc::ptr_eq(&guest, &stage.guest()?));
    Ok(())
}

pub(in super::super) async fn a_reboot_keeps_the_disk_and_nothing_else(stage: &Stage) -> TestResult {
    let machine = stage.up().await?;
    stage.ask("touch /root/kept /run/lost; nohup bash -c 'exec -a lost-by-now sleep 1000' >/dev/null 2>&1 &").await?;
    machine.reboot().await?;
    machine.succeed("[ -e /root/kept ]; [ ! -e /run/lost ]; ! pgrep -f lost-by-no[w]", Some(SOON)).await?;
    Ok(())
}

pub(in super::super) async fn a_crash_ends_everything_that_goes_on(stage: &Stage) -> TestResult {
    let machine = stage.up().await?;
    let guest = stage.guest()?;
    let wait = {
        let machine = machine.clone();
        tokio::spawn(async move { machine.wait_for_file("no-such-file", SOON * 5).await })
    };
    // Long enough to be under way, and no harm if it is not.
    tokio::time::sleep(Duration::from_millis(300)).await;
    timeout(SOON, machine.crash()).await??;
    assert!(!machine.is_up());
    let error = timeout(SOON, wait).await??.expect_err("the machine is gone");
    assert!(error.to_string().contains(ONE), "{error}");
    assert_eq!(exit_of(&*guest).await?, Exit::Killed);
    // What is dead can be killed again, and does no more.
    guest.kill().await?;
    let error = timeout(SOON, guest.run(Command::new("true"))).await?.expect_err("it is gone");
    assert_eq!(error.machine, ONE);
    timeout(SOON, guest.ready()).await?.expect_err("it is gone");
    Ok(())
}

pub(in super::super) async fn a_machine_that_is_down_refuses_or_does_nothing(stage: &Stage) -> TestResult {
    let machine = stage.one();
    if machine.is_up() {
        machine.crash().await?;
    }
    for (verb, result) in [("crash", machine.crash().await), ("reboot", machine.reboot().await)] {
        let error = result.expect_err("it is down").to_string();
        assert_eq!(error, format!("machine {ONE}: {verb}: it is not running"));
    }
    machine.shutdown().await?;
    machine.end().await?;
    machine.wait_for_shutdown(Some(SOON)).await?;
    assert!(!machine.is_up());
    Ok(())
}

pub(in super::super) async fn the_disk_lasts_from_boot_to_boot(stage: &Stage) -> TestResult {
    let machine = stage.up().await?;
    let id = machine
        .succeed("cat /etc/hostname; echo kept >/root/lasting; echo lost >/run/passing; sync", Some(SOON))
        .await?;
    machine.end().await?;
    assert!(!machine.is_up());
    // The next verb that needs it starts it.
    let now = machine.succeed("cat /etc/hostname; [ ! -e /run/passing ]; cat /root/lasting", Some(SOON)).await?;
    assert_eq!(now, format!("{id}kept\n"));
    Ok(())
}

pub(in super::super) async fn a_shutdown_ends_its_commands(stage: &Stage) -> TestResult {
    let machine = stage.up().await?;
    let guest = stage.guest()?;
    // A channel without overlap is busy for as long as the command runs.
    let command = if stage.can(Power::Overlap) {
        let guest = guest.clone();
        Some(tokio::spawn(async move { guest.run(Command::new("sleep 1000")).await }))
    } else {
        None
    };
    tokio::time::sleep(Duration::from_millis(300)).await;
    machine.shutdown().await?;
    assert!(!machine.is_up());
    assert_eq!(exit_of(&*guest).await?, Exit::PoweredOff);
    machine.wait_for_shutdown(Some(SOON)).await?;
    let Some(command) = command else { return Ok(()) };
    match timeout(SOON, command).await?? {
        Err(error) => assert_eq!(error.machine, ONE),
        // The last signal to all processes may come before the end.
        Ok(output) => assert!(output.status > 128, "{output:?}"),
    }
    Ok(())
}

pub(in super::super) async fn the_last_handle_takes_the_machine_along(stage: &Stage) -> TestResult {
    let machine = stage.one();
    if machine.is_up() {
        machine.crash().await?;
    }
    let before = stage.processes()?;
    let guest = stage.launch().await?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    drop(guest);
    let deadline = tokio::time::Instant::now() + SOON;
    while stage.processes()?.iter().any(|pid| !before.contains(pid)) {
        assert!(tokio::time::Instant::now() < deadline, "processes {:?} are left", stage.processes()?);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

pub(in super::super) async fn a_released_machine_does_not_start_again(stage: &Stage) -> TestResult {
    let machine = stage.two();
    machine.release().await?;
    let error = machine.start().await.expect_err("the run is over for it").to_string();
    assert_eq!(error, "machine two: start: the run is over");
    Ok(())
}
