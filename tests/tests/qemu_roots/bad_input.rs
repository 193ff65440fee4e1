//! Machines that cannot be, and are told before they start.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use backend_qemu::Qemu;
use backend_qemu::kernel::Kernel;
use driver_core::backend::Backend;
use driver_core::spec::{Accel, Bind, Disk, Image, ImageFormat, MachineSpec, Root, list};
use tandem_tests::images;
use tandem_tests::stage::{Stage, vm};
use tandem_tests::{TestResult, requirement};

fn image(path: PathBuf, format: ImageFormat) -> Image {
    Image { path, format }
}

fn run(program: &str, arguments: &[&str], directory: &Path) -> TestResult {
    let status = Command::new(program).args(arguments).current_dir(directory).status()?;
    if status.success() { Ok(()) } else { Err(format!("{program} {arguments:?} failed").into()) }
}

#[test]
fn qemu_refuses_images_that_are_none() -> TestResult {
    if !requirement::virtual_machines() {
        return Ok(());
    }
    let directory = tempfile::tempdir()?;
    let at = |name: &str| directory.path().join(name);
    fs::write(at("torn.qcow2"), [&b"QFI\xfb\0\0\0\x03"[..], &[0; 600]].concat())?;
    fs::write(at("empty.img"), "")?;
    fs::write(at("zeroes.img"), vec![0; 1 << 20])?;
    images::file_system(&at("data.img"), 8, None)?;
    run("qemu-img", &["create", "-q", "-f", "qcow2", "-F", "raw", "-b", "data.img", "layer.qcow2"], directory.path())?;
    for (name, format, expected) in [
        ("none.img", ImageFormat::Raw, "No such file or directory"),
        ("torn.qcow2", ImageFormat::Qcow2, "torn.qcow2: "),
        ("data.img", ImageFormat::Qcow2, "Image is not in qcow2 format; give a raw or qcow2 image"),
        ("empty.img", ImageFormat::Raw, "it is empty"),
        ("zeroes.img", ImageFormat::Raw, "it has no partitions, and looks like nothing but zeroes"),
        ("layer.qcow2", ImageFormat::Qcow2, "it needs another file, data.img; make it one file: `qemu-img convert"),
    ] {
        let image = image(at(name), format);
        let root = MachineSpec { root: Root::Image(image.clone()), ..vm("bad") };
        let said = list(&Qemu::new().check(&root));
        assert!(said.starts_with("machine `bad`: key `root`: the image ") && said.contains(expected), "{name}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        // A disk that is not the root may be empty.
        let disk = MachineSpec { disks: vec![Disk::Image(image)], ..vm("bad") };
        let said = list(&Qemu::new().check(&disk));
        assert_eq!(said.contains("key `disks`"), name != "zeroes.img", "{name}: {said}");
    }
    Ok(())
}

#[test]
fn qemu_refuses_kernels_that_cannot_boot_the_root() -> TestResult {
    if !requirement::virtual_machines() {
        return Ok(());
    }
    let directory = tempfile::tempdir()?;
    let at = |name: &str| directory.path().join(name);
    let said = |kernel: PathBuf| list(&Qemu::new().check(&MachineSpec { kernel: Some(kernel), ..vm("bad") }));
    fs::write(at("text"), "no kernel")?;
    assert!(said(at("text")).contains("machine `bad`: key `kernel`: "), "{}", said(at("text")));
    assert!(said(at("text")).contains("is no Linux kernel"), "{}", said(at("text")));
    assert!(said(at("missing")).contains("cannot be read"), "{}", said(at("missing")));

    // A real kernel that has lost one of its modules.
    let Some(kernel) = Kernel::of_host().or_else(Kernel::cached) else { return Ok(()) };
    let modules = kernel.modules.ok_or("a kernel that was found has modules")?;
    fs::copy(&kernel.image, at("bzImage"))?;
    let own = at("lib/modules").join(&kernel.release);
    fs::create_dir_all(&own)?;
    let keep = |name: &str, without: &str| -> TestResult {
        let text = fs::read_to_string(modules.join(name))?;
        let lines: Vec<&str> =
            text.lines().filter(|line| !line.split(':').next().is_some_and(|l| l.contains(without))).collect();
        Ok(fs::write(own.join(name), lines.join("\n"))?)
    };
    keep("modules.builtin", "/overlay.ko")?;
    keep("modules.dep", "/overlay.ko")?;
    let lacking = said(at("bzImage"));
    assert!(lacking.contains("has no module `overlay`, neither built in nor in "), "{lacking}");
    assert!(lacking.contains("; use a kernel that has `overlay`"), "{lacking}");
    // A root on a disk needs none.
    images::file_system(&at("root.img"), 8, None)?;
    let root = Root::Image(image(at("root.img"), ImageFormat::Raw));
    let disk = MachineSpec { root, kernel: Some(at("bzImage")), ..vm("good") };
    assert_eq!(list(&Qemu::new().check(&disk)), "");
    Ok(())
}

#[test]
fn qemu_refuses_keys_that_do_not_go_together() {
    if !requirement::virtual_machines() {
        return;
    }
    let initrd = MachineSpec { initrd: Some("/etc/hostname".into()), root: Root::Tar("/x.tar".into()), ..vm("bad") };
    let units = MachineSpec { units: vec!["x.service".into()], root: Root::Directory("/usr".into()), ..vm("bad") };
    let bind = Bind { source: "/usr".into(), target: "/x".into(), writable: false };
    let binds = MachineSpec { binds: vec![bind], ..vm("bad") };
    let arguments =
        |words: &[&str]| MachineSpec { qemu_args: words.iter().map(|word| (*word).to_owned()).collect(), ..vm("bad") };
    for (machine, expected) in [
        (initrd, "key `initrd`: what it boots can have a disk as root"),
        (units, "key `units`: only a machine with `root = \"host\"`"),
        (binds, "key `binds`: backend `vm` has no such thing"),
        (arguments(&["-devcie", "VGA"]), "key `qemu-args`: QEMU says: "),
        (arguments(&["-device", "nosuch,id=x"]), "'nosuch' not found"),
        (arguments(&["-device"]), "requires an argument"),
    ] {
        let said = list(&Qemu::new().check(&machine));
        assert!(said.starts_with("machine `bad`: ") && said.contains(expected), "{said}");
    }
    assert_eq!(list(&Qemu::new().check(&arguments(&["-device", "e1000,id=x"]))), "");

    let kvm = MachineSpec { accel: Accel::Kvm, ..vm("fast") };
    let said = list(&Qemu::new().check(&kvm));
    assert!(said.is_empty() || said.starts_with("machine `fast`: key `accel`: KVM cannot be used: "), "{said}");
    let large = MachineSpec { memory: Some(1 << 40), ..vm("large") };
    let said = list(&Qemu::new().preflight(&[&vm("small"), &large]));
    assert!(said.contains("memory: `small` (1024 MiB), `large` (1099511627776 MiB) ask for "), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn qemu_says_why_it_does_not_start() -> TestResult {
    if !requirement::virtual_machines() {
        return Ok(());
    }
    let qemu_args = ["-drive", "file=/nonexistent/disk,format=raw"].map(str::to_owned).to_vec();
    let stage = Stage::set(vec![MachineSpec { qemu_args, ..vm("wrong") }]).await?;
    let said = stage.machine("wrong").start().await.err().ok_or("it started")?.to_string();
    assert!(said.contains("Could not open '/nonexistent/disk'"), "{said}");
    assert!(said.contains("those of the key `qemu-args`: -drive file=/nonexistent/disk,format=raw"), "{said}");
    stage.finish().await
}

/// What a hostile tar could write to, and whether it did.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn qemu_keeps_a_tar_in_its_directory() -> TestResult {
    if !requirement::virtual_machines() {
        return Ok(());
    }
    let directory = tempfile::tempdir()?;
    let outside = directory.path().join("outside");
    fs::create_dir_all(directory.path().join("tree/sub"))?;
    fs::create_dir(&outside)?;
    fs::write(directory.path().join("tree/sub/file"), "escaped")?;
    let script = format!(
        "ln -s {0} link; tar -cf ../evil.tar link; rm link; mkdir link; cp sub/file link/through-a-link
         tar -rf ../evil.tar link/through-a-link
         tar -P -rf ../evil.tar --transform 's,^sub/file,../../../../../../../../../../../..{0}/by-dots,' sub/file
         tar -P -rf ../evil.tar --transform 's,^sub/file,{0}/by-root,' sub/file",
        outside.display()
    );
    run("sh", &["-ec", &script], &directory.path().join("tree"))?;
    let evil = Root::Tar(directory.path().join("evil.tar"));
    let stage = Stage::set(vec![MachineSpec { root: evil, ..vm("evil") }]).await?;
    let machine = stage.machine("evil");
    let said = machine.start().await.err().ok_or("it started")?.to_string();
    assert!(said.contains("tar could not unpack "), "{said}");
    drop(machine);
    stage.finish().await?;
    assert_eq!(fs::read_dir(&outside)?.count(), 0, "the tar has left its directory");
    Ok(())
}
