//! How machines begin and end.

use std::time::Duration;

use driver_core::guest::{Command, Exit};
use tandem_tests::TestResult;
use tandem_tests::ground::{Booted, Ground, SOON};
use tokio::time::timeout;

async fn exit_of(machine: &Booted) -> TestResult<Exit> {
    Ok(timeout(SOON, machine.guest.exited()).await?)
}

pub(crate) async fn a_machine_is_ready_for_everyone(ground: &Ground) -> TestResult {
    let machine = ground.launch().await?;
    let (one, two) = timeout(SOON, async { tokio::join!(machine.guest.ready(), machine.guest.ready()) }).await?;
    one?;
    two?;
    // And stays so.
    machine.guest.ready().await?;
    machine.ask("true").await.map(drop)
}

pub(crate) async fn stop_powers_off(ground: &Ground) -> TestResult {
    let machine = ground.boot().await?;
    machine.guest.stop().await?;
    assert_eq!(exit_of(&machine).await?, Exit::PoweredOff);
    // Whoever asks later hears it as well.
    assert_eq!(exit_of(&machine).await?, Exit::PoweredOff);
    Ok(())
}

pub(crate) async fn power_off_from_inside_is_seen(ground: &Ground) -> TestResult {
    let machine = ground.boot().await?;
    // The command itself may or may not see its own end.
    let _ = machine.guest.run(Command::new("systemctl poweroff")).await;
    assert_eq!(exit_of(&machine).await?, Exit::PoweredOff);
    assert!(machine.console.last(5).concat().contains("Powering off"), "{:?}", machine.console.last(5));
    Ok(())
}

pub(crate) async fn kill_ends_at_once(ground: &Ground) -> TestResult {
    let machine = ground.boot().await?;
    timeout(SOON, machine.guest.kill()).await??;
    assert_eq!(exit_of(&machine).await?, Exit::Killed);
    // What is dead can be killed again.
    machine.guest.kill().await?;
    assert_eq!(exit_of(&machine).await?, Exit::Killed);
    Ok(())
}

pub(crate) async fn reboot_is_the_same_guest(ground: &Ground) -> TestResult {
    let machine = ground.boot().await?;
    machine.guest.reboot().await?;
    timeout(SOON, machine.guest.ready()).await??;
    machine.ask("true").await?;
    machine.guest.stop().await?;
    assert_eq!(exit_of(&machine).await?, Exit::PoweredOff);
    Ok(())
}

pub(crate) async fn reboot_keeps_the_disk_and_nothing_else(ground: &Ground) -> TestResult {
    let machine = ground.boot().await?;
    machine.ask("touch /root/kept /run/lost; systemd-run --unit lost sleep 1000").await?;
    for _ in 0..2 {
        machine.guest.reboot().await?;
        timeout(SOON, machine.guest.ready()).await??;
        assert_eq!(
            machine.ask("[ -e /root/kept ]; [ ! -e /run/lost ]; ! systemctl is-active lost").await?,
            "inactive\n"
        );
    }
    Ok(())
}

pub(crate) async fn starts_again_after_each_end(ground: &Ground) -> TestResult {
    for killed in [true, false, true] {
        let machine = ground.boot().await?;
        machine.ask("true").await?;
        if killed {
            machine.guest.kill().await?;
        } else {
            machine.guest.stop().await?;
        }
        exit_of(&machine).await?;
    }
    ground.boot().await?.ask("true").await.map(drop)
}

pub(crate) async fn disk_lasts_from_boot_to_boot(ground: &Ground) -> TestResult {
    let machine = ground.boot().await?;
    let id = machine.ask("cat /etc/machine-id; echo kept > /root/kept; echo lost > /run/lost; rm /etc/fstab").await?;
    machine.guest.kill().await?;
    let machine = ground.boot().await?;
    assert_eq!(machine.ask("cat /etc/machine-id; [ ! -e /run/lost ] && [ ! -e /etc/fstab ]").await?, id);
    machine.guest.stop().await?;
    exit_of(&machine).await?;
    assert_eq!(ground.boot().await?.ask("cat /root/kept").await?, "kept\n");
    Ok(())
}

pub(crate) async fn commands_of_a_machine_that_is_gone_fail(ground: &Ground) -> TestResult {
    let machine = ground.boot().await?;
    machine.guest.kill().await?;
    let error = timeout(SOON, machine.guest.run(Command::new("true"))).await?.expect_err("it is gone");
    assert_eq!(error.machine, "m");
    timeout(SOON, machine.guest.ready()).await?.expect_err("it is gone");
    Ok(())
}

pub(crate) async fn a_command_ends_with_its_machine(ground: &Ground) -> TestResult {
    let killed = |machine: Booted| async move { machine.guest.kill().await };
    let stopped = |machine: Booted| async move { machine.guest.stop().await };
    for stop in [true, false] {
        let machine = ground.boot().await?;
        let guest = machine.guest.clone();
        let command = tokio::spawn(async move { guest.run(Command::new("sleep 1000")).await });
        // Long enough to be started, and no harm if it is not.
        tokio::time::sleep(Duration::from_millis(200)).await;
        let end = if stop { stopped(machine).await } else { killed(machine).await };
        end?;
        match timeout(SOON, command).await?? {
            Err(error) => assert_eq!(error.machine, "m"),
            // systemd's last signal to all processes may come before the end.
            Ok(output) => assert!(stop && output.status > 128, "{output:?}"),
        }
    }
    Ok(())
}

pub(crate) async fn the_last_handle_takes_the_machine_along(ground: &Ground) -> TestResult {
    let machine = ground.boot().await?;
    let cgroup = ground.request.cgroups.iter().map(|root| root.join("m")).find(|path| path.exists());
    let cgroup = cgroup.ok_or("it has no cgroup")?;
    drop(machine);
    let deadline = tokio::time::Instant::now() + SOON;
    while !pids(&cgroup).is_empty() {
        assert!(tokio::time::Instant::now() < deadline, "processes {:?} are left", pids(&cgroup));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// The processes in a cgroup and below.
fn pids(cgroup: &std::path::Path) -> Vec<String> {
    let own = std::fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
    let mut found: Vec<String> = own.lines().map(str::to_owned).collect();
    for entry in std::fs::read_dir(cgroup).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            found.extend(pids(&entry.path()));
        }
    }
    found
}

pub(crate) async fn the_network_can_be_unplugged(ground: &Ground) -> TestResult {
    let machine = ground.boot().await?;
    let cable = machine.guest.cable().ok_or("it has no cable")?;
    for (plugged, carrier) in [(false, "0"), (true, "1"), (true, "1"), (false, "0")] {
        cable.set(0, plugged).await?;
        machine.until(&format!("[ $(cat /sys/class/net/eth1/carrier) = {carrier} ]")).await?;
    }
    let error = cable.set(7, false).await.expect_err("it has one interface");
    assert!(error.to_string().contains("no interface number 8"), "{error}");
    Ok(())
}

pub(crate) async fn a_good_spec_has_no_problems(ground: &Ground) -> TestResult {
    assert_eq!(ground.backend.preflight(&[]), []);
    assert_eq!(ground.backend.check(&ground.request.machine), []);
    Ok(())
}
