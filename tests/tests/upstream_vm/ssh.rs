//! Logging in by SSH, through the command that people are told.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use driver_core::event::Kind;
use driver_core::spec::{Root, TestSpec};
use tandem_tests::roots::SmallRoot;
use tandem_tests::stage::{Stage, container};
use tandem_tests::upstream::vm::{Machine, Machines, PACKAGES};
use tandem_tests::{TestResult, host_lock, requirement};

use super::PATIENCE;

/// Runs a command in a machine as a person would: with the machine's command in a shell of the host's.
async fn run(ssh: &str, command: &str) -> TestResult<Output> {
    let line = format!("timeout 100 {ssh} {command}");
    Ok(tokio::task::spawn_blocking(move || Command::new("sh").args(["-c", &line]).output()).await??)
}

async fn says(ssh: &str, command: &str, expected: &str) -> TestResult {
    let began = Instant::now();
    loop {
        let output = run(ssh, command).await?;
        if output.status.success() {
            assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
            return Ok(());
        }
        if began.elapsed() > PATIENCE {
            return Err(format!("{ssh}: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

const SSHD: &str = "mkdir -p /run/sshd; passwd -d root >/dev/null 2>&1 || true
systemd-run --quiet --unit=sshd-test /usr/sbin/sshd -D -e -o PermitRootLogin=yes -o PermitEmptyPasswords=yes -o UsePAM=no";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upstream_ssh_reaches_containers_without_a_network() -> TestResult {
    if requirement::small_root().is_none() || !requirement::program("ssh") {
        return Ok(());
    }
    let mut alone = container("alone");
    alone.vlans.clear();
    alone.root = Root::Directory(SmallRoot::with(PACKAGES)?.directory);
    let lock = tokio::task::spawn_blocking(host_lock::shared).await??;
    let spec = TestSpec { ssh_backdoor: true, ..TestSpec::new("stage", vec![alone]) };
    let stage = Stage::under(lock, spec).await?;
    let alone = stage.machine("alone");
    let ssh = alone.ssh_command().ok_or("no command")?;
    let socket = stage.run().directory().join("alone.ssh");
    assert!(ssh.contains(&socket.display().to_string()), "{ssh}");
    assert_eq!(mode(&socket)?, 0o600);

    // It does not start the machine.
    assert!(!run(&ssh, "true").await?.status.success() && !alone.is_up());
    alone.succeed("systemctl disable --now ssh", None).await?;
    // Without a server the record tells why there is no connection.
    assert!(!run(&ssh, "true").await?.status.success());
    let told = |text: &str| {
        stage
            .events()
            .iter()
            .any(|event| matches!(&event.kind, Kind::Message { text: said, .. } if said.contains(text)))
    };
    assert!(told("ssh: no connection: it is not running") && told("Connection refused"), "{:?}", stage.events());

    alone.succeed(SSHD, None).await?;
    says(&ssh, "hostname", "alone\n").await?;
    // A megabyte in and out, and the status of what ran.
    says(&ssh, "'head -c 1000000 | wc -c' </dev/zero", "1000000\n").await?;
    let output = run(&ssh, "'head -c 1000000 /dev/zero; exit 7'").await?;
    assert_eq!((output.stdout.len(), output.status.code()), (1_000_000, Some(7)));
    // Nothing of it is left in the machine.
    alone.wait_until_succeeds("! grep -qx cat /proc/[0-9]*/comm", Duration::from_secs(30)).await?;
    drop(alone);
    stage.finish().await?;
    assert!(!socket.exists());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upstream_ssh_reaches_vms_by_their_lan() -> TestResult {
    let Some(guest) = requirement::upstream_vm() else { return Ok(()) };
    if !requirement::program("ssh") {
        return Ok(());
    }
    let machines = Machines::new(guest)?;
    let one = Machine { vlans: &[1], ..Machine::new("one") };
    let lock = tokio::task::spawn_blocking(host_lock::shared).await??;
    let spec = TestSpec { ssh_backdoor: true, ..TestSpec::new("stage", vec![machines.spec(&one)?]) };
    let stage = Stage::under(lock, spec).await?;
    let one = stage.machine("one");
    one.succeed("systemctl start sshd-test", None).await?;
    let ssh = one.ssh_command().ok_or("no command")?;
    says(&ssh, "hostname", "one\n").await?;
    drop(one);
    stage.finish().await
}

fn mode(path: &Path) -> std::io::Result<u32> {
    use std::os::unix::fs::PermissionsExt;
    Ok(std::fs::metadata(path)?.permissions().mode() & 0o777)
}

/// A guest's server as `systemd-ssh-generator` makes it reachable, by a socket of the family `AF_VSOCK`.
const BY_VSOCK: &str = "systemctl start sshd-test
modprobe vmw_vsock_virtio_transport
systemd-run --quiet --unit=vsock socat VSOCK-LISTEN:22,fork TCP:127.0.0.1:22";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upstream_ssh_reaches_vms_by_vsock() -> TestResult {
    // No distribution of ours has it, so that its absence fails nothing.
    if let Some(lacking) = requirement::lacking_program("vhost-device-vsock") {
        let _ = writeln!(std::io::stderr(), "skipped: {lacking}");
        return Ok(());
    }
    let Some(guest) = requirement::upstream_vm() else { return Ok(()) };
    let machines = Machines::new(guest)?;
    let specs = ["one", "two"].map(|name| {
        let mut spec = machines.spec(&Machine::new(name))?;
        // As NixOS' option `virtualisation.qemu.enableSharedMemory` has it: the device reads the guest's memory.
        let memory = ["-object", "memory-backend-memfd,id=mem,size=768M,share=on", "-machine", "memory-backend=mem"];
        spec.qemu_args = memory.map(str::to_owned).into();
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(spec)
    });
    let [one, two] = specs;
    let lock = tokio::task::spawn_blocking(host_lock::shared).await??;
    let spec = TestSpec { ssh_backdoor: true, ..TestSpec::new("stage", vec![one?, two?]) };
    let stage = Stage::under(lock, spec).await?;
    stage.run().start_all().await?;
    for name in ["one", "two"] {
        let machine = stage.machine(name);
        machine.succeed(BY_VSOCK, None).await?;
        says(&machine.ssh_command().ok_or("no command")?, "hostname", &format!("{name}\n")).await?;
    }
    let arguments = machines.seen("one", "arguments")?.join(" ");
    assert!(arguments.contains("-device vhost-user-vsock-pci,chardev=vsock_ssh"), "{arguments}");
    stage.finish().await
}
