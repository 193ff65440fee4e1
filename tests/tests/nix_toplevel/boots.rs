//! Machines that boot.

use std::fs;
use std::path::Path;
use std::time::Duration;

use driver_core::machine::Machine;
use driver_core::spec::{MachineSpec, Root, Toplevel};
use tandem_tests::stage::{Stage, container, vm};
use tandem_tests::toplevel::System;
use tandem_tests::tree::Fingerprint;
use tandem_tests::{TestResult, requirement};

/// What an emulated guest on a busy host may take.
const PATIENCE: Duration = Duration::from_secs(180);

fn root(system: &System) -> TestResult<Root> {
    Ok(Root::Toplevel(Toplevel::at(&system.directory)?.ok_or("it lies in a store")?))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nix_containers_boot_a_nixos_system() -> TestResult {
    let Some(system) = requirement::nixos_system() else { return Ok(()) };
    let before = Fingerprint::of(&system.directory)?;
    let spec = |name| -> TestResult<MachineSpec> { Ok(MachineSpec { root: root(&system)?, ..container(name) }) };
    let stage = Stage::boot(vec![spec("one")?, spec("two")?]).await?;
    let (one, two) = (stage.machine("one"), stage.machine("two"));
    for machine in [&one, &two] {
        is_a_machine_of_ours(machine).await?;
        keeps_what_is_written(machine).await?;
        copies(&stage, machine).await?;
    }
    reach_each_other(&one, &two).await?;
    // What its journal has said since it was booted is recorded.
    let said = |text: &str| stage.events().iter().any(|event| format!("{event:?}").contains(text));
    one.succeed("logger a-word-of-mine; systemd-cat echo another-word", None).await?;
    one.wait_until_succeeds("journalctl | grep -q another-word", PATIENCE).await?;
    assert!(said("basic.target") || said("Reached target"), "its journal is not recorded");
    drop((one, two));
    stage.finish().await?;
    assert!(before == Fingerprint::of(&system.directory)?, "the system was written to");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nix_vms_boot_a_nixos_system_beside_a_container() -> TestResult {
    let Some(system) = requirement::nixos_system() else { return Ok(()) };
    let before = Fingerprint::of(&system.directory)?;
    let spec = |of: MachineSpec| -> TestResult<MachineSpec> { Ok(MachineSpec { root: root(&system)?, ..of }) };
    let mut machine = spec(vm("machine"))?;
    machine.cmdline = Some("of-the-test=1".into());
    machine.env.insert("GREETING".into(), "it's me".into());
    let stage = Stage::boot(vec![machine, spec(container("small"))?]).await?;
    let (machine, small) = (stage.machine("machine"), stage.machine("small"));
    is_a_machine_of_ours(&machine).await?;
    // Its own kernel, with the words of its own, of ours and of the test, in that order.
    let cmdline = machine.succeed("cat /proc/cmdline; uname -r", None).await?;
    let expected = format!("of-its-own=1 uname={} panic=-1 ", system.kernel.release);
    assert!(cmdline.contains(&expected), "{cmdline}");
    assert!(cmdline.contains(" fstab=no systemd.hostname=machine of-the-test=1\n"), "{cmdline}");
    assert!(cmdline.ends_with(&format!("\n{}\n", system.kernel.release)), "{cmdline}");
    // Our channel is there in place of the one that it names, and what it would mount is not waited for.
    assert_eq!(
        machine.succeed("systemctl show -P FragmentPath backdoor.service; echo \"$GREETING\"", None).await?,
        "/run/systemd/system.control/backdoor.service\nit's me\n"
    );
    machine
        .succeed(
            "grep -q '^/dev/vda / ext4 rw' /proc/mounts; grep -q '^root /nix/store virtiofs ro' /proc/mounts",
            None,
        )
        .await?;
    machine.fail("systemctl list-units --all | grep -F .mount | grep -F nix-.ro", None).await?;
    reach_each_other(&machine, &small).await?;
    copies(&stage, &machine).await?;
    keeps_what_is_written(&machine).await?;
    is_a_machine_of_ours(&machine).await?;
    drop((machine, small));
    stage.finish().await?;
    assert!(before == Fingerprint::of(&system.directory)?, "the system was written to");
    Ok(())
}

/// It is up and what every machine is, though its configuration says otherwise, and has what its configuration says besides.
async fn is_a_machine_of_ours(machine: &Machine) -> TestResult {
    machine.wait_for_unit("multi-user.target", None, PATIENCE).await?;
    let name = machine.name();
    let said = machine
        .succeed(
            "exec 2>&1; set +e; hostname; cat /etc/hostname; readlink -f /run/current-system; grep ^root: /etc/shadow | cut -d: -f1-2
             echo $PROFILE_WAS_READ; echo $PATH | cut -d: -f1; type -P bash; getent ahostsv4 of-its-own | head -n 1 | cut -d' ' -f1; true",
            None,
        )
        .await?;
    assert_eq!(
        said,
        format!(
            "{name}\nnixos\n/nix/store/0c0zmbs9ahkz3wmkwvzgp2xsdbmzvbdg-nixos-system-nixos-25.05\nroot:\n\
             yes\n/run/current-system/sw/bin\n/run/current-system/sw/bin/bash\n10.9.8.7\n"
        )
    );
    // Its own name is the address that others reach it by.
    machine.succeed(&format!("getent ahostsv4 {name} | head -n 1 | grep ^192.168.1."), None).await?;
    machine
        .succeed(
            "systemctl is-active tandem-root.service; ! touch /nix/store/x; [ $(wc -c </etc/machine-id) = 33 ]",
            None,
        )
        .await?;
    Ok(())
}

/// From boot to boot: that of a reboot and that after a shutdown.
async fn keeps_what_is_written(machine: &Machine) -> TestResult {
    let boot =
        machine.succeed("cat /proc/sys/kernel/random/boot_id /etc/machine-id; touch /root/kept; sync", None).await?;
    machine.succeed("touch /run/lost", None).await?;
    machine.reboot().await?;
    let again = machine
        .succeed("[ -e /root/kept ] && [ ! -e /run/lost ] && cat /proc/sys/kernel/random/boot_id /etc/machine-id", None)
        .await?;
    assert_eq!(again.lines().nth(1), boot.lines().nth(1), "another machine id");
    machine.shutdown().await?;
    machine.succeed("[ -e /root/kept ]; [ $(grep -c 'of-its-own$' /etc/hosts) = 1 ]", None).await?;
    is_a_machine_of_ours(machine).await
}

async fn copies(stage: &Stage, machine: &Machine) -> TestResult {
    let (source, target) = (stage.output().join("source"), stage.output().join(machine.name()));
    fs::write(&source, "from the host")?;
    machine.copy_from_host(&source, "/root/copied").await?;
    assert_eq!(machine.succeed("cat /root/copied", None).await?, "from the host");
    machine.copy_from_machine("/etc/hostname", Path::new(machine.name())).await?;
    assert_eq!(fs::read_to_string(target.join("hostname"))?, "nixos\n");
    Ok(())
}

async fn reach_each_other(one: &Machine, other: &Machine) -> TestResult {
    for (from, to) in [(one, other), (other, one)] {
        from.wait_until_succeeds(&format!("ping -c 1 -W 5 {0} && ping -6 -c 1 -W 5 {0}", to.name()), PATIENCE).await?;
    }
    Ok(())
}
