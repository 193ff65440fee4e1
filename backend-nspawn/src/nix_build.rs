//! What Nix takes from containers: its store, and its builds.

use std::path::Path;

use driver_core::need::Place;
use driver_core::spec::{MachineSpec, Root};

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
        Root::Tar(_) if Place::current() == Place::NixBuild => Some(
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
    use std::fs;

    use super::*;

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
