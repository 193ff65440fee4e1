//! Files that belong to nobody: those of a Nix store, as a build in a sandbox sees them.
//!
//! Their owners are not mapped into the user namespace (`user_namespaces(7)`), so that not even its root may change them or give them to anyone.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::run::in_initial_user_namespace;

/// Modes that a store does not keep and that systems rely on, by paths below the root.
pub const MODES: [(&str, u32); 5] =
    [("tmp", 0o1777), ("var/tmp", 0o1777), ("root", 0o700), ("etc/shadow", 0o640), ("etc/gshadow", 0o640)];

/// Whether this file or directory belongs to nobody here. One that cannot be looked at does not.
pub fn is_ownerless(path: &Path) -> bool {
    !in_initial_user_namespace() && fs::metadata(path).is_ok_and(|found| found.uid() == nobody())
}

/// The owner that stat(2) tells of files whose own is not mapped.
fn nobody() -> u32 {
    let text = fs::read_to_string("/proc/sys/fs/overflowuid").unwrap_or_default();
    text.trim().parse().unwrap_or(65534)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_host_have_owners() {
        assert!(!is_ownerless(Path::new("/")) || !in_initial_user_namespace());
        assert!(!is_ownerless(Path::new("/no/such/file")));
    }
}
