//! What a host must have for containers.

use std::fs;

use driver_core::need::{Ask, Cure, Need, file_system, ids, namespaces, program, root};
use driver_core::run::in_initial_user_namespace;
use driver_core::spec::MachineSpec;

use crate::argv;

const GROUP: &str = "containers";

/// The oldest systemd-nspawn whose options are all that are used here, and that tests have been run with.
const OLDEST: u32 = 252;

/// Inotify instances of a container that has booted: some of systemd itself, and one or two of each of its services.
const INSTANCES: u64 = 6;

/// Pseudo-terminals of a container: that of its console.
const TERMINALS: u64 = 1;

/// What these containers need together, or any if there are none.
pub(crate) fn needs(machines: &[&MachineSpec]) -> Vec<Need> {
    let mut needs = vec![root(GROUP)];
    // A start script brings what its machine needs.
    if !machines.is_empty() && machines.iter().all(|machine| machine.start_script.is_some()) {
        return needs;
    }
    let cure = Cure::package("systemd-container", "systemd-container", "systemd");
    let nspawn = program(GROUP, "systemd-nspawn", "it boots them", argv::find(), cure);
    let ask = nspawn.ask.clone().map(|ask| Ask { oldest: Some(OLDEST), ..ask });
    let count = machines.len().max(1) as u64;
    needs.extend([
        Need { ask, ..nspawn },
        namespaces(GROUP, "each lives in its own", &["user", "pid", "mnt", "net", "uts", "cgroup"]),
        ids(GROUP),
        file_system(GROUP, "overlay", "what they write lies above a root that nobody changes", "OVERLAY_FS"),
        terminals(count, ["max", "reserve", "nr"].map(|name| number(&format!("/proc/sys/kernel/pty/{name}")))),
        inotify(count, in_initial_user_namespace(), allowance()),
    ]);
    needs
}

/// Terminals that `count` containers can have, by the kernel's limit, what of it is kept for the host alone, and how many there are.
fn terminals(count: u64, limits: [Option<u64>; 3]) -> Need {
    const NAME: &str = "terminals";
    const PURPOSE: &str = "they are consoles";
    let [Some(max), Some(reserve), Some(there)] = limits else {
        return Need::ok(GROUP, NAME, PURPOSE, "the kernel does not say how many there may be");
    };
    let (free, wanted) = (max.saturating_sub(reserve).saturating_sub(there), count * TERMINALS);
    let found = format!("{free} pseudo-terminals are free for {}", containers(count));
    if free < wanted {
        let more = (reserve + there + wanted).max(max * 2);
        return Need::limited(GROUP, NAME, PURPOSE, found, Cure::sysctl("raise the limit", "kernel.pty.max", more));
    }
    Need::ok(GROUP, NAME, PURPOSE, found)
}

/// Inotify instances for `count` containers, of `allowance` each if each `own`s its user ids, and else of all of them together.
fn inotify(count: u64, own: bool, allowance: Option<u64>) -> Need {
    const NAME: &str = "inotify";
    const PURPOSE: &str = "their systemd watches files: without, they never become ready";
    let Some(allowance) = allowance else {
        return Need::ok(GROUP, NAME, PURPOSE, "the kernel does not say how many instances there may be");
    };
    let (found, wanted) = if own {
        (format!("{allowance} instances for each container"), INSTANCES)
    } else {
        (format!("{allowance} instances of this user namespace for {}", containers(count)), count * INSTANCES)
    };
    if allowance < wanted {
        let more = (wanted * 2).max(1024).next_power_of_two();
        let found = format!("{found}, which take {INSTANCES} each");
        let cure = Cure::sysctl("raise the limit, on the host itself", "fs.inotify.max_user_instances", more);
        return Need::limited(GROUP, NAME, PURPOSE, found, cure);
    }
    Need::ok(GROUP, NAME, PURPOSE, found)
}

/// How many instances a user may have, where two limits hold (`namespaces(7)`, "/proc/sys/user").
fn allowance() -> Option<u64> {
    let limits = ["/proc/sys/fs/inotify/max_user_instances", "/proc/sys/user/max_inotify_instances"];
    limits.into_iter().filter_map(number).min()
}

fn number(file: &str) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

fn containers(count: u64) -> String {
    if count == 1 { "1 container".into() } else { format!("{count} containers") }
}

#[cfg(test)]
mod tests {
    use driver_core::need::Verdict;

    use super::*;

    #[test]
    fn start_scripts_bring_all_but_root() {
        let scripted = MachineSpec { start_script: Some("/x".into()), ..MachineSpec::new("a", "container") };
        let names = |machines: &[&MachineSpec]| needs(machines).into_iter().map(|need| need.name).collect::<Vec<_>>();
        assert_eq!(names(&[&scripted]), ["root"]);
        assert!(names(&[&scripted, &MachineSpec::new("b", "container")]).contains(&"systemd-nspawn".into()));
    }

    #[test]
    fn terminals_are_counted_against_what_is_free_for_all() {
        let of = |count, limits: [u64; 3]| terminals(count, limits.map(Some));
        assert_eq!(of(1, [4096, 1024, 72]).found, "3000 pseudo-terminals are free for 1 container");
        assert_eq!(of(3000, [4096, 1024, 72]).verdict, Verdict::Ok);
        let few = of(3001, [4096, 1024, 72]);
        assert_eq!(few.verdict, Verdict::Limited);
        assert!(few.cure.to_string().contains("kernel.pty.max=8192"), "{}", few.cure);
        assert_eq!(terminals(1, [None; 3]).verdict, Verdict::Ok);
    }

    #[test]
    fn containers_without_ids_of_their_own_share_an_allowance() {
        assert_eq!(inotify(1000, true, Some(128)).verdict, Verdict::Ok);
        assert_eq!(inotify(21, false, Some(128)).verdict, Verdict::Ok);
        let many = inotify(22, false, Some(128));
        assert_eq!(many.verdict, Verdict::Limited);
        assert_eq!(many.found, "128 instances of this user namespace for 22 containers, which take 6 each");
        assert!(many.cure.to_string().contains("fs.inotify.max_user_instances=1024"), "{}", many.cure);
    }
}
