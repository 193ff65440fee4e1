//! The examples, run by a user without privileges.

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "all of this is test code, and a skip has to be seen")]

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A user who owns nothing, as the kernel's overflow user.
const NOBODY: &str = "65534";

/// A directory that anybody can use, with an example in it: where it was built, others may not be let in.
fn example(name: &str) -> (TempDir, PathBuf) {
    // This program is in `deps`, beside `examples`.
    let program = std::env::current_exe().unwrap();
    let built = program.parent().and_then(Path::parent).unwrap().join("examples").join(name);
    assert!(built.exists(), "{} is missing: build it with `cargo build --examples -p netbridge`", built.display());
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o777)).unwrap();
    let copy = directory.path().join(name);
    fs::copy(built, &copy).unwrap();
    fs::set_permissions(&copy, Permissions::from_mode(0o755)).unwrap();
    (directory, copy)
}

/// Has a user without privileges call a program.
fn unprivileged(program: &str) -> Command {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"]);
    command.arg(program);
    command
}

/// Whether a program can be called like this. Says so if it cannot, and fails where nothing may be skipped.
fn possible(what: &str, command: &mut Command) -> bool {
    let possible = command.output().is_ok_and(|output| output.status.success());
    assert!(possible || std::env::var_os("CI").is_none(), "skipped: {what}");
    if !possible {
        eprintln!("skipped: {what}");
    }
    possible
}

fn user_namespaces() -> bool {
    possible(
        "`unshare --user` is refused",
        unprivileged("unshare").args(["--user", "--map-root-user", "--net", "true"]),
    )
}

/// What a program prints.
fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn two_namespaces() {
    let (_directory, program) = example("two_namespaces");
    if user_namespaces() {
        let said = output(unprivileged("unshare").args(["--user", "--map-root-user"]).arg(program));
        assert_eq!(said, "192.168.1.1: hello from the other namespace\n");
    }
}

#[test]
fn rootless_ping() {
    let (_directory, program) = example("rootless_ping");
    if !user_namespaces() {
        return;
    }
    let said = output(&mut unprivileged(program.to_str().unwrap()));
    let milliseconds = said.lines().map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        let [.., number, "ms"] = words[..] else { panic!("{said}") };
        number.parse::<f64>().unwrap()
    });
    let [plain, slow] = milliseconds.collect::<Vec<_>>()[..] else { panic!("{said}") };
    assert!(plain < 50.0, "{said}");
    assert!((50.0..1000.0).contains(&slow), "{said}");
}

#[test]
fn qemu() {
    if !cfg!(target_arch = "x86_64") {
        eprintln!("skipped: it is about a machine of x86-64");
        return;
    }
    let (directory, program) = example("qemu");
    // QEMU gives up at once where the firmware is missing, else it waits.
    let mut trial = Command::new("timeout");
    trial.args(["1", "qemu-system-x86_64", "-accel", "tcg", "-nodefaults", "-display", "none", "-S"]);
    trial.args(["-device", "virtio-net-pci"]);
    let there = trial.output().is_ok_and(|output| output.status.code() == Some(124));
    let reason = "QEMU (qemu-system-x86) or the firmware of its network card (ipxe-qemu) is missing";
    if !possible(reason, &mut Command::new(if there { "true" } else { "false" })) {
        return;
    }
    let capture = directory.path().join("vm.pcapng");
    let said = output(unprivileged(program.to_str().unwrap()).arg(&capture));
    assert!(said.contains("52:54:00:12:01:01 to ff:ff:ff:ff:ff:ff: asks for an address (DHCP)"), "{said}");
    assert!(fs::metadata(&capture).unwrap().len() > 0);
}
