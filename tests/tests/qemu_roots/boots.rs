//! Machines that boot.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use backend_qemu::arch::Arch;
use backend_qemu::initramfs::{self, Contents, Source};
use backend_qemu::kernel::Kernel;
use backend_qemu::volume::{FileSystem, Volume};
use driver_core::backend::StartRequest;
use driver_core::event::{Event, Kind};
use driver_core::spec::{Accel, Disk, Image, ImageFormat, MachineSpec, Root};
use tandem_tests::images::{self, SmallImages};
use tandem_tests::roots::SmallRoot;
use tandem_tests::stage::{Stage, vm};
use tandem_tests::tree::Fingerprint;
use tandem_tests::{TestResult, requirement};

/// What a test of this file needs: VMs, a root, and images of it.
fn needed() -> TestResult<Option<(SmallRoot, SmallImages)>> {
    if !requirement::virtual_machines() {
        return Ok(None);
    }
    let Some(root) = requirement::small_root() else { return Ok(None) };
    let images = SmallImages::of(&root)?;
    Ok(Some((root, images)))
}

fn raw(path: &Path) -> Image {
    Image { path: path.to_owned(), format: ImageFormat::Raw }
}

fn qcow2(path: &Path) -> Image {
    Image { path: path.to_owned(), format: ImageFormat::Qcow2 }
}

/// A kernel of this host's.
fn kernel() -> Kernel {
    Kernel::of_host().or_else(Kernel::cached).expect("a machine has booted with one")
}

/// The state of a machine's QEMU, by its /proc/PID/status.
fn status_of_qemu(machine: &str) -> TestResult<String> {
    let name = format!("guest={machine},process=tandem-{machine}");
    for entry in fs::read_dir("/proc")? {
        let path = entry?.path();
        let arguments = fs::read(path.join("cmdline")).unwrap_or_default();
        if arguments.split(|byte| *byte == 0).any(|argument| argument == name.as_bytes()) {
            return Ok(fs::read_to_string(path.join("status"))?);
        }
    }
    Err(format!("no QEMU runs {machine}").into())
}

fn field<'a>(status: &'a str, name: &str) -> Vec<&'a str> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_default().split_whitespace().collect()
}

fn messages(events: &[Event], part: &str) -> usize {
    let has = |event: &&Event| matches!(&event.kind, Kind::Message { text, .. } if text.contains(part));
    events.iter().filter(has).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn qemu_boots_a_raw_image_that_stays_what_it_is() -> TestResult {
    let Some((_, images)) = needed()? else { return Ok(()) };
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data.img");
    images::file_system(&data, 8, None)?;
    let sources = [&images.whole, &data];
    let before = sources.map(|path| images::sum(path).ok());
    let stage = Stage::boot(vec![MachineSpec {
        root: Root::Image(raw(&images.whole)),
        cpus: Some(2),
        memory: Some(640),
        cmdline: Some("tandem.word=1 tandem.other".into()),
        accel: Accel::Tcg,
        disks: vec![Disk::Empty(16), Disk::Image(raw(&data))],
        qemu_args: ["-smbios", "type=1,serial=by-the-test"].map(str::to_owned).to_vec(),
        ..vm("disk")
    }])
    .await?;
    let disk = stage.machine("disk");

    assert_eq!(
        disk.succeed("hostname; nproc; cat /sys/class/dmi/id/product_serial", None).await?,
        "disk\n2\nby-the-test\n"
    );
    disk.succeed("grep -q 'tandem.word=1 tandem.other$' /proc/cmdline; ip -br a show eth1 | grep -q 192.168.1.1", None)
        .await?;
    let memory = disk.succeed("sed -n 's/MemTotal: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo", None).await?;
    let memory: u32 = memory.trim().parse()?;
    assert!((500_000..640 * 1024).contains(&memory), "{memory} kB");
    disk.succeed("grep -q '^/dev/vda / ext4 rw' /proc/mounts", None).await?;
    assert_eq!(
        disk.succeed("cat /sys/block/vd?/serial; echo; cat /sys/block/vdb/size", None).await?,
        "rootdisk1disk2\n32768\n"
    );
    // A screen, a keyboard and a pointer.
    disk.succeed(
        "[ -c /dev/vcs1 ]; grep -q keyboard /proc/bus/input/devices; grep -q Tablet /proc/bus/input/devices",
        None,
    )
    .await?;

    // Its QEMU can do nothing but be its QEMU.
    let status = status_of_qemu("disk")?;
    let uid = field(&status, "Uid");
    assert!(uid.iter().all(|id| *id == uid[0] && *id != "0"), "{uid:?}");
    assert_eq!((field(&status, "Gid"), field(&status, "Groups")), (uid.clone(), vec![uid[0]]));
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(field(&status, set), ["0000000000000000"], "{set}");
    }
    assert_eq!((field(&status, "NoNewPrivs"), field(&status, "Seccomp")), (vec!["1"], vec!["2"]));

    // What it writes stays from start to start.
    disk.succeed("touch /kept; echo kept on 1 > /dev/vdb; mount /dev/vdc /mnt; touch /mnt/kept; umount /mnt; rm -r /usr/share/doc; sync", None).await?;
    disk.crash().await?;
    disk.succeed(
        "[ -e /kept ]; head -c 10 /dev/vdb | grep -q '^kept on 1'; mount /dev/vdc /mnt; [ -e /mnt/kept ]",
        None,
    )
    .await?;
    disk.shutdown().await?;
    assert_eq!(messages(&stage.events(), "emulation, as asked"), 2);
    drop(disk);
    stage.finish().await?;
    assert_eq!(before, sources.map(|path| images::sum(path).ok()), "an image was written to");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn qemu_finds_the_root_among_partitions() -> TestResult {
    let Some((_, images)) = needed()? else { return Ok(()) };
    let before = images::sum(&images.partitioned)?;
    let spec = MachineSpec {
        root: Root::Image(qcow2(&images.partitioned)),
        // Named, the kernel is the same one that would be found.
        kernel: Some(kernel().image),
        ..vm("parts")
    };
    let stage = Stage::boot(vec![spec]).await?;
    let parts = stage.machine("parts");
    assert_eq!(
        parts.succeed("hostname; grep '^/dev/vda' /proc/mounts | cut -d' ' -f1-3", None).await?,
        "parts\n/dev/vda2 / ext4\n"
    );
    parts.succeed("rm -r /usr/share; echo x > /new; sync", None).await?;
    drop(parts);
    stage.finish().await?;
    assert_eq!(before, images::sum(&images.partitioned)?, "the image was written to");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn qemu_boots_a_tar_as_it_is() -> TestResult {
    let Some((root, _)) = needed()? else { return Ok(()) };
    let directory = tempfile::tempdir()?;
    let (tar, added) = (directory.path().join("root.tar"), directory.path().join("added"));
    fs::copy(&root.tar, &tar)?;
    fs::write(&added, "with attributes")?;
    // A file of somebody's, with an attribute of root's. Only a tar that is created can have attributes.
    let script = "setcap cap_net_raw=ep added
        tar --create --format=posix --xattrs --xattrs-include='*' --owner=1234 --group=4321 --numeric-owner --mode=4711 -f added.tar ./added
        tar --concatenate -f root.tar added.tar";
    assert!(Command::new("sh").args(["-ec", script]).current_dir(&directory).status()?.success());
    let before = images::sum(&tar)?;
    let stage = Stage::boot(vec![MachineSpec { root: Root::Tar(tar.clone()), ..vm("tarred") }]).await?;
    let tarred = stage.machine("tarred");
    assert_eq!(
        tarred
            .succeed("stat -c %u:%g:%a / /etc/shadow /usr/bin/su /added; hostname; getcap /added; cat /added", None)
            .await?,
        "0:0:755\n0:42:640\n0:0:4755\n1234:4321:4711\ntarred\n/added cap_net_raw=ep\nwith attributes"
    );
    tarred.succeed("echo x > /etc/debian_version; rm -r /usr/share/doc; touch /new", None).await?;
    // The share below all that is the host's, whatever the guest's root makes of it.
    let said = tarred
        .fail(
            "mount -t virtiofs root /mnt && mount -o remount,rw /mnt && [ -e /mnt/usr/share/doc ] && touch /mnt/x 2>&1",
            None,
        )
        .await?;
    assert!(said.contains("Read-only file system"), "{said}");
    tarred.shutdown().await?;
    tarred.succeed("[ -e /new ] && [ ! -e /usr/share/doc ]", None).await?;
    drop(tarred);
    stage.finish().await?;
    assert_eq!(before, images::sum(&tar)?, "the tar was written to");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn qemu_boots_what_the_test_brings() -> TestResult {
    let Some((root, images)) = needed()? else { return Ok(()) };
    let before = Fingerprint::of(&root.directory)?;
    let directory = tempfile::tempdir()?;
    let initrd = directory.path().join("initrd");
    let spec = MachineSpec { root: Root::Image(raw(&images.whole)), vlans: Vec::new(), ..vm("own") };
    fs::write(&initrd, its_own_initramfs(&spec)?)?;
    // Nobody but root may read the one, and everybody the other.
    fs::set_permissions(&initrd, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    let own = MachineSpec { kernel: Some(kernel().image), initrd: Some(initrd), ..spec };
    let listed = MachineSpec { root: Root::Directory(root.directory.clone()), ..vm("listed") };
    let stage = Stage::boot(vec![own, listed]).await?;
    let (own, listed) = (stage.machine("own"), stage.machine("listed"));
    assert_eq!(
        own.succeed("hostname; cat /sys/block/vda/serial; cat /added-by-the-test", None).await?,
        "own\nroothere"
    );
    own.fail("ls /sys/class/virtio-ports/*/name | grep . && grep -q journal /sys/class/virtio-ports/*/name", None)
        .await?;
    // In a directory that it boots from, nothing changes.
    listed.wait_for_unit("multi-user.target", None, Duration::from_secs(120)).await?;
    listed.succeed("rm -r /usr/share/doc /etc/apt; touch /new", None).await?;
    let journal = "for p in /sys/class/virtio-ports/*; do grep -q io.tandem.journal $p/name && echo found; done";
    assert_eq!(listed.succeed(journal, None).await?, "found\n");
    listed.wait_until_succeeds("systemctl is-active tandem-journal", Duration::from_secs(60)).await?;
    drop((own, listed));
    stage.finish().await?;
    assert!(before == Fingerprint::of(&root.directory)?, "the directory was written to");
    Ok(())
}

/// An initramfs as somebody could bring it: it mounts `/dev/vda`, and adds a file and the command channel.
fn its_own_initramfs(spec: &MachineSpec) -> TestResult<Vec<u8>> {
    let request = StartRequest {
        run: "own".into(),
        machine: spec.clone(),
        hosts: Vec::new(),
        attachments: Vec::new(),
        state: "/nowhere".into(),
        shared: "/nowhere".into(),
        sockets: "/nowhere".into(),
        cgroups: Vec::new(),
        first_id: None,
        allow_reboot: false,
        boot_timeout: Duration::from_secs(1),
        vsock: None,
        machined: driver_core::spec::Machined::Never,
    };
    let serial = Arch::of_host().expect("a machine has booted on it").serial;
    let mut changes = backend_qemu::guest_files::changes(&request, &"1".repeat(32), serial, |_| Ok(Vec::new()))?;
    changes.insert(0, driver_core::guest_files::Change::write("/added-by-the-test", "here"));
    let contents = Contents {
        root: Source::Disk { device: "/dev/vda", volumes: &[Volume { partition: None, kind: FileSystem::Ext4 }] },
        attachments: &[],
        shares: &[],
        scratch: &[],
        modes: &[],
        changes: &changes,
        inits: &["/sbin/init"],
    };
    Ok(initramfs::build(&kernel(), &contents)?)
}
