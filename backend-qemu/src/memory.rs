//! Memory for VMs: what they ask for, and what there is.

use std::fs;
use std::path::{Path, PathBuf};

use driver_core::need::{Cure, Need};
use driver_core::spec::MachineSpec;

use crate::tools::MEMORY;

const MIB: u64 = 1024 * 1024;

/// Room for the memory of these VMs of the group. More than there is, is too much. A little less would not be enough either, but how
/// little, nobody knows.
pub(crate) fn need(group: &str, machines: &[&MachineSpec]) -> Need {
    need_of(group, machines, room())
}

fn need_of(group: &str, machines: &[&MachineSpec], room: Option<u64>) -> Need {
    const NAME: &str = "memory";
    const PURPOSE: &str = "the guests' own";
    let asked = |machine: &MachineSpec| machine.memory.unwrap_or(MEMORY);
    let sum = machines.iter().fold(0, |sum: u64, machine| sum.saturating_add(asked(machine)));
    let Some(room) = room else { return Need::ok(group, NAME, PURPOSE, "nobody knows how much this host has") };
    if sum <= room {
        let found = match machines.len() {
            0 => format!("this host has {room} MiB; a VM that does not say gets {MEMORY} MiB"),
            _ => format!("{sum} MiB are asked for, and this host has {room} MiB"),
        };
        return Need::ok(group, NAME, PURPOSE, found);
    }
    let names: Vec<String> =
        machines.iter().map(|machine| format!("`{}` ({} MiB)", machine.name, asked(machine))).collect();
    let found = format!("{} ask for {sum} MiB, and this host has {room} MiB", names.join(", "));
    let cure = Cure::new("give the machines less by the key `memory`, or take a host with more");
    Need::missing(group, NAME, PURPOSE, found, cure)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn vm(name: &str) -> MachineSpec {
        MachineSpec::new(name, "vm")
    }

    #[test]
    fn more_memory_than_there_is_is_told_with_who_asks() {
        let (small, large) = (vm("small"), MachineSpec { memory: Some(3000), ..vm("large") });
        assert!(!need_of("VMs", &[&small, &large], Some(4024)).is_missing());
        assert!(!need_of("VMs", &[&large], None).is_missing());
        assert_eq!(
            need_of("VMs", &[&small, &large], Some(4023)).problem().unwrap().to_string(),
            "VMs: memory: `small` (1024 MiB), `large` (3000 MiB) ask for 4024 MiB, and this host has 4023 MiB; \
             give the machines less by the key `memory`, or take a host with more"
        );
        let all = MachineSpec { memory: Some(u64::MAX), ..vm("all") };
        assert!(need("VMs", &[&all, &all]).is_missing());
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
}
