//! What a guest's root tries against the host is refused, and the host is the same before and after.

use std::fs;
use std::process::{Child, Command};
use std::time::Duration;

use driver_core::spec::TestSpec;
use tandem_tests::leftovers::{Kind, Snapshot};
use tandem_tests::stage::{Stage, container};
use tandem_tests::{TestResult, host_lock, requirement};
use tempfile::NamedTempFile;

const LIMIT: Option<Duration> = Some(Duration::from_secs(60));

/// A file of the host's on the file system that the machine's files come from: it may be seen, not written.
fn token() -> std::io::Result<NamedTempFile> {
    let file = tempfile::Builder::new().prefix("tandem-token-").tempfile_in("/var/tmp")?;
    fs::write(file.path(), "the host's")?;
    Ok(file)
}

/// A file of the host's on another file system, which no machine sees.
fn secret() -> std::io::Result<NamedTempFile> {
    let file = tempfile::Builder::new().prefix("tandem-secret-").tempfile_in("/dev/shm")?;
    fs::write(file.path(), "the host's")?;
    Ok(file)
}

/// The host's mount namespace, in which the attacks refuse to run.
fn host_namespace() -> std::io::Result<String> {
    Ok(format!("'{}'", fs::read_link("/proc/self/ns/mnt")?.display()))
}

fn untouched(files: &[&NamedTempFile]) -> TestResult {
    for file in files {
        assert_eq!(fs::read_to_string(file.path())?, "the host's");
    }
    Ok(())
}

/// Kills a process of the host's on drop.
struct Bystander(Child);

impl Drop for Bystander {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_guests_root_cannot_harm_the_host() -> TestResult {
    if !requirement::containers_and("python3") {
        return Ok(());
    }
    let lock = tokio::task::spawn_blocking(host_lock::alone).await??;
    let (token, secret) = (token()?, secret()?);
    let mut bystander = Bystander(Command::new("sleep").arg("987654").spawn()?);
    let before = Snapshot::take(&[])?;
    let stage = Stage::under(lock, TestSpec::new("attacks", vec![container("m")])).await?;
    let machine = stage.machine("m");
    machine.copy_from_host("tests/scenarios/attacks.py".as_ref(), "/root/").await?;
    let (token_path, secret_path) = (token.path().display(), secret.path().display());
    let attack = format!("python3 /root/attacks.py {token_path} {secret_path} {}", host_namespace()?);
    let output = machine.execute(&attack, LIMIT).await?;
    assert_eq!((output.status, &*output.text(), &*String::from_utf8_lossy(&output.stderr)), (0, "", ""));

    // Everything that the machine's root can see is killed; neither the host's processes nor the driver's are among it.
    let _ =
        machine.execute("[ \"$(cat /proc/1/comm)\" = systemd ] && ! pgrep -f 98765[4] && kill -9 -1", LIMIT).await?;
    assert_eq!(machine.succeed("echo still there", LIMIT).await?, "still there\n");
    assert!(bystander.0.try_wait()?.is_none());

    machine
        .succeed("touch /run/tandem-attack /run/lock/tandem-attack /tmp/tandem-attack /dev/tandem-attack", None)
        .await?;
    untouched(&[&token, &secret])?;
    let changed = before.differences(&Snapshot::take(&[])?);
    let changed: Vec<_> = changed.iter().filter(|it| it.kind != Kind::Socket).collect();
    assert!(changed.is_empty(), "{changed:?}");
    drop(machine);
    stage.finish().await?;
    before.restored_within(Duration::from_secs(1), &[])?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn below_the_machines_root_is_nothing_of_the_hosts() -> TestResult {
    if !requirement::containers_and("python3") {
        return Ok(());
    }
    let (token, secret) = (token()?, secret()?);
    let stage = Stage::boot(vec![container("m")]).await?;
    let machine = stage.machine("m");
    machine.copy_from_host("tests/scenarios/detach.py".as_ref(), "/root/").await?;
    let (token_path, secret_path) = (token.path().display(), secret.path().display());
    let detach = format!("python3 /root/detach.py {token_path} {secret_path} {}", host_namespace()?);
    let output = machine.execute(&detach, LIMIT).await?;
    let text = output.text();
    assert_eq!(output.status, 0, "{output:?}");
    // It did get below.
    assert!(text.starts_with("below: ") && text.contains(" machine "), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    untouched(&[&token, &secret])?;
    for directory in ["/usr", "/bin", "/lib", "/etc", "/dev"] {
        assert!(!std::path::Path::new(directory).join("tandem-attack").exists(), "{directory}");
    }
    drop(machine);
    stage.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_drivers_processes_cannot_be_seen_or_traced() -> TestResult {
    if !requirement::containers() {
        return Ok(());
    }
    let stage = Stage::boot(vec![container("m")]).await?;
    let machine = stage.machine("m");
    // The guest's own world: pid 1 is systemd, and no name of ours is in it.
    assert_eq!(machine.succeed("cat /proc/1/comm", None).await?, "systemd\n");
    machine.fail("cat /proc/[0-9]*/comm | grep -E 'tandem|nspawn'", None).await?;
    // What is around it shows as far as it is around it, and its door cannot be opened from there.
    machine.succeed("grep -l tandem-door /run/host/proc/[0-9]*/comm", None).await?;
    let doors = "for door in $(grep -l tandem-door /run/host/proc/[0-9]*/comm); do door=${door%/comm}";
    for attack in
        ["cat $door/environ", "head -c 1 $door/mem", "ls $door/root/", "ls $door/fd/", "readlink $door/ns/user"]
    {
        machine.fail(&format!("{doors}; {attack} && exit 0; done; exit 1"), None).await?;
    }
    drop(machine);
    stage.finish().await
}
