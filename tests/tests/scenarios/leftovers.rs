//! The checker finds one planted thing of each kind. What would touch the host is planted in namespaces of the test's own.

use std::fs;
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::time::Duration;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use tandem_tests::leftovers::{Kind, Snapshot};
use tandem_tests::pen::Pen;
use tandem_tests::stage::{Stage, container};
use tandem_tests::{TestResult, host_lock, leftovers, requirement};

#[test]
fn the_checker_finds_one_planted_thing_of_each_kind() -> TestResult {
    if !requirement::containers_and("ip") {
        return Ok(());
    }
    let _lock = host_lock::shared()?;
    // Only this thread changes its namespaces, and it ends with the test.
    std::thread::spawn(plant_and_look).join().map_err(|panic| format!("{panic:?}"))?
}

fn plant_and_look() -> TestResult {
    unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET)?;
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?;
    for place in ["/run", "/dev"] {
        mount(Some("tmpfs"), place, Some("tmpfs"), MsFlags::empty(), None::<&str>)?;
    }
    fs::create_dir("/run/tandem")?;
    let pen = Pen::new()?;
    let before = Snapshot::take(&[&pen])?;
    assert_eq!(before.differences(&Snapshot::take(&[&pen])?), []);
    let found = |kind: Kind, name: &str| -> TestResult {
        let differences = before.differences(&Snapshot::take(&[&pen])?);
        let hit = differences.iter().any(|it| it.kind == kind && it.name.contains(name));
        assert!(hit, "no {kind:?} {name} in {differences:?}");
        // Neither does a look that may wait miss it.
        assert!(before.restored_within(Duration::ZERO, &[&pen]).is_err());
        Ok(())
    };

    let mut sleep = Command::new("unshare");
    pen.confine(sleep.args(["--net", "sleep", "1000"]))?;
    let mut sleep = sleep.spawn()?;
    while Snapshot::take(&[&pen])?.differences(&before).iter().all(|it| it.kind != Kind::Namespace) {
        std::thread::sleep(Duration::from_millis(5));
    }
    found(Kind::Process, &sleep.id().to_string())?;
    found(Kind::Namespace, "net:[")?;
    sleep.kill()?;
    sleep.wait()?;

    let cgroup = pen.cgroups().first().ok_or("the pen has no cgroup")?.join("planted");
    fs::create_dir(&cgroup)?;
    found(Kind::Cgroup, "planted")?;
    fs::remove_dir(&cgroup)?;

    mount(Some("tmpfs"), "/mnt", Some("tmpfs"), MsFlags::empty(), None::<&str>)?;
    found(Kind::Mount, "/mnt")?;
    nix::mount::umount("/mnt")?;

    ip("link add planted type bridge")?;
    found(Kind::Interface, "planted")?;
    ip("link del planted")?;

    let socket = UnixListener::bind("/run/tandem/planted")?;
    found(Kind::Socket, "/run/tandem/planted")?;
    drop(socket);
    fs::remove_file("/run/tandem/planted")?;

    // A run's directory whose lock nobody holds.
    fs::create_dir("/run/tandem/abcdefgh")?;
    fs::write("/run/tandem/abcdefgh/lock", "")?;
    found(Kind::File, "/run/tandem/abcdefgh")?;
    fs::remove_dir_all("/run/tandem/abcdefgh")?;
    fs::create_dir("/run/netns")?;
    fs::write("/run/netns/planted", "")?;
    found(Kind::File, "/run/netns/planted")?;
    fs::remove_dir_all("/run/netns")?;

    let null = nix::sys::stat::makedev(1, 3);
    nix::sys::stat::mknod("/dev/planted", nix::sys::stat::SFlag::S_IFCHR, nix::sys::stat::Mode::empty(), null)?;
    found(Kind::Device, "/dev/planted")?;
    fs::remove_file("/dev/planted")?;

    // One of this network namespace's own.
    let sysctl = "/proc/sys/net/ipv4/ip_default_ttl";
    let value = fs::read_to_string(sysctl)?;
    fs::write(sysctl, "77")?;
    found(Kind::Sysctl, "net/ipv4/ip_default_ttl")?;
    fs::write(sysctl, value)?;

    before.restored_within(Duration::from_secs(1), &[&pen])?;
    Ok(())
}

fn ip(words: &str) -> TestResult {
    let status = Command::new("ip").args(words.split(' ')).status()?;
    if status.success() { Ok(()) } else { Err(format!("ip {words}: {status}").into()) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_of_this_process_leaves_nothing_in_it() -> TestResult {
    if !requirement::containers() {
        return Ok(());
    }
    let lock = tokio::task::spawn_blocking(host_lock::alone).await??;
    let before = (leftovers::own_descriptors(), children()?, Snapshot::take(&[])?);
    let spec = driver_core::spec::TestSpec::new("tidy", vec![container("one"), container("two")]);
    let stage = Stage::under(lock, spec).await?;
    stage.run().start_all().await?;
    stage.machine("one").succeed("true", None).await?;
    assert!(!leftovers::of_run(stage.run().name())?.is_empty(), "the check does not see a run that lives");
    stage.finish().await?;
    let lock = tokio::task::spawn_blocking(host_lock::alone).await??;
    // Tasks of the runtime close their descriptors a moment later.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
    while leftovers::own_descriptors().len() > before.0.len() {
        assert!(tokio::time::Instant::now() < deadline, "{:?} became {:?}", before.0, leftovers::own_descriptors());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(children()?, before.1);
    before.2.restored_within(Duration::from_secs(1), &[])?;
    drop(lock);
    Ok(())
}

/// The pids of this process's children, zombies among them.
fn children() -> TestResult<Vec<String>> {
    let mut found = Vec::new();
    for task in fs::read_dir("/proc/self/task")? {
        let text = fs::read_to_string(task?.path().join("children")).unwrap_or_default();
        found.extend(text.split_whitespace().map(str::to_owned));
    }
    found.sort_unstable();
    Ok(found)
}
