//! What a build sandbox lacks and its root can make: a view of the cgroups.

use std::io;
use std::path::Path;

use nix::mount::MsFlags;
use nix::sched::{CloneFlags, unshare};

use super::in_initial_user_namespace;
use crate::mount::mount;

/// Where cgroups are seen.
const CGROUPS: &str = "/sys/fs/cgroup";

/// Makes what machines need and the sandbox has not, in a mount namespace of this process's own; elsewhere does nothing.
///
/// A process of one thread calls this before anything else: threads that are there already would not see it (`unshare(2)`). Without it
/// containers cannot boot in a Nix sandbox.
pub fn furnish() -> io::Result<()> {
    if !rustix::process::geteuid().is_root() || in_initial_user_namespace() || !is_empty(Path::new(CGROUPS)) {
        return Ok(());
    }
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount(Path::new("none"), Path::new("/"), None, MsFlags::MS_REC | MsFlags::MS_SLAVE, None)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Path::new("cgroup2"), Path::new(CGROUPS), Some("cgroup2"), flags, None)
}

/// Whether there is such a directory, and nothing in it.
fn is_empty(directory: &Path) -> bool {
    std::fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_with_files_and_missing_ones_are_not_empty() {
        let directory = tempfile::tempdir().unwrap();
        assert!(is_empty(directory.path()));
        assert!(!is_empty(&directory.path().join("none")));
        std::fs::write(directory.path().join("file"), "").unwrap();
        assert!(!is_empty(directory.path()));
    }
}
