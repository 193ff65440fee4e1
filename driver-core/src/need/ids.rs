//! Root, and the user ids that it rules over.

use std::fs;

use rustix::process::geteuid;

use super::place::ids_here;
use super::{Cure, Need, Place, Where, nix};
use crate::run::IDS;

/// Root, for all that makes namespaces and mounts for others than this user: `group`.
pub fn root(group: &str) -> Need {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    root_of(group, geteuid().as_raw(), &lacking(&status), Place::current())
}

/// The rights of root's that namespaces, mounts and LANs take, and their numbers (capabilities(7)).
const RIGHTS: [(&str, u32); 2] = [("CAP_SYS_ADMIN", 21), ("CAP_NET_ADMIN", 12)];

/// Those that a process lacks, by its /proc/PID/status.
fn lacking(status: &str) -> Vec<&'static str> {
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let Some(effective) = effective.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok()) else {
        return Vec::new();
    };
    RIGHTS.iter().filter(|(_, number)| effective >> number & 1 == 0).map(|(name, _)| *name).collect()
}

fn root_of(group: &str, user: u32, lacking: &[&str], place: Place) -> Need {
    const NAME: &str = "root";
    const PURPOSE: &str = "to make namespaces, mounts and LANs";
    match (user, place) {
        (0, _) if !lacking.is_empty() => Need::missing(
            group,
            NAME,
            PURPOSE,
            format!("this root has no {}", lacking.join(", ")),
            Cure::new(
                "run it outside of this container, or give the container all rights, as `docker run --privileged` does",
            ),
        ),
        (0, Place::Host) => Need::ok(group, NAME, PURPOSE, "root of this host"),
        (0, _) => Need::ok(group, NAME, PURPOSE, "root of a user namespace"),
        (user, Place::NixBuild) => {
            Need::missing(group, NAME, PURPOSE, format!("this build runs as user {user}"), uid_range())
        }
        (user, _) => Need::missing(
            group,
            NAME,
            PURPOSE,
            format!("this is user {user}, who may not make namespaces and mounts"),
            Cure::new("run it as root, for example with sudo"),
        ),
    }
}

/// How many ids there are in the initial user namespace.
const ALL: u64 = 4_294_967_295;

/// A range of user ids, for those who need all that a system has: `group`.
pub fn ids(group: &str) -> Need {
    ids_of(group, ids_here(), Place::current())
}

fn ids_of(group: &str, ids: u64, place: Place) -> Need {
    const NAME: &str = "user ids";
    const PURPOSE: &str = "to give each machine users of its own";
    let found = format!("{ids} from 0 on in this user namespace");
    match place {
        Place::Host => Need::ok(group, NAME, PURPOSE, format!("{IDS} for each machine that no other has")),
        Place::NixBuild if ids == ALL => Need::missing(
            group,
            NAME,
            PURPOSE,
            "this Nix build is in no sandbox, and its users are the host's",
            in_sandbox(),
        ),
        Place::UserNamespace | Place::NixBuild if ids >= u64::from(IDS) => {
            Need::ok(group, NAME, PURPOSE, format!("{found}: each machine has the same {IDS}"))
        }
        place => {
            let cure = if place == Place::NixBuild {
                uid_range()
            } else {
                Cure::new(format!(
                    "enter a user namespace with {IDS} ids, as `unshare --map-auto --map-root-user` makes"
                ))
            };
            Need::missing(group, NAME, PURPOSE, format!("{found}, and a machine needs {IDS}"), cure)
        }
    }
}

/// What has a Nix build in its sandbox, too.
fn in_sandbox() -> Cure {
    let cure = uid_range();
    Cure { advice: format!("build it by the Nix daemon, with `sandbox = true`, and {}", cure.advice), ..cure }
}

/// What gives a Nix build root and a range of ids.
fn uid_range() -> Cure {
    nix::uid_range("ask for a range of user ids in the derivation, and have the builder give it, with its sandbox on")
        .line(Where::Derivation, "requiredSystemFeatures = [ \"uid-range\" ];")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_root_is_told_by_where_he_is() {
        assert!(
            !root_of("VMs", 0, &[], Place::Host).is_missing() && !root_of("VMs", 0, &[], Place::NixBuild).is_missing()
        );
        let told = root_of("VMs", 1000, &[], Place::Host).problem().unwrap().to_string();
        assert!(told.starts_with("VMs: root: this is user 1000") && told.ends_with("sudo"), "{told}");
        let told = root_of("VMs", 1000, &["CAP_SYS_ADMIN"], Place::NixBuild).problem().unwrap().to_string();
        assert!(
            told.contains("extra-system-features = uid-range") && told.contains("requiredSystemFeatures"),
            "{told}"
        );
    }

    #[test]
    fn a_root_without_its_rights_is_none() {
        assert_eq!(lacking("Name:\tx\nCapEff:\t000001ffffffffff\n"), [""; 0]);
        assert_eq!(lacking("CapEff:\t00000000a80425fb\n"), ["CAP_SYS_ADMIN", "CAP_NET_ADMIN"]);
        assert_eq!(lacking("CapEff:\t00000000a80435fb\n"), ["CAP_SYS_ADMIN"]);
        assert_eq!(lacking(""), [""; 0]);
        let told = root_of("VMs", 0, &["CAP_SYS_ADMIN"], Place::Host).problem().unwrap().to_string();
        assert!(told.contains("this root has no CAP_SYS_ADMIN") && told.contains("--privileged"), "{told}");
    }

    #[test]
    fn a_machine_needs_the_ids_of_a_system() {
        assert!(!ids_of("containers", 65536, Place::NixBuild).is_missing());
        assert!(!ids_of("containers", 0, Place::Host).is_missing());
        let told = ids_of("containers", ALL, Place::NixBuild).problem().unwrap().to_string();
        assert!(told.contains("in no sandbox") && told.contains("sandbox = true"), "{told}");
        let told = ids_of("containers", 1, Place::UserNamespace).problem().unwrap().to_string();
        assert!(
            told.starts_with("containers: user ids: 1 from 0 on in this user namespace, and a machine needs 65536")
        );
        assert!(ids_of("containers", 0, Place::NixBuild).problem().unwrap().cure.contains("auto-allocate-uids = true"));
    }
}
