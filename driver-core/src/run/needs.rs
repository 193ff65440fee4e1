//! What runs need of the host, whatever their machines are.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access, statvfs};

use super::{Privilege, cgroup, directory, privilege};
use crate::need::{Cure, EVERY_TEST, Need, Place, Where, find, namespaces, program, root};
use crate::spec::{Machined, TestSpec};

const MIB: u64 = 1024 * 1024;

/// Memory in MiB that a machine writes to before anybody asks it to: what a small system needs to boot.
const STATE: u64 = 64;

/// The least space in MiB for what a run leaves: its own directory, and its record.
const RECORD: u64 = 100;

/// The controllers by which machines can have limits (cgroups(7)).
const CONTROLLERS: [&str; 4] = ["cpu", "io", "memory", "pids"];

/// What a run of this test needs, or any run. Changes nothing.
pub fn needs(spec: Option<&TestSpec>) -> Vec<Need> {
    let machines = spec.map_or(1, |spec| spec.machines.len() as u64);
    let mut needs = vec![
        namespaces(EVERY_TEST, "a run lives and ends in its own", &["mnt", "pid", "net"]),
        may_make_them(privilege()),
        run_directory(&directory::base()),
        memory(&fs::read_to_string("/proc/meminfo").unwrap_or_default(), machines),
        cgroups(),
        machined(spec.map_or(Machined::Auto, |spec| spec.machined), Path::new("/"), Place::current()),
    ];
    if spec.is_some_and(|spec| spec.ssh_backdoor) {
        needs.push(vsock());
    }
    needs
}

/// Who may make namespaces: root, and most other users.
fn may_make_them(privilege: &Privilege) -> Need {
    const NAME: &str = "rights";
    const PURPOSE: &str = "to make namespaces, mounts and LANs";
    match privilege {
        Privilege::Root => Need { name: NAME.into(), ..root(EVERY_TEST) },
        Privilege::OwnNamespace { .. } => {
            Need::ok(EVERY_TEST, NAME, PURPOSE, "this user's, in a user namespace of his own: enough for VMs")
        }
        Privilege::None { why, .. } => Need::limited(
            EVERY_TEST,
            NAME,
            PURPOSE,
            format!("this user has none: {why}; runs go without namespaces of their own"),
            Cure::new("run it as root, or let users make user namespaces"),
        ),
    }
}

/// Where the run's sockets are.
fn run_directory(base: &Path) -> Need {
    const NAME: &str = "run directory";
    const PURPOSE: &str = "sockets, and what a killed run has to leave, lie there";
    let cure = || Cure::new("make room there, or name another directory in XDG_RUNTIME_DIR");
    // The directory of all runs comes and goes; what it lies in, or is to lie in, does not.
    let place = base.ancestors().find(|place| place.is_dir()).unwrap_or(Path::new("/"));
    let shown = base.display();
    match (access(place, Access::WRITE_OK | Access::EXEC_OK), statvfs(place)) {
        (Err(errno), _) => Need::missing(EVERY_TEST, NAME, PURPOSE, format!("{shown} cannot be made: {errno}"), cure()),
        (Ok(()), Ok(file_system))
            if file_system.f_bavail == 0 || file_system.f_files != 0 && file_system.f_favail == 0 =>
        {
            Need::missing(EVERY_TEST, NAME, PURPOSE, format!("the file system of {shown} is full"), cure())
        }
        _ => Need::ok(EVERY_TEST, NAME, PURPOSE, shown.to_string()),
    }
}

/// Memory for what machines write, by the text of /proc/meminfo.
fn memory(meminfo: &str, machines: u64) -> Need {
    const NAME: &str = "memory";
    const PURPOSE: &str = "what machines write is kept there, in half of all at most";
    let of = |name: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib / 1024)
    };
    let (Some(total), Some(available)) = (of("MemTotal"), of("MemAvailable")) else {
        return Need::limited(EVERY_TEST, NAME, PURPOSE, "/proc/meminfo does not say how much", Cure::default());
    };
    let found = format!("{available} MiB of {total} MiB are free");
    if available.min(total / 2) < machines.saturating_mul(STATE) {
        let cure = Cure::new("end other programs, have fewer machines, or take a host with more");
        let found =
            format!("{found}, and {machines} machines write {} MiB as they boot", machines.saturating_mul(STATE));
        return Need::limited(EVERY_TEST, NAME, PURPOSE, found, cure);
    }
    Need::ok(EVERY_TEST, NAME, PURPOSE, found)
}

/// The disk on which a run's record goes to `output`.
pub fn disk(output: &Path) -> Need {
    const NAME: &str = "disk space";
    const PURPOSE: &str = "the record of a run goes there, and what its script copies";
    let place = output.ancestors().find(|place| place.is_dir()).unwrap_or(Path::new("."));
    let whole = place.canonicalize().unwrap_or_else(|_| place.to_owned());
    let shown = whole.display();
    let cure = || Cure::new("make room there, or name another output directory with -o");
    match statvfs(place) {
        Err(errno) => Need::limited(EVERY_TEST, NAME, PURPOSE, format!("{shown}: {errno}"), cure()),
        Ok(file_system) => {
            let free = file_system.f_bavail.saturating_mul(file_system.f_frsize) / MIB;
            let found = format!("{free} MiB are free in {shown}");
            if free < RECORD {
                Need::limited(EVERY_TEST, NAME, PURPOSE, found, cure())
            } else {
                Need::ok(EVERY_TEST, NAME, PURPOSE, found)
            }
        }
    }
}

/// The hierarchies in which each machine gets a cgroup of its own.
fn cgroups() -> Need {
    let all = cgroup::of_process(std::process::id().cast_signed()).unwrap_or_default();
    let writable: Vec<PathBuf> = all.into_iter().filter(|path| access(path, Access::WRITE_OK).is_ok()).collect();
    let two = writable.iter().find(|path| path.join("cgroup.controllers").exists());
    let controllers = two.map(|path| fs::read_to_string(path.join("cgroup.controllers")).unwrap_or_default());
    cgroups_of(writable.len(), controllers.as_deref(), Place::current())
}

/// The same for so many hierarchies that may be written to, one of which is of version 2 and has these controllers.
fn cgroups_of(hierarchies: usize, controllers: Option<&str>, place: Place) -> Need {
    const NAME: &str = "cgroups";
    const PURPOSE: &str = "to tell the processes of machines apart and to limit them";
    let usable = |text: &str| {
        let has = |name: &&&str| text.split_whitespace().any(|word| word == **name);
        CONTROLLERS.iter().filter(has).copied().collect::<Vec<_>>().join(", ")
    };
    match (hierarchies, controllers.map(usable)) {
        (0, _) if place != Place::Host => Need::limited(
            EVERY_TEST,
            NAME,
            PURPOSE,
            "none here may be written to",
            Cure::new("mount cgroup2 on /sys/fs/cgroup, in a cgroup namespace of the sandbox's own"),
        ),
        (0, _) => Need::limited(
            EVERY_TEST,
            NAME,
            PURPOSE,
            "none may be made here: machines stay in the driver's, without limits of their own",
            Cure::new("mount cgroup2 on /sys/fs/cgroup, and have the driver's own cgroup delegated to it")
                .line(Where::Shell, "systemd-run --pty --property=Delegate=yes tandem run TEST"),
        ),
        (_, Some(controllers)) if !controllers.is_empty() => {
            Need::ok(EVERY_TEST, NAME, PURPOSE, format!("version 2 with {controllers}"))
        }
        (_, two) => {
            let found = match two {
                Some(_) => "version 2 has no controllers here: machines have cgroups, and no limits",
                None => "only version 1: machines have cgroups, and no limits",
            };
            let cure = Cure::new("boot with version 2 alone, if machines are to have limits")
                .line(Where::KernelCommandLine, "systemd.unified_cgroup_hierarchy=1")
                .line(Where::NixOs, "boot.kernelParams = [ \"systemd.unified_cgroup_hierarchy=1\" ];");
            Need::limited(EVERY_TEST, NAME, PURPOSE, found, cure)
        }
    }
}

/// systemd-machined, with which machines are registered.
fn machined(asked: Machined, root: &Path, place: Place) -> Need {
    const NAME: &str = "systemd-machined";
    const PURPOSE: &str = "`machinectl` knows the machines by it";
    let has = |path: &str| root.join(path).exists();
    // sd_booted(3).
    let lacking = if !has("run/systemd/system") {
        Some("systemd does not run here: machines are not registered")
    } else if !has("run/dbus/system_bus_socket") {
        Some("there is no system bus: machines are not registered")
    } else if !["usr/lib", "lib", "run/current-system/sw/lib"]
        .iter()
        .any(|lib| has(&format!("{lib}/systemd/systemd-machined")))
    {
        Some("it is not installed: machines are not registered")
    } else {
        None
    };
    let cure = || {
        Cure::new("start systemd, a system bus and systemd-machined")
            .line(Where::Debian, "apt-get install dbus systemd-container")
            .line(Where::Fedora, "dnf install dbus-broker systemd-container")
    };
    match (lacking, asked) {
        (_, Machined::Never) => Need::unused(EVERY_TEST, NAME, PURPOSE, "the test wants no registration"),
        (None, _) => Need::ok(EVERY_TEST, NAME, PURPOSE, "systemd, a system bus and machined are there"),
        // Of systemd alone one knows before that there will be none.
        (Some(why), Machined::Require) => {
            Need::missing(EVERY_TEST, NAME, PURPOSE, format!("{why}, which the test requires"), cure())
        }
        (Some(_), Machined::Auto) if place == Place::NixBuild => {
            Need::unused(EVERY_TEST, NAME, PURPOSE, "no build has one")
        }
        (Some(why), Machined::Auto) => Need::limited(EVERY_TEST, NAME, PURPOSE, why, cure()),
    }
}

/// What carries `AF_VSOCK` to VMs with start scripts.
fn vsock() -> Need {
    const NAME: &str = "vhost-device-vsock";
    let cure = Cure::package(NAME, NAME, NAME);
    let need = program(EVERY_TEST, NAME, "to reach VMs by SSH without a LAN", find(NAME), cure);
    let without = "it is not on the PATH: VMs are reached by SSH over their LANs only";
    need.or_limited(without)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::need::Verdict;

    #[test]
    fn memory_is_compared_with_the_number_of_machines() {
        let text = "MemTotal:        1048576 kB\nMemFree:  1 kB\nMemAvailable:     307200 kB\n";
        assert_eq!(memory(text, 4).found, "300 MiB of 1024 MiB are free");
        let few = memory(text, 5);
        assert_eq!(few.verdict, Verdict::Limited);
        assert!(few.found.ends_with("5 machines write 320 MiB as they boot"), "{}", few.found);
        assert_eq!(memory("", 1).verdict, Verdict::Limited);
        assert_eq!(memory(text, u64::MAX).verdict, Verdict::Limited);
    }

    #[test]
    fn controllers_of_version_2_make_limits() {
        assert_eq!(
            cgroups_of(1, Some("cpuset cpu io memory pids\n"), Place::Host).found,
            "version 2 with cpu, io, memory, pids"
        );
        for (hierarchies, controllers, said) in [
            (0, None, "none may be made"),
            (3, None, "only version 1"),
            (3, Some(""), "no controllers"),
            (1, Some("hugetlb"), "no controllers"),
        ] {
            let need = cgroups_of(hierarchies, controllers, Place::Host);
            assert!(need.verdict == Verdict::Limited && need.found.contains(said), "{need:?}");
        }
    }

    #[test]
    fn a_registration_is_missing_only_if_the_test_requires_it() {
        let root = tempfile::tempdir().unwrap();
        let make = |path: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        };
        let verdicts = || {
            [Machined::Never, Machined::Auto, Machined::Require]
                .map(|asked| machined(asked, root.path(), Place::Host).verdict)
        };
        assert_eq!(verdicts(), [Verdict::Unused, Verdict::Limited, Verdict::Missing]);
        fs::create_dir_all(root.path().join("run/systemd/system")).unwrap();
        assert_eq!(verdicts(), [Verdict::Unused, Verdict::Limited, Verdict::Missing]);
        make("run/dbus/system_bus_socket");
        assert!(machined(Machined::Auto, root.path(), Place::Host).found.contains("not installed"));
        make("usr/lib/systemd/systemd-machined");
        assert_eq!(verdicts(), [Verdict::Unused, Verdict::Ok, Verdict::Ok]);
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let missing = run_directory(Path::new("/proc/tandem"));
        // Root may write everywhere but where the kernel says no.
        assert!(missing.found.contains("/proc/tandem"));
        assert!(!run_directory(&std::env::temp_dir().join("tandem-x")).is_missing());
        assert!(disk(&std::env::temp_dir()).found.contains("MiB are free in"));
    }
}
