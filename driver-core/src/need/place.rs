//! Where this process is: on a host, in a user namespace, in a Nix build.

use std::env;
use std::ffi::OsStr;
use std::fs;

use serde::Serialize;

use crate::run::{Privilege, in_initial_user_namespace, privilege};

/// Where this process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// In the initial user namespace, whose root is the host's.
    Host,
    /// In a user namespace, as in many containers.
    UserNamespace,
    /// In a Nix build, as a rule in its sandbox.
    NixBuild,
}

impl Place {
    /// Finds it out.
    pub fn current() -> Self {
        // One that this process has made for itself is not where it is.
        let initial = match privilege() {
            Privilege::OwnNamespace { of_host } => *of_host,
            _ => in_initial_user_namespace(),
        };
        let variable = |name| env::var_os(name).filter(|value| !value.is_empty());
        Self::of(variable("NIX_BUILD_TOP").as_deref(), variable("IN_NIX_SHELL").is_some(), initial)
    }

    /// A shell of Nix's has the variables of a build, too.
    fn of(build: Option<&OsStr>, shell: bool, initial: bool) -> Self {
        match (build, shell, initial) {
            (Some(_), false, _) => Self::NixBuild,
            (_, _, true) => Self::Host,
            _ => Self::UserNamespace,
        }
    }
}

/// How many user ids, from 0 on, this process has in its user namespace, by the text of a map in /proc (`user_namespaces(7)`).
pub(super) fn mapped(map: &str) -> u64 {
    let range = |line: &str| {
        let mut numbers = line.split_whitespace().map(|word| word.parse::<u64>().ok());
        Some((numbers.next()??, numbers.nth(1)??))
    };
    let mut ranges: Vec<(u64, u64)> = map.lines().filter_map(range).collect();
    ranges.sort_unstable();
    ranges.into_iter().fold(0, |end, (first, count)| if first == end { end + count } else { end })
}

/// The fewest of user and group ids that this process has.
pub(super) fn ids_here() -> u64 {
    let ids = |file| fs::read_to_string(file).map_or(0, |map| mapped(&map));
    ids("/proc/self/uid_map").min(ids("/proc/self/gid_map"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_of_nix_is_no_build() {
        let build = Some(OsStr::new("/build"));
        assert_eq!(Place::of(build, false, false), Place::NixBuild);
        assert_eq!(Place::of(build, true, false), Place::UserNamespace);
        assert_eq!(Place::of(build, false, true), Place::NixBuild);
        assert_eq!(Place::of(build, true, true), Place::Host);
        assert_eq!(Place::of(None, false, true), Place::Host);
        assert_eq!(Place::of(None, false, false), Place::UserNamespace);
    }

    #[test]
    fn ids_are_counted_from_zero_on() {
        for (map, expected) in [
            ("         0          0 4294967295\n", 4_294_967_295),
            ("0 872415232 65536\n", 65536),
            ("0 1000 1\n1 100000 65536\n", 65537),
            ("1 100000 65536\n0 1000 1\n", 65537),
            ("1000 30001 1\n", 0),
            ("", 0),
        ] {
            assert_eq!(mapped(map), expected, "{map}");
        }
    }
}
