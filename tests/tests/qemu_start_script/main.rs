//! VMs that upstream's kind of start script boots.

mod machines;
mod made;
mod vlan;

use std::time::{Duration, Instant};

use driver_core::error::Error;
use driver_core::spec::TestSpec;
use machines::{Guest, machine, runs};
use tandem_tests::stage::Stage;
use tandem_tests::{TestResult, host_lock, requirement};

/// An emulated machine takes long to boot on a busy host.
const PATIENCE: Duration = Duration::from_secs(180);

/// An argument for QEMU that changes nothing else.
const UUID: &str = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn qemu_start_scripts_boot_machines() -> TestResult {
    if !requirement::virtual_machines() {
        return Ok(());
    }
    let guest = Guest::make()?;
    let marks = [1, 2].map(|number| format!("{}.{number}d", std::process::id()));
    let (mut one, two) = (guest.machine("one", &marks[0])?, guest.machine("two", &marks[1])?);
    one.qemu_args = vec!["-uuid".into(), UUID.into()];
    let stage = Stage::boot(vec![one, two]).await?;
    let (one, two) = (stage.machine("one"), stage.machine("two"));
    let directory = stage.run().directory().join("state/one").display().to_string();
    told_arguments(&guest, &directory)?;
    told_environment(&guest, &directory)?;

    assert_eq!(one.succeed("echo $((6 * 7)); pwd", None).await?, "42\n/tmp\n");
    assert_eq!(two.succeed("cat /proc/sys/kernel/ostype", None).await?, "Linux\n");
    let said = one.console_log();
    let places = ["Disk image do not exist", "disk image created.", "starting QEMU", "the guest's own init"];
    let places: Vec<_> = places.iter().map(|text| said.find(text)).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?}: {said}");

    // A power cut ends what is the machine's, and only that. Its disk is kept.
    one.succeed("echo kept > /root/file; sync", None).await?;
    assert!(runs(&marks[0])? && runs(&marks[1])?);
    one.crash().await?;
    gone_soon(&marks[0]).await?;
    assert!(runs(&marks[1])?);
    two.succeed("true", None).await?;
    one.start().await?;
    assert_eq!(one.succeed("cat /root/file", None).await?, "kept\n");
    assert!(!one.console_log().contains("Disk image do not exist"));
    assert_eq!(guest.seen("one", "shared")?, ["700", "one", "two"]);

    // So does a power off, and a reboot that was not allowed.
    one.shutdown().await?;
    gone_soon(&marks[0]).await?;
    two.execute("sync; echo b > /proc/sysrq-trigger", None).await.ok();
    two.wait_for_shutdown(Some(PATIENCE)).await?;
    gone_soon(&marks[1]).await?;
    drop((one, two));
    stage.finish().await
}

fn told_arguments(guest: &Guest, state: &str) -> TestResult {
    let expected = format!(
        "-qmp unix:{state}/qmp,server=on,wait=off -monitor unix:{state}/monitor -chardev socket,id=shell,path={state}/shell \
         -device virtio-serial -device virtconsole,chardev=shell -device virtio-rng-pci -serial stdio -no-reboot \
         -nographic -uuid {UUID}"
    );
    assert_eq!(guest.seen("one", "arguments")?.join(" "), expected);
    Ok(())
}

fn told_environment(guest: &Guest, state: &str) -> TestResult {
    assert_eq!(guest.seen("one", "directory")?.concat(), state);
    // The /proc that it sees has its own pids.
    assert_eq!(guest.seen("one", "shell")?.concat(), std::fs::canonicalize("/bin/sh")?.display().to_string());
    let environment = guest.seen("one", "environment")?;
    let variable = |name: &str| environment.iter().find_map(|line| line.strip_prefix(&format!("{name}=")));
    assert_eq!((variable("TMPDIR"), variable("USE_TMPDIR")), (Some(state), Some("1")));
    assert_eq!(variable("NIX_EFI_VARS"), Some(&*format!("{state}/one-efi-vars.fd")));
    // The driver's own environment.
    assert_eq!(variable("CARGO_MANIFEST_DIR"), Some(env!("CARGO_MANIFEST_DIR")));
    let shared = format!("SHARED_DIR={}", variable("SHARED_DIR").ok_or("no SHARED_DIR")?);
    assert!(guest.seen("two", "environment")?.contains(&shared), "not the same as {shared}");
    Ok(())
}

async fn gone_soon(mark: &str) -> TestResult {
    let began = Instant::now();
    while runs(mark)? {
        if began.elapsed() > Duration::from_secs(10) {
            return Err("what the script left running is still there".into());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn qemu_start_scripts_that_die_are_told_with_what_they_said() -> TestResult {
    if !requirement::virtual_machines() {
        return Ok(());
    }
    let directory = tempfile::tempdir()?;
    // As long as it may be: no one waits for more than the console takes.
    let script = "#!/bin/sh\nseq 100000\necho 'no disk for you' >&2\nsetsid sleep 1000 &\nexit 3\n";
    let dying = machine(directory.path(), "m", script)?;
    let mut typo = machine(directory.path(), "typo", "#!/bin/sh\nexec qemu-system-x86_64 -accel tcg \"$@\"\n")?;
    typo.qemu_args = vec!["-no-such-option".into()];
    let stage = Stage::set(vec![dying, typo]).await?;
    let began = Instant::now();
    let error = stage.machine("m").start().await.unwrap_err();
    let Error::Machine(error) = error else { return Err(error.into()) };
    assert_eq!(error.cause, "QEMU process exited with code 3 before connecting to monitor socket.");
    assert!(error.cure.contains("m-vm` must `exec` QEMU"), "{error}");
    assert_eq!(error.last_seen.last().map(String::as_str), Some("no disk for you"));
    assert_eq!(error.machine, "m");
    assert!(began.elapsed() < Duration::from_secs(60));

    // QEMU's own words count as the script's.
    let error = stage.machine("typo").start().await.unwrap_err();
    let Error::Machine(error) = error else { return Err(error.into()) };
    assert_eq!(error.cause, "QEMU process exited with code 1 before connecting to monitor socket.");
    assert!(error.last_seen.concat().contains("-no-such-option: invalid option"), "{:?}", error.last_seen);
    stage.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn qemu_start_scripts_that_never_come_to_qemu_are_given_up() -> TestResult {
    if !requirement::virtual_machines() {
        return Ok(());
    }
    let directory = tempfile::tempdir()?;
    let mark = format!("{}.3d", std::process::id());
    let script = format!("#!/bin/sh\nprintf 'thinking, '\nsleep {mark} &\ntrap '' TERM\nsleep {mark}\n");
    let lock = tokio::task::spawn_blocking(host_lock::shared).await??;
    let mut spec = TestSpec::new("stage", vec![machine(directory.path(), "m", &script)?]);
    spec.boot_timeout = Duration::from_secs(2);
    let stage = Stage::under(lock, spec).await?;
    let error = stage.machine("m").start().await.unwrap_err();
    let Error::Machine(error) = error else { return Err(error.into()) };
    assert_eq!(error.cause, "QEMU is not connected to monitor socket (`boot-timeout`)");
    assert_eq!((error.elapsed, error.last_seen), (Some(Duration::from_secs(2)), vec!["thinking, ".trim().to_owned()]));
    assert!(!runs(&mark)?, "it is still there");
    stage.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn qemu_start_scripts_start_again_at_once() -> TestResult {
    if !requirement::virtual_machines() {
        return Ok(());
    }
    let directory = tempfile::tempdir()?;
    // Neither QEMU nor what runs beside it would start while one of before has the file.
    let script = "#!/bin/sh\n[ -e disk ] || truncate -s 1M disk\n\
                  flock --nonblock lock true || exit 4\nsetsid flock lock sleep 1000 >/dev/null 2>&1 &\n\
                  exec qemu-system-x86_64 -accel tcg -S -nic none -drive if=virtio,format=raw,file=disk \"$@\"\n";
    let stage = Stage::set(vec![machine(directory.path(), "m", script)?]).await?;
    let machine = stage.machine("m");
    for _ in 0..8 {
        machine.start().await?;
        machine.crash().await?;
    }
    drop(machine);
    stage.finish().await
}
