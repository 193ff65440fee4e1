//! Machines that may reboot by themselves, and copies with and without a shared directory.

use std::fs;
use std::io::Read;
use std::net::TcpStream;
use std::time::Duration;

use driver_core::error::Error;
use driver_core::spec::TestSpec;
use tandem_tests::stage::Stage;
use tandem_tests::upstream::vm::{Machine, Machines};
use tandem_tests::{TestResult, host_lock, requirement};

use super::PATIENCE;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upstream_vm_reboots_and_copies() -> TestResult {
    let Some(guest) = requirement::upstream_vm() else { return Ok(()) };
    let machines = Machines::new(guest)?;
    let alone = Machine { shares: &[], ..Machine::new("alone") };
    let stage = Stage::set(vec![machines.spec(&alone)?]).await?;
    let alone = stage.machine("alone");
    alone.start_allowing_reboot().await?;
    assert!(!machines.seen("alone", "arguments")?.contains(&"-no-reboot".to_owned()));
    assert_eq!(alone.succeed("grep -c ' 9p ' /proc/mounts || true", None).await?, "0\n");

    // Copies need nothing that host and guest share.
    let source = machines.directory().join("tree");
    fs::create_dir_all(source.join("deep"))?;
    fs::write(source.join("deep/file"), "from the host")?;
    alone.copy_from_host(&source, "/root/new/tree").await?;
    assert_eq!(alone.succeed("cat /root/new/tree/deep/file", None).await?, "from the host");
    alone.succeed("echo to the host >/root/new/tree/other; sync", None).await?;
    alone.copy_from_machine("/root/new/tree", "copied".as_ref()).await?;
    assert_eq!(fs::read_to_string(stage.output().join("copied/tree/other"))?, "to the host\n");

    // Ports of a machine on no VLAN are reached by QEMU's own network.
    alone
        .succeed("systemd-run --quiet --unit=hello socat TCP-LISTEN:8000,fork,reuseaddr SYSTEM:'echo hello'", None)
        .await?;
    alone.wait_for_open_port(8000, "localhost", PATIENCE).await?;
    let address = alone.forward_port(0, 8000).await?;
    let said = tokio::task::spawn_blocking(move || {
        let mut connection = TcpStream::connect(address)?;
        connection.set_read_timeout(Some(Duration::from_secs(60)))?;
        let mut said = String::new();
        connection.read_to_string(&mut said).map(|_| said)
    });
    assert_eq!(said.await??, "hello\n");

    let (id, pid) = (boot_id(&alone).await?, alone.process().pid);
    alone.reboot().await?;
    assert_ne!(boot_id(&alone).await?, id);
    let id = boot_id(&alone).await?;
    // By itself, and by the keys that a person would press.
    alone.succeed("systemctl --no-block reboot", None).await?;
    let began = std::time::Instant::now();
    while alone.process().shells < 3 && began.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_ne!(boot_id(&alone).await?, id);
    // It is the same QEMU all the time, and one console.
    assert_eq!(alone.process().pid, pid);
    assert_eq!(alone.console_log().matches("connecting to host...").count(), 3);
    alone.shutdown().await?;
    drop(alone);
    stage.finish().await
}

async fn boot_id(machine: &driver_core::machine::Machine) -> Result<String, Error> {
    machine.succeed("cat /proc/sys/kernel/random/boot_id", None).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upstream_vm_without_a_shell_is_told_with_its_last_lines() -> TestResult {
    let Some(guest) = requirement::upstream_vm() else { return Ok(()) };
    let machines = Machines::new(guest)?;
    let silent = Machine { cmdline: "systemd.mask=backdoor.service", ..Machine::new("silent") };
    let lock = tokio::task::spawn_blocking(host_lock::shared).await??;
    let mut spec = TestSpec::new("stage", vec![machines.spec(&silent)?]);
    spec.boot_timeout = Duration::from_secs(45);
    let stage = Stage::under(lock, spec).await?;
    let silent = stage.machine("silent");
    silent.start().await?;
    let Err(Error::Machine(error)) = silent.succeed("true", None).await else { return Err("it has a shell".into()) };
    assert!(error.cause.contains("it was not ready 45 s after its start"), "{error}");
    assert!(error.last_seen.concat().contains("systemd"), "{:?}", error.last_seen);
    // One that was given up, and never had a shell, shuts down at once.
    let began = std::time::Instant::now();
    let _ = silent.shutdown().await;
    assert!(began.elapsed() < Duration::from_secs(30) && !silent.is_up());
    drop(silent);
    stage.finish().await
}
