//! One machine from its first start to its last: what its script is told, what it keeps, and how it ends.

use std::time::Instant;

use tandem_tests::stage::Stage;
use tandem_tests::upstream::vm::{Machine, Machines};
use tandem_tests::{TestResult, requirement};

use super::PATIENCE;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upstream_vm_lives() -> TestResult {
    let Some(guest) = requirement::upstream_vm() else { return Ok(()) };
    let machines = Machines::new(guest)?;
    let stage = Stage::set(vec![machines.spec(&Machine::new("one"))?]).await?;
    let one = stage.machine("one");
    // A start does not wait for the boot.
    let began = Instant::now();
    one.start().await?;
    assert!(began.elapsed().as_secs() < 10 && !one.process().is_ready, "{:?}", began.elapsed());
    let home = stage.run().directory().join("state/one").display().to_string();
    told_arguments(&machines, &home)?;
    told_environment(&machines, &home)?;
    assert_eq!(one.succeed("echo $((6 * 7)); pwd; hostname", None).await?, "42\n/tmp\none\n");
    one.wait_for_unit("multi-user.target", None, PATIENCE).await?;
    guest_contract(&one).await?;
    let first = one.console_log();
    let places = ["Disk image do not exist", "disk image created.", "connecting to host..."];
    let places: Vec<_> = places.iter().map(|text| first.find(text)).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?}: {first}");
    assert!(!first.contains('\r'), "{first}");

    // It is one process, and another one the next time.
    let before = one.process();
    assert!(before.pid.is_some() && before.shells == 1, "{before:?}");

    // Verbs of a VM.
    one.wait_until_tty_matches("1", "one login:", PATIENCE).await?;
    assert!(one.monitor_command("info name").await?.contains("one"));
    one.send_console(b"typed into the console\n").await?;
    let error = one.block().await.unwrap_err().to_string();
    assert!(error.contains("no network interface"), "{error}");

    // What it has is kept, its console is not.
    one.succeed("echo kept >/root/file; echo shared >/tmp/shared/file; echo own >/tmp/xchg/file; sync", None).await?;
    one.crash().await?;
    assert_eq!(one.process(), driver_core::machine::Process::default());
    one.start().await?;
    assert_eq!(one.succeed("cat /root/file /tmp/shared/file /tmp/xchg/file", None).await?, "kept\nshared\nown\n");
    let second = one.console_log();
    assert!(!second.contains("Disk image do not exist") && second.contains("connecting to host..."), "{second}");
    assert_ne!(one.process().pid, before.pid);

    // A reboot is its end unless it was allowed.
    one.execute("systemctl --no-block reboot", None).await.ok();
    one.wait_for_shutdown(Some(PATIENCE)).await?;

    // Shutting down before it was ever ready waits for that, and works.
    one.start().await?;
    one.shutdown().await?;
    assert!(!one.is_up());
    drop(one);
    stage.finish().await
}

fn told_arguments(machines: &Machines, state: &str) -> TestResult {
    let display =
        ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some_and(|it| !it.is_empty()));
    let expected = format!(
        "-qmp unix:{state}/qmp,server=on,wait=off -monitor unix:{state}/monitor -chardev socket,id=shell,path={state}/shell \
         -device virtio-serial -device virtconsole,chardev=shell -device virtio-rng-pci -serial stdio -no-reboot{}",
        if display { "" } else { " -nographic" }
    );
    assert_eq!(machines.seen("one", "arguments")?.join(" "), expected);
    Ok(())
}

fn told_environment(machines: &Machines, state: &str) -> TestResult {
    assert_eq!(machines.seen("one", "directory")?.concat(), state);
    let environment = machines.seen("one", "environment")?;
    let variable = |name: &str| environment.iter().find_map(|line| line.strip_prefix(&format!("{name}=")));
    assert_eq!((variable("TMPDIR"), variable("USE_TMPDIR")), (Some(state), Some("1")));
    assert_eq!(variable("NIX_EFI_VARS"), Some(&*format!("{state}/one-efi-vars.fd")));
    assert!(variable("SHARED_DIR").is_some_and(|path| path.starts_with(state.trim_end_matches("one"))));
    // All of the driver's own.
    for (name, value) in std::env::vars().filter(|(name, _)| name.starts_with("CARGO_PKG_")) {
        assert_eq!(variable(&name).unwrap_or_default(), value.lines().next().unwrap_or_default(), "{name}");
    }
    Ok(())
}

/// The guest is what tests of NixOS' are: contract 4.1 and 4.2.
async fn guest_contract(one: &driver_core::machine::Machine) -> TestResult {
    one.require_unit_state("backdoor.service", "active").await?;
    assert_eq!(one.unit_property("backdoor.service", "KillSignal", None).await?, "1");
    let mounts = one.succeed("findmnt --noheadings --raw --types 9p --output SOURCE,TARGET | sort", None).await?;
    assert_eq!(mounts, "shared /tmp/shared\nxchg /tmp/xchg\n");
    let names = one.succeed("cd /sys/class/net; echo *; echo $USER $HOME $DISPLAY", None).await?;
    assert_eq!(names, "eth0 lo\nroot /root :0.0\n");
    // What a unit says is on the serial console, and so is what a command says on standard error.
    one.succeed("systemd-run --quiet --wait echo from a unit; echo from a command >&2", None).await?;
    one.wait_for_console_text("from a unit", Some(PATIENCE)).await?;
    one.wait_for_console_text("from a command", Some(PATIENCE)).await?;
    Ok(())
}
