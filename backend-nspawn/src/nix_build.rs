//! What a Nix build needs for containers, and what it takes from them.

use std::fs;
use std::path::Path;

use driver_core::run::{IDS, in_initial_user_namespace, in_nix_build};
use driver_core::spec::{MachineSpec, Problem, Root};

/// The lines of /etc/nix/nix.conf that a builder for containers has.
const SETTINGS: &str = include_str!("../../nix/nix.conf/containers.conf");

/// Programs that users run as root, by the set-user-ID bit of their files.
const SET_USER_ID: [&str; 12] = [
    "su",
    "sudo",
    "mount",
    "umount",
    "passwd",
    "chsh",
    "chfn",
    "gpasswd",
    "newgrp",
    "pkexec",
    "fusermount",
    "fusermount3",
];

/// Why containers cannot run in this Nix build, if it is one.
pub(crate) fn problem() -> Option<Problem> {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let root = rustix::process::geteuid().is_root();
    let message = if !in_nix_build() {
        return None;
    } else if in_initial_user_namespace() && root {
        "this Nix build runs as the host's root, in no sandbox"
    } else if in_initial_user_namespace() {
        "this Nix build runs in no sandbox"
    } else if !root || ids(&map) < u64::from(IDS) {
        "this Nix build has not the 65536 user ids that they need"
    } else {
        return None;
    };
    let settings: Vec<&str> = SETTINGS.lines().chain(["sandbox = true"]).collect();
    Some(Problem::host(
        "containers",
        message,
        format!(
            "give the derivation requiredSystemFeatures = [ \"uid-range\" ], and the builder, by a Nix daemon, these lines in /etc/nix/nix.conf:\n    {}",
            settings.join("\n    ")
        ),
    ))
}

/// How many user ids there are, by a process's map of them (`user_namespaces(7)`).
fn ids(map: &str) -> u64 {
    map.lines().filter_map(|line| line.split_whitespace().nth(2)?.parse::<u64>().ok()).sum()
}

/// What a machine's files have lost, because they lie in a Nix store or are unpacked in a Nix build.
pub(crate) fn notes(machine: &MachineSpec) -> Vec<String> {
    let note = match &machine.root {
        Root::Directory(path) => {
            // A store elsewhere has its files below a directory of the same name.
            let in_store = path.to_string_lossy().contains("/nix/store/");
            let lost = if in_store { set_user_id(path) } else { Vec::new() };
            (!lost.is_empty()).then(|| {
                format!(
                    "files in a Nix store have no set-user-ID bit, so these work for root alone: {}",
                    lost.join(", ")
                )
            })
        }
        Root::Tar(_) if in_nix_build() => Some(
            "a Nix build can make no set-user-ID files, so programs such as su, sudo and mount work for root alone"
                .into(),
        ),
        _ => None,
    };
    note.into_iter().collect()
}

fn set_user_id(root: &Path) -> Vec<&'static str> {
    let there = |name: &&str| ["usr/bin", "bin", "sw/bin"].iter().any(|bin| root.join(bin).join(name).exists());
    SET_USER_ID.into_iter().filter(there).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_counted_over_all_ranges() {
        assert_eq!(ids("         0          0 4294967295\n"), 4_294_967_295);
        assert_eq!(ids("         0  872415232      65536\n"), 65536);
        assert_eq!(ids("1000 30001 1\n"), 1);
        assert_eq!(ids("0 1000 1\n1 100000 65536\n"), 65537);
        assert_eq!(ids(""), 0);
    }

    #[test]
    fn what_lost_its_bit_is_named() {
        let place = tempfile::tempdir().unwrap();
        for root in ["nix/store/a-root", "srv/root"] {
            let bin = place.path().join(root).join("usr/bin");
            fs::create_dir_all(&bin).unwrap();
            for name in ["true", "sudo", "su"] {
                fs::write(bin.join(name), "").unwrap();
            }
        }
        let notes = |root: &str| {
            let root = Root::Directory(place.path().join(root));
            notes(&MachineSpec { root, ..MachineSpec::new("web", "container") })
        };
        assert_eq!(
            notes("nix/store/a-root"),
            ["files in a Nix store have no set-user-ID bit, so these work for root alone: su, sudo"]
        );
        assert_eq!(notes("srv/root"), [""; 0]);
    }
}
