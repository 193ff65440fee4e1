//! Containers that upstream's kind of start script boots.

mod failure;
mod host;
mod machines;
mod network;
mod output;
mod power;
mod told;

use std::time::{Duration, Instant};

use machines::Scripts;
use tandem_tests::stage::Stage;
use tandem_tests::{TestResult, requirement};

/// A container takes long to boot on a busy host.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nspawn_start_scripts_boot_machines_that_take_commands() -> TestResult {
    if !requirement::containers() {
        return Ok(());
    }
    let scripts = Scripts::make()?;
    let stage = Stage::boot(vec![scripts.machine("one", 1, &[])?]).await?;
    let one = stage.machine("one");
    assert!(one.console_log().contains("init of the container"), "{}", one.console_log());
    assert_eq!(one.succeed("cat /proc/1/comm; hostname; cat /etc/hostname", None).await?, "systemd\none\none\n");
    assert_eq!(one.succeed("systemctl is-system-running --wait", None).await?, "running\n");

    // Root's environment is upstream's, and no host variable is in it.
    let said = one.succeed("echo $USER $HOME $DISPLAY $PROFILE_WAS_READ ${CARGO_MANIFEST_DIR:-none}", None).await?;
    assert_eq!(said, "root /root :0.0 yes none\n");
    assert_eq!(one.succeed("[ /proc/$$/ns/pid -ef /proc/1/ns/pid ] && echo same", None).await?, "same\n");
    for namespace in ["mnt", "uts", "ipc", "net", "cgroup"] {
        one.succeed(&format!("test $(readlink /proc/self/ns/{namespace}) = $(readlink /proc/1/ns/{namespace})"), None)
            .await?;
    }

    // Output and errors are apart, whatever bytes they are; a shell that is no bash is no matter.
    let output = one.execute("printf 'out\\377'; echo err >&2; exit 3", None).await?;
    assert_eq!((output.status, &*output.stdout, &*output.stderr), (3, &b"out\xff"[..], &b"err\n"[..]));
    assert_eq!(one.succeed("sh -c 'echo via $0'", None).await?, "via sh\n");
    // Nothing is to be read.
    assert_eq!(one.succeed("cat; wc -c </dev/stdin", None).await?, "0\n");

    // Commands overlap, and one that takes too long ends inside, too.
    let began = Instant::now();
    let (slow, fast) = tokio::join!(
        one.execute("exec -a too-long sleep 1000", Some(Duration::from_secs(2))),
        one.succeed("echo meanwhile", None)
    );
    assert_eq!((slow?.status, &*fast?), (124, "meanwhile\n"));
    assert!(began.elapsed() < Duration::from_secs(30));
    one.fail("pgrep -f too-long", None).await?;

    // Files go both ways.
    let source = scripts.path().join("file");
    std::fs::write(&source, "from the host")?;
    one.copy_from_host(&source, "/root/file").await?;
    one.succeed("test \"$(cat /root/file)\" = 'from the host'; echo back > /root/back", None).await?;
    one.copy_from_machine("/root/back", "".as_ref()).await?;
    assert_eq!(std::fs::read_to_string(stage.output().join("back"))?, "back\n");
    drop(one);
    stage.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nspawn_start_scripts_share_a_directory_and_keep_users_apart() -> TestResult {
    if !requirement::containers() {
        return Ok(());
    }
    let scripts = Scripts::make()?;
    let stage = Stage::boot(vec![scripts.machine("one", 1, &[])?, scripts.machine("two", 2, &[])?]).await?;
    let (one, two) = (stage.machine("one"), stage.machine("two"));
    one.succeed("echo here > /tmp/shared/file", None).await?;
    assert_eq!(two.succeed("cat /tmp/shared/file", None).await?, "here\n");
    // Other users look into the root directory, and programs that change users work.
    one.succeed("setpriv --reuid=65534 --regid=65534 --clear-groups ls / /etc", None).await?;
    one.succeed("cp /usr/bin/id /root/id; chmod 4755 /root/id; chmod 755 /root", None).await?;
    let id = one.succeed("setpriv --reuid=65534 --regid=65534 --clear-groups /root/id -u", None).await?;
    assert_eq!(id, "0\n");
    // Each has its own cgroups, as systemd needs.
    one.succeed("systemd-run --wait --quiet true && systemctl status --no-pager", None).await?;
    drop((one, two));
    stage.finish().await
}
