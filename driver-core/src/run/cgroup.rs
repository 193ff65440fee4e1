//! Cgroups of a run: `tandem-RUN` below the driver's own cgroup, on every mounted hierarchy, with one cgroup for each machine inside.
//!
//! Works on version 2 alone, on version 1, and on both mounted side by side (cgroups(7), "Cgroups version 1" and "Cgroups version 2").

use std::fs;
use std::io;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

/// The cgroups of one run.
#[derive(Clone, Debug, Default)]
pub(super) struct Cgroups {
    roots: Vec<PathBuf>,
}

impl Cgroups {
    /// Where a run's cgroups are going to be. Makes none yet.
    pub(super) fn plan(run: &str) -> io::Result<Self> {
        let name = format!("tandem-{run}");
        Ok(Self { roots: of("self")?.into_iter().map(|own| own.join(&name)).collect() })
    }

    /// The run's cgroup in each hierarchy.
    pub(super) fn roots(&self) -> &[PathBuf] {
        &self.roots
    }
}

/// The cgroup of a process in each mounted hierarchy.
pub fn of_process(pid: i32) -> io::Result<Vec<PathBuf>> {
    of(&pid.to_string())
}

fn of(process: &str) -> io::Result<Vec<PathBuf>> {
    let own = fs::read_to_string(format!("/proc/{process}/cgroup"))?;
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    Ok(directories(&own, &mounts))
}

/// Makes a machine's cgroup below each of the run's `roots`, owned by `owner`, and returns their directories. A hierarchy in which this
/// process may not make one (it was not delegated) is left out.
pub fn make(roots: &[PathBuf], machine: &str, owner: u32) -> Vec<PathBuf> {
    roots.iter().filter_map(|root| make_one(&root.join(machine), owner).ok()).collect()
}

fn make_one(directory: &Path, owner: u32) -> io::Result<PathBuf> {
    fs::create_dir_all(directory)?;
    for ancestor in [directory.parent(), Some(directory)].into_iter().flatten() {
        inherit_cpuset(ancestor)?;
    }
    delegate(directory, owner)?;
    Ok(directory.to_owned())
}

/// Gives a cgroup to `owner`, as "Delegation" in the kernel's cgroup-v2 documentation says: the directory and these files, no others.
pub fn delegate(directory: &Path, owner: u32) -> io::Result<()> {
    chown(directory, Some(owner), Some(owner))?;
    for file in ["cgroup.procs", "cgroup.threads", "cgroup.subtree_control", "tasks"] {
        match chown(directory.join(file), Some(owner), Some(owner)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
    }
    Ok(())
}

/// Gives a cgroup of version 1's cpuset its parent's CPUs and memory nodes: without any it takes no process.
pub fn inherit_cpuset(directory: &Path) -> io::Result<()> {
    let Some(parent) = directory.parent() else { return Ok(()) };
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let (own, above) = (directory.join(file), parent.join(file));
        if directory.join("tasks").exists() && own.exists() && fs::read_to_string(&own)?.trim().is_empty() {
            fs::write(own, fs::read_to_string(above)?)?;
        }
    }
    Ok(())
}

/// Removes a cgroup with all below it. Fails with `ResourceBusy` while a process is in one of them.
pub fn remove_tree(directory: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    match fs::remove_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Pairs each line of /proc/PID/cgroup with the mount that shows it.
fn directories(own: &str, mounts: &str) -> Vec<PathBuf> {
    own.lines()
        .filter_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let (controllers, path) = (parts.next()?, parts.next()?);
            mounts.lines().find_map(|mount| place(mount, controllers, path))
        })
        .collect()
}

/// Where the cgroup `path` of the hierarchy with these controllers is, if this line of /proc/self/mountinfo is its mount.
fn place(mount: &str, controllers: &str, path: &str) -> Option<PathBuf> {
    let (fields, kind) = mount.split_once(" - ")?;
    let mut fields = fields.split(' ').skip(3);
    let (root, mountpoint) = (fields.next()?, fields.next()?);
    let mut kind = kind.split(' ');
    let (kind, options) = (kind.next()?, kind.nth(1)?);
    let fits = match kind {
        "cgroup2" => controllers.is_empty(),
        "cgroup" => !controllers.is_empty() && controllers.split(',').all(|c| options.split(',').any(|o| o == c)),
        _ => false,
    };
    let below = if root == "/" { path.strip_prefix('/')? } else { path.strip_prefix(root)?.trim_start_matches('/') };
    // Below a cgroup namespace's root the path climbs up; such a mount cannot show it.
    (fits && !below.split('/').any(|part| part == "..")).then(|| Path::new(mountpoint).join(below))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
25 22 0:22 / /sys rw - sysfs sysfs rw
28 25 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
32 28 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
29 28 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
37 28 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
38 28 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw
";

    fn found(own: &str, mounts: &str) -> Vec<String> {
        directories(own, mounts).into_iter().map(|path| path.display().to_string()).collect()
    }

    #[test]
    fn hybrid_hierarchies_are_all_found() {
        let own = "9:name=systemd:/a/b\n4:memory:/\n1:cpu,cpuacct:/x\n0::/a/b\n";
        let expected = [
            "/sys/fs/cgroup/systemd/a/b",
            "/sys/fs/cgroup/memory/",
            "/sys/fs/cgroup/cpu,cpuacct/x",
            "/sys/fs/cgroup/unified/a/b",
        ];
        assert_eq!(found(own, HYBRID), expected);
    }

    #[test]
    fn unified_hierarchy_alone() {
        let mounts = "30 25 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
        assert_eq!(found("0::/user.slice/session.scope\n", mounts), ["/sys/fs/cgroup/user.slice/session.scope"]);
    }

    #[test]
    fn a_mount_of_a_subtree_shows_only_what_is_below_it() {
        let mounts = "30 25 0:26 /docker/x /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        assert_eq!(found("0::/docker/x/y\n", mounts), ["/sys/fs/cgroup/y"]);
        assert_eq!(found("0::/elsewhere\n", mounts), [""; 0]);
    }

    #[test]
    fn hierarchies_that_are_not_mounted_are_left_out() {
        assert_eq!(found("7:blkio:/\n0::/\n", ""), [""; 0]);
    }

    #[test]
    fn a_missing_tree_is_already_removed() {
        let directory = tempfile::tempdir().unwrap();
        assert!(remove_tree(&directory.path().join("none")).is_ok());
    }
}
