//! What keeps a machine from being a VM, asked before anything starts.

use std::fs::File;
use std::process::{Command, Stdio};

use driver_core::spec::{Disk, MachineSpec, Problem, Root};

use crate::accel::{self, Host};
use crate::arch::Arch;
use crate::kernel::KernelError;
use crate::tools;
use crate::{image, initramfs, packed, process, start_script, toplevel};

/// The keys that not every backend has and this one has.
const KEYS: [&str; 8] = ["cpus", "memory", "kernel", "initrd", "cmdline", "accel", "disks", "qemu-args"];

/// What keeps this machine from being a VM here.
pub(crate) fn machine(machine: &MachineSpec) -> Vec<Problem> {
    if machine.start_script.is_some() {
        return start_script::check(machine);
    }
    let subject = |key: &str| format!("machine `{}`: key `{key}`", machine.name);
    let mut problems = machine.refuse_all_but(&KEYS, "use a container for it, or take the key out");
    if !machine.units.is_empty() && machine.root != Root::Host {
        problems.push(Problem::user(
            subject("units"),
            "only a machine with `root = \"host\"` starts units that the test names",
            "enable the units in the machine's own files, or start them from the script with start_job",
        ));
    }
    if let Some(initrd) = &machine.initrd {
        if matches!(machine.root, Root::Directory(_) | Root::Tar(_) | Root::Toplevel(_)) {
            problems.push(Problem::user(
                subject("initrd"),
                "what it boots can have a disk as root, and no directory or tar",
                "give an image as `root`, or take the key out",
            ));
        }
        problems.extend(File::open(initrd).err().map(|error| {
            let why = format!("{} cannot be read: {error}", initrd.display());
            Problem::user(subject("initrd"), why, "name a file that you can read")
        }));
    }
    if matches!(machine.root, Root::Tar(_)) && process::find("tar").is_none() {
        problems.push(Problem::host(subject("root"), "unpacking it needs tar", "install tar"));
    }
    if tools::has_files(machine) {
        problems.extend(packed::check(machine));
    }
    problems.extend(images(machine));
    if let Some(problem) = toplevel::problem(machine) {
        problems.push(problem);
        return problems;
    }
    let Some(arch) = Arch::of_host() else { return problems };
    if let Err(problem) = accel::choose(machine.accel, arch, &Host::ask()) {
        problems.push(Problem { subject: subject("accel"), ..problem });
    }
    problems.extend(boot(machine, arch));
    problems.extend(arguments(machine, arch).map(|said| {
        Problem::user(subject("qemu-args"), format!("QEMU says: {said}"), "mend them by qemu(1), or take them out")
    }));
    problems
}

/// What is wrong with the machine's kernel, or with what it would boot.
fn boot(machine: &MachineSpec, arch: &Arch) -> Option<Problem> {
    let key = if machine.kernel.is_some() { "kernel" } else { "root" };
    let problem = |error: KernelError| {
        let subject = format!("machine `{}`: key `{key}`", machine.name);
        // A file that the test names is the test's, what is found is the host's.
        let new = if machine.kernel.is_some() { Problem::user } else { Problem::host };
        new(subject, error.to_string(), error.cure())
    };
    // A kernel that is to be downloaded has what Debian's kernels have.
    let kernel = match tools::kernel(machine) {
        Ok(kernel) => kernel?,
        Err(error) => return Some(problem(error)),
    };
    if machine.initrd.is_some() {
        return None;
    }
    match tools::volumes(machine, arch) {
        // Told as a problem of the image, if it is one.
        Err(_) if process::find(image::PROGRAM).is_none() => None,
        Err(problem) => Some(problem),
        Ok(volumes) => initramfs::check(&kernel, &tools::source(&machine.root, volumes.as_deref())).err().map(problem),
    }
}

/// What is wrong with the machine's images. Whether there is a root in the first is another question.
fn images(machine: &MachineSpec) -> Vec<Problem> {
    let root = match &machine.root {
        Root::Image(image) => Some(("root", image)),
        _ => None,
    };
    let disks = machine.disks.iter().filter_map(|disk| match disk {
        Disk::Image(image) => Some(("disks", image)),
        Disk::Empty(_) => None,
    });
    let images: Vec<_> = root.into_iter().chain(disks).collect();
    if !images.is_empty() && process::find(image::PROGRAM).is_none() {
        let subject = format!("machine `{}`: key `{}`", machine.name, images[0].0);
        let cure = image::cure().to_string();
        return vec![Problem::host(subject, format!("{} is not on the PATH", image::PROGRAM), cure)];
    }
    // A root that our initramfs mounts is looked into with its kernel.
    let images = images.into_iter().filter(|(key, _)| *key == "disks" || machine.initrd.is_some());
    images.filter_map(|(key, of)| Some(image::problem(machine, key, of, &image::check(of).err()?))).collect()
}

/// What QEMU says of the arguments that the test adds, if it is nothing good.
///
/// QEMU goes through all its options before it heeds the first, and with `-version` it ends there. Names of devices it looks up only when it
/// makes them. What else is wrong with the arguments, it says when it starts.
fn arguments(machine: &MachineSpec, arch: &Arch) -> Option<String> {
    if machine.qemu_args.is_empty() {
        return None;
    }
    let qemu = process::find(arch.qemu)?;
    let refused = |arguments: &[&str], wrong: fn(bool, &str) -> bool| {
        let output = Command::new(&qemu).args(arguments).stdin(Stdio::null()).output().ok()?;
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().last().unwrap_or_default();
        wrong(output.status.success(), last).then(|| last.to_owned())
    };
    let arguments: Vec<&str> = machine.qemu_args.iter().map(String::as_str).collect();
    let options = arguments.iter().zip(arguments.iter().skip(1));
    let devices = options.filter(|(option, _)| ["-device", "--device"].contains(option));
    let drivers: Vec<String> = devices.filter_map(|(_, device)| driver(device)).collect();
    let unknown = |driver: &String| {
        // Asked for help about a driver that it does not have, it says so, but its status does not.
        refused(&["-device", &format!("{driver},help")], |_, said| said.ends_with("not found"))
    };
    refused(&[&["-version"], &arguments[..]].concat(), |success, _| !success)
        .or_else(|| drivers.iter().find_map(unknown))
}

/// The driver that a value of `-device` names; none if it says so as JSON.
fn driver(device: &str) -> Option<String> {
    let first = device.split(',').next().unwrap_or_default();
    let driver = first.strip_prefix("driver=").unwrap_or(first);
    (!driver.is_empty() && !driver.starts_with('{')).then(|| driver.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drivers_are_told_from_their_options() {
        for (device, expected) in
            [("VGA", Some("VGA")), ("driver=e1000,id=x", Some("e1000")), ("{\"driver\":\"x\"}", None), ("", None)]
        {
            assert_eq!(driver(device).as_deref(), expected);
        }
    }
}
