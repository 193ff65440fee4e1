//! VMs of an ordinary user: in namespaces that the user may make, and without any.

mod user;

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tandem_tests::pen::Pen;
use tandem_tests::program::Program;
use tandem_tests::upstream::vm::{Guest, Machine, Machines};
use tandem_tests::{TestResult, host_lock, requirement};

use user::User;

/// An emulated machine takes long to boot on a busy host.
const PATIENCE: Duration = Duration::from_secs(400);

/// What is said once where there are no namespaces.
const WITHOUT: &str = "the run has no namespaces of its own: ";

/// Machines with start scripts that the user can run, one for each name.
fn machines(user: &mut User, guest: Guest, names: &[&str]) -> TestResult<(Machines, Vec<(String, String)>)> {
    let there = guest.disk.parent().ok_or("the guest has a directory")?.to_owned();
    let machines = Machines::new(guest)?;
    let (guest, own) = (user.see(&there), user.see(machines.directory()));
    // The scripts leave notes there.
    fs::set_permissions(machines.directory(), std::os::unix::fs::PermissionsExt::from_mode(0o777))?;
    let mut scripts = Vec::new();
    for (name, node) in names.iter().zip(1..) {
        let path = machines.script(&Machine { vlans: &[1], node, ..Machine::new(name) })?;
        let text = fs::read_to_string(&path)?;
        let text = text.replace(&there.display().to_string(), &guest);
        fs::write(&path, text.replace(&machines.directory().display().to_string(), &own))?;
        scripts.push(((*name).to_owned(), format!("{own}/run-{name}-vm")));
    }
    Ok((machines, scripts))
}

fn drive(user: &User, scripts: &[(String, String)], script: &str) -> TestResult<Program> {
    let scripts: Vec<(&str, String)> = scripts.iter().map(|(name, path)| (name.as_str(), path.clone())).collect();
    user.configure(&scripts, script)?;
    user.start(&["/mnt/test/nixos-test-driver", "--config", "/mnt/test/configuration", "-o", "/mnt/test/out"])
}

/// Waits until the user has no process and no file any more that the program left. What other users' tests do meanwhile shows in neither.
fn nothing_is_left(user: &User, pen: &Pen, but: &[&str]) -> TestResult {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let left = (pen.processes(), user.left()?);
        if left.0.is_empty() && left.1 == but {
            return Ok(());
        }
        assert!(Instant::now() < deadline, "{left:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Machines reach each other on a VLAN, the script is the user's, and nothing is left.
fn two_machines(hidden: bool) -> TestResult<String> {
    let Some(guest) = requirement::upstream_vm() else { return Ok(String::new()) };
    let _lock = host_lock::shared()?;
    let mut user = User::new()?;
    user.hidden = hidden;
    let (_machines, scripts) = machines(&mut user, guest, &["one", "two"])?;
    let program = drive(&user, &scripts, include_str!("two.py"))?;
    let ended = program.wait(PATIENCE)?;
    let said = [&*ended.stdout, &*ended.stderr].concat();
    assert_eq!(ended.status, 0, "{said}");
    assert!(user.path("out/seen.png").exists() && user.path("out/copied").exists(), "{said}");
    nothing_is_left(&user, &ended.pen, &[])?;
    Ok(said)
}

#[test]
fn unprivileged_users_vms_live_in_namespaces_of_their_own() -> TestResult {
    let said = two_machines(false)?;
    assert!(!said.contains(WITHOUT), "{said}");
    assert!(said.is_empty() || said.contains("the script sees its run's processes only"), "{said}");
    Ok(())
}

#[test]
fn unprivileged_users_vms_need_no_namespaces() -> TestResult {
    let said = two_machines(true)?;
    assert!(said.is_empty() || said.matches(WITHOUT).count() == 1, "{said}");
    assert!(said.is_empty() || said.contains("the script sees all processes"), "{said}");
    Ok(())
}

#[test]
fn a_killed_driver_without_namespaces_leaves_nothing() -> TestResult {
    let Some(guest) = requirement::upstream_vm() else { return Ok(()) };
    let _lock = host_lock::shared()?;
    let mut user = User::new()?;
    user.hidden = true;
    let (_machines, scripts) = machines(&mut user, guest, &["one"])?;
    let script = "import subprocess\nsubprocess.Popen(['sleep', '1000'], start_new_session=True)\n\
                  one.start()\nprint('QEMU runs', flush=True)\none.wait_for_unit('multi-user.target', timeout=300)\n";
    let program = drive(&user, &scripts, script)?;
    assert!(program.says("QEMU runs", PATIENCE), "{:?}", program.wait(Duration::from_secs(10)));
    // The shell and the programs before it have become the driver.
    program.signal(Signal::KILL)?;
    let ended = program.wait(PATIENCE)?;
    assert_eq!(ended.status, 137, "{}", ended.stderr);
    // A test that did not pass keeps its record.
    nothing_is_left(&user, &ended.pen, &["tandem-record"])?;
    Ok(())
}

/// A directory is packed, as nobody could show it as it is.
fn directory(hidden: bool) -> TestResult {
    let Some(root) = requirement::small_root() else { return Ok(()) };
    if !requirement::virtual_machines() {
        return Ok(());
    }
    let _lock = host_lock::shared()?;
    let mut user = User::new()?;
    user.hidden = hidden;
    let files = tempfile::Builder::new().prefix("tandem-test-").tempdir()?;
    let copy = files.path().join("root");
    assert!(Command::new("cp").arg("-a").arg(&root.directory).arg(&copy).status()?.success());
    assert!(Command::new("chown").args(["-hR", "nobody:nogroup"]).arg(&copy).status()?.success());
    fs::set_permissions(files.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let place = user.see(&copy);
    let kernel = backend_qemu::kernel::Kernel::of_host().or_else(backend_qemu::kernel::Kernel::cached);
    let kernel = kernel.ok_or("the virtual machines here have a kernel")?;
    // Where the one is found by the other.
    user.see_at(kernel.modules.as_deref().ok_or("with modules")?, &format!("/mnt/lib/modules/{}", kernel.release));
    user.see_at(kernel.image.parent().ok_or("in a directory")?, "/mnt/boot");
    let image = kernel.image.file_name().unwrap_or_default().to_string_lossy();
    let test = format!(
        "script = 'test.py'\nboot-timeout = '300s'\n[machines.one]\nbackend = 'vm'\nroot = '{place}'\n\
         kernel = '/mnt/boot/{image}'\ndisks = ['10M']\n"
    );
    user.own("test.toml", Some(&test))?;
    user.own("test.py", Some(include_str!("directory.py")))?;
    let ended = user.start(&["/mnt/test/tandem", "run", "-o", "/mnt/test/out/run", "test.toml"])?.wait(PATIENCE)?;
    assert_eq!(ended.status, 0, "{}{}", ended.stdout, ended.stderr);
    assert_eq!(ended.stderr.contains(WITHOUT), hidden, "{}", ended.stderr);
    nothing_is_left(&user, &ended.pen, &[])?;
    Ok(())
}

#[test]
fn an_unprivileged_user_boots_a_directory() -> TestResult {
    directory(false)
}

#[test]
fn an_unprivileged_user_boots_a_directory_without_namespaces() -> TestResult {
    directory(true)
}

#[test]
fn what_an_ordinary_user_cannot_have_is_told_before_anything_starts() -> TestResult {
    let user = User::new()?;
    let test = "script = 'test.py'\n[machines.of-host]\nbackend = 'vm'\n[machines.unpacked]\nbackend = 'vm'\nroot = 'root.tar'\n\
                [machines.container]\nbackend = 'container'\n";
    user.own("test.toml", Some(test))?;
    user.own("test.py", Some("pass\n"))?;
    user.own("root.tar", Some(""))?;
    let ended = user.start(&["/mnt/test/tandem", "check", "test.toml"])?.wait(PATIENCE)?;
    assert_eq!(ended.status, 3, "{}", ended.stderr);
    for told in [
        "machine `of-host`: key `root`: the host's files are not this user's to show; give it a root of its own",
        "machine `unpacked`: key `root`: unpacking it with its owners needs root",
        "containers: root: this is user ",
    ] {
        assert!(ended.stderr.contains(told), "{told}: {}", ended.stderr);
    }
    Ok(())
}
