//! Machines that boot.

use std::fs;
use std::path::Path;
use std::time::Duration;

use driver_core::machine::Machine;
use driver_core::spec::{MachineSpec, Root, Toplevel};
use tandem_tests::program::Program;
use tandem_tests::stage::{Stage, container, vm};
use tandem_tests::tree::Fingerprint;
use tandem_tests::{TestResult, requirement};

/// What an emulated guest on a busy host may take.
const PATIENCE: Duration = Duration::from_secs(180);

fn root(directory: &Path) -> TestResult<Root> {
    Ok(Root::Toplevel(Toplevel::at(directory)?.ok_or("it lies in a store")?))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nix_containers_boot_a_nixos_system() -> TestResult {
    let Some(system) = requirement::nixos_system() else { return Ok(()) };
    let before = Fingerprint::of(&system.directory)?;
    let spec = |name, of: &Path| -> TestResult<MachineSpec> { Ok(MachineSpec { root: root(of)?, ..container(name) }) };
    let stage = Stage::boot(vec![spec("one", &system.directory)?, spec("two", &system.prepared)?]).await?;
    let (one, two) = (stage.machine("one"), stage.machine("two"));
    for (machine, system) in [(&one, &system.directory), (&two, &system.prepared)] {
        is_a_machine_of_ours(machine, system).await?;
        keeps_what_is_written(machine).await?;
        // Powered off and started anew, it still does.
        machine.shutdown().await?;
        machine.succeed("[ -e /root/kept ]; [ $(grep -c 'of-its-own$' /etc/hosts) = 1 ]", None).await?;
        is_a_machine_of_ours(machine, system).await?;
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
    let spec =
        |of: MachineSpec| -> TestResult<MachineSpec> { Ok(MachineSpec { root: root(&system.directory)?, ..of }) };
    let mut machine = spec(vm("machine"))?;
    machine.cmdline = Some("of-the-test=1".into());
    machine.env.insert("GREETING".into(), "it's me".into());
    let stage = Stage::boot(vec![machine, spec(container("small"))?]).await?;
    let (machine, small) = (stage.machine("machine"), stage.machine("small"));
    is_a_machine_of_ours(&machine, &system.directory).await?;
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
    is_a_machine_of_ours(&machine, &system.directory).await?;
    drop((machine, small));
    stage.finish().await?;
    assert!(before == Fingerprint::of(&system.directory)?, "the system was written to");
    Ok(())
}

/// Inside a build of Nix's, a store is as many mounts as the build has inputs.
#[test]
fn nix_stores_may_be_many_mounts() -> TestResult {
    let Some(system) = requirement::nixos_system() else { return Ok(()) };
    let directory = tempfile::tempdir()?;
    let store = directory.path().join("nix/store");
    fs::create_dir_all(&store)?;
    let script = format!(
        "mount -t tmpfs none {store}
         for path in {all}/*; do mkdir {store}/${{path##*/}}; mount --bind $path {store}/${{path##*/}}; done
         exec {} run test.toml",
        env!("CARGO_BIN_EXE_tandem-under-test"),
        store = store.display(),
        all = system.store().display(),
    );
    let name = system.directory.file_name().unwrap_or_default().display();
    let test =
        format!("script = 'test.py'\n[machines.box]\nbackend = 'container'\nroot = '{}/{name}'\n", store.display());
    let verbs = "assert len(box.succeed('ls -d /nix/store/*/').split()) > 4\nbox.wait_for_unit('multi-user.target')\n";
    let files = [("test.toml", &*test), ("test.py", verbs)];
    let ended = Program::start("unshare", &["--mount", "sh", "-ec", &script], &files)?.wait(PATIENCE)?;
    assert_eq!(ended.status, 0, "{}{}", ended.stdout, ended.stderr);
    Ok(())
}

/// It is up and what every machine is, though its configuration says otherwise, and has what its configuration says besides.
async fn is_a_machine_of_ours(machine: &Machine, system: &Path) -> TestResult {
    machine.wait_for_unit("multi-user.target", None, PATIENCE).await?;
    let name = machine.name();
    let system = system.file_name().unwrap_or_default().display();
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
            "{name}\nnixos\n/nix/store/{system}\nroot:\n\
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

/// Over a reboot.
async fn keeps_what_is_written(machine: &Machine) -> TestResult {
    let boot =
        machine.succeed("cat /proc/sys/kernel/random/boot_id /etc/machine-id; touch /root/kept; sync", None).await?;
    machine.succeed("touch /run/lost", None).await?;
    machine.reboot().await?;
    let again = machine
        .succeed("[ -e /root/kept ] && [ ! -e /run/lost ] && cat /proc/sys/kernel/random/boot_id /etc/machine-id", None)
        .await?;
    assert_eq!(again.lines().nth(1), boot.lines().nth(1), "another machine id");
    Ok(())
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
