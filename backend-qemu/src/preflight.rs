//! What a host must have for VMs, asked before anything starts.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use driver_core::spec::{Disk, MachineSpec, Problem, Root};

use crate::accel::{self, Host};
use crate::arch::Arch;
use crate::kernel::{Kernel, KernelError};
use crate::tools::{self, MEMORY};
use crate::{image, initramfs, packed, process, start_script, toplevel};

/// The keys that not every backend has and this one has.
const KEYS: [&str; 8] = ["cpus", "memory", "kernel", "initrd", "cmdline", "accel", "disks", "qemu-args"];

const MIB: u64 = 1024 * 1024;

/// What the host lacks for these VMs together, or for any if there are none.
pub(crate) fn host(machines: &[&MachineSpec]) -> Vec<Problem> {
    let any = |needs: fn(&MachineSpec) -> bool| machines.is_empty() || machines.iter().any(|machine| needs(machine));
    let has_share = |machine: &MachineSpec| machine.start_script.is_none() && tools::has_share(machine);
    let has_files = |machine: &MachineSpec| machine.start_script.is_none() && tools::has_files(machine);
    let is_packed = |machine: &MachineSpec| machine.start_script.is_none() && tools::is_packed(machine);
    let mut problems = Vec::new();
    let mut lacks = |what: &str, why: &str, cure: &str| problems.push(Problem::host(format!("VMs: {what}"), why, cure));
    // A start script brings what its machine needs.
    if !any(|machine| machine.start_script.is_none()) {
        return problems;
    }
    match Arch::of_host() {
        None => lacks("architecture", "this one is not supported", "use x86_64 or aarch64"),
        Some(arch) if process::find(arch.qemu).is_none() => {
            let cure = "install it: `apt-get install qemu-system` on Debian";
            lacks("QEMU", &format!("{} is not on the PATH", arch.qemu), cure);
        }
        Some(_) => {}
    }
    if any(has_share) && process::virtiofsd().is_none() {
        let cure = "install it: `apt-get install qemu-system-common` or `virtiofsd` on Debian";
        lacks("virtiofsd", "it is not installed", cure);
    }
    if any(has_files) && process::find("mke2fs").is_none() {
        lacks("mke2fs", "it is not on the PATH", "install e2fsprogs");
    }
    if machines.iter().any(|machine| is_packed(machine)) && process::find(image::PROGRAM).is_none() {
        let cure = "install it: `apt-get install qemu-utils` on Debian";
        lacks(image::PROGRAM, "it is not on the PATH", cure);
    }
    if lacks_kernel(machines)
        && let Some(error) = Kernel::cannot_download()
    {
        lacks("kernel", &format!("neither the host nor the cache has one, and {error}"), &error.cure());
    }
    let sized: Vec<_> = machines.iter().copied().filter(|machine| machine.start_script.is_none()).collect();
    problems.extend(memory(&sized, room()));
    problems
}

/// Whether one of these VMs, or any if there are none, would have to have its kernel downloaded.
fn lacks_kernel(machines: &[&MachineSpec]) -> bool {
    let mut ours = machines.iter().filter(|machine| machine.start_script.is_none());
    match machines {
        [] => Kernel::of_host().or_else(Kernel::cached).is_none(),
        // A kernel that cannot be used is told with its machine.
        _ => ours.any(|machine| matches!(tools::kernel(machine), Ok(None))),
    }
}

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
        let cure = "install it: `apt-get install qemu-utils` on Debian";
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

/// Memory in MiB that this host has, or that is this process's; none if nobody knows.
fn room() -> Option<u64> {
    let total = fs::read_to_string("/proc/meminfo").ok()?;
    let total = total.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse().ok());
    let total: u64 = total?;
    let cgroups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits = limits(&cgroups).into_iter().filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok());
    Some(limits.map(|bytes: u64| bytes / MIB).fold(total / 1024, u64::min))
}

/// Files in which the cgroups of a process, by its /proc/PID/cgroup, and those above them have their limits (cgroups(7)).
fn limits(cgroups: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in cgroups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            list if list.split(',').any(|name| name == "memory") => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            _ => continue,
        };
        let path = Path::new(path.trim_start_matches('/'));
        files.extend(path.ancestors().map(|cgroup| Path::new(root).join(cgroup).join(file)));
    }
    files
}

/// More memory than there is. A little less would not be enough either, but how little, nobody knows.
fn memory(machines: &[&MachineSpec], room: Option<u64>) -> Option<Problem> {
    let asked = |machine: &MachineSpec| machine.memory.unwrap_or(MEMORY);
    let sum = machines.iter().fold(0, |sum: u64, machine| sum.saturating_add(asked(machine)));
    let room = room.filter(|room| sum > *room)?;
    let names: Vec<String> =
        machines.iter().map(|machine| format!("`{}` ({} MiB)", machine.name, asked(machine))).collect();
    Some(Problem::host(
        format!("key `memory` of {}", names.join(", ")),
        format!("{sum} MiB are asked for, and this host has {room} MiB"),
        "give the machines less, or take a host with more",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vm(name: &str) -> MachineSpec {
        MachineSpec::new(name, "vm")
    }

    #[test]
    fn more_memory_than_there_is_is_told_with_who_asks() {
        let (small, large) = (vm("small"), MachineSpec { memory: Some(3000), ..vm("large") });
        assert_eq!(memory(&[&small, &large], Some(4024)), None);
        assert_eq!(memory(&[&large], None), None);
        assert_eq!(
            memory(&[&small, &large], Some(4023)).unwrap().to_string(),
            "key `memory` of `small` (1024 MiB), `large` (3000 MiB): 4024 MiB are asked for, and this host has 4023 MiB; \
             give the machines less, or take a host with more"
        );
        let all = MachineSpec { memory: Some(u64::MAX), ..vm("all") };
        assert!(host(&[&all, &all]).iter().any(|problem| problem.subject.contains("`all`")));
    }

    #[test]
    fn limits_are_those_of_all_cgroups_above() {
        let text = "12:pids:/a\n5:cpu,memory:/b/c\n0::/d\nnonsense\n";
        let expected = [
            "/sys/fs/cgroup/memory/b/c/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/b/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            "/sys/fs/cgroup/d/memory.max",
            "/sys/fs/cgroup/memory.max",
        ];
        assert_eq!(limits(text), expected.map(PathBuf::from));
    }

    #[test]
    fn drivers_are_told_from_their_options() {
        for (device, expected) in
            [("VGA", Some("VGA")), ("driver=e1000,id=x", Some("e1000")), ("{\"driver\":\"x\"}", None), ("", None)]
        {
            assert_eq!(driver(device).as_deref(), expected);
        }
    }
}
