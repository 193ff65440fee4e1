//! What of the host a container may use: the devices and directories that the test names.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use driver_core::spec::Bind;
use tandem_tests::stage::{Stage, container};
use tandem_tests::{TestResult, requirement};

/// Character devices that only their owner may use on the host, and that a container does not have by itself.
const PRIVATE_DEVICES: [&str; 4] = ["/dev/kvm", "/dev/fuse", "/dev/loop-control", "/dev/net/tun"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listed_device_works_and_another_does_not() -> TestResult {
    let usable = |path: &&str| {
        let node = fs::OpenOptions::new().read(true).write(true).open(path);
        node.is_ok()
            && fs::metadata(path)
                .is_ok_and(|meta| meta.file_type().is_char_device() && meta.mode().trailing_zeros() >= 3)
    };
    let mut devices = PRIVATE_DEVICES.into_iter().filter(usable);
    let (Some(listed), Some(other)) = (devices.next(), devices.next()) else {
        requirement::met(Some(format!("fewer than two of {PRIVATE_DEVICES:?} are there and private")));
        return Ok(());
    };
    if !requirement::containers() {
        return Ok(());
    }
    let before = fs::metadata(listed)?;
    let (mut with, without) = (container("with"), container("without"));
    with.devices = vec![listed.into()];
    let stage = Stage::boot(vec![with, without]).await?;
    let (with, without) = (stage.machine("with"), stage.machine("without"));
    with.succeed(&format!("[ -c {listed} ] && exec 3<>{listed}"), None).await?;
    with.fail(&format!("[ -c {other} ] && exec 3<>{other}"), None).await?;
    without.fail(&format!("[ -c {listed} ] && exec 3<>{listed}"), None).await?;
    // Nor by making the node.
    let (major, minor) = (rustix::fs::major(before.rdev()), rustix::fs::minor(before.rdev()));
    without.fail(&format!("mknod /root/node c {major} {minor} && exec 3<>/root/node"), None).await?;
    // The node is the machine's own: what it does to it is not seen on the host.
    with.succeed(&format!("chmod 0666 {listed}; chown daemon {listed}; touch {listed}"), None).await?;
    let after = fs::metadata(listed)?;
    let facts = |meta: &fs::Metadata| (meta.mode(), meta.uid(), meta.gid(), meta.rdev(), meta.ctime(), meta.mtime());
    assert_eq!(facts(&before), facts(&after));
    drop((with, without));
    stage.finish().await
}

fn bind(source: &Path, target: &str, writable: bool) -> Bind {
    Bind { source: source.into(), target: PathBuf::from(target), writable }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_only_bind_refuses_writes() -> TestResult {
    if !requirement::containers() {
        return Ok(());
    }
    let directory = tempfile::tempdir()?;
    fs::write(directory.path().join("file"), "the host's\n")?;
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700))?;
    let mut machine = container("m");
    machine.binds =
        vec![bind(directory.path(), "/data", false), bind(&directory.path().join("file"), "/etc/one", false)];
    let stage = Stage::boot(vec![machine]).await?;
    let machine = stage.machine("m");
    assert_eq!(machine.succeed("cat /data/file /etc/one", None).await?, "the host's\nthe host's\n");
    for attack in ["echo x > /data/file", "touch /data/new", "rm /data/file", "chmod 777 /data", "echo x > /etc/one"] {
        machine.fail(attack, None).await?;
        machine.fail(&format!("mount -o remount,bind,rw /data && {attack}"), None).await?;
    }
    // Nor by way of a second mount.
    machine.succeed("mkdir /second && mount --bind /data /second", None).await?;
    machine.fail("mount -o remount,bind,rw /second && echo x > /second/file", None).await?;
    machine.fail("echo x > /second/file", None).await?;
    let mode = fs::metadata(directory.path())?.permissions().mode();
    assert_eq!((fs::read_to_string(directory.path().join("file"))?.as_str(), mode & 0o777), ("the host's\n", 0o700));
    assert_eq!(fs::read_dir(directory.path())?.count(), 1);
    drop(machine);
    stage.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writable_bind_has_the_right_owners_on_both_sides() -> TestResult {
    if !requirement::containers() {
        return Ok(());
    }
    let directory = tempfile::tempdir()?;
    let (ours, theirs) = (directory.path().join("ours"), directory.path().join("theirs"));
    fs::write(&ours, "x")?;
    chown(&ours, Some(1234), Some(2345))?;
    let mut machine = container("m");
    machine.binds = vec![bind(directory.path(), "/data", true)];
    let stage = Stage::boot(vec![machine]).await?;
    let machine = stage.machine("m");
    assert_eq!(machine.succeed("stat -c %u:%g /data /data/ours", None).await?, "0:0\n1234:2345\n");
    machine
        .succeed("echo made > /data/theirs; chown 3456:4567 /data/theirs; touch /data/root; chmod u+s /data/root", None)
        .await?;
    let facts = |path: &Path| fs::metadata(path).map(|meta| (meta.uid(), meta.gid()));
    assert_eq!(facts(&theirs)?, (3456, 4567));
    assert_eq!(facts(&directory.path().join("root"))?, (0, 0));
    assert_eq!(fs::read_to_string(&theirs)?, "made\n");
    // Nodes in it are none.
    machine.fail("mknod /data/node c 1 3", None).await?;
    drop(machine);
    stage.finish().await
}
