//! One cgroup around all that is measured. The kernel shares the processors out by cgroups: a run is one, raw containers are many, and beside
//! the other work of a busy host many would get more than one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use driver_core::run::cgroup;

/// How long processes that were killed may take to leave.
const PATIENCE: Duration = Duration::from_secs(10);

/// This process's stay in the cgroup. Dropping it ends the stay and removes the cgroup.
#[derive(Debug)]
pub(crate) struct Group {
    /// The cgroup in each hierarchy.
    cgroups: Vec<PathBuf>,
}

impl Group {
    pub(crate) fn enter() -> io::Result<Self> {
        let pid = std::process::id();
        let own = cgroup::of_process(pid.cast_signed())?;
        let group = Self { cgroups: cgroup::make(&own, &format!("bench-{pid}"), 0) };
        group.cgroups.iter().try_for_each(|cgroup| enter(cgroup))?;
        Ok(group)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        let parents = self.cgroups.iter().filter_map(|cgroup| cgroup.parent());
        parents.for_each(|parent| drop(enter(parent)));
        // A driver that was just killed has a keeper that still tidies up here.
        while self.cgroups.iter().any(|cgroup| fs::remove_dir(cgroup).is_err() && cgroup.exists()) {
            if Instant::now() > deadline {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn enter(cgroup: &Path) -> io::Result<()> {
    fs::write(cgroup.join("cgroup.procs"), "0")
}
