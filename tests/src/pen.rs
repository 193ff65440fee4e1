//! A cgroup on every hierarchy for one program under test. Whatever the program starts, however often it forks, is in the pen or in a cgroup
//! below it, so it can be told from all else that runs on the host.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// A pen. Dropping it kills what is in it.
#[derive(Debug)]
pub struct Pen {
    cgroups: Vec<PathBuf>,
}

impl Pen {
    /// Makes a pen below this process's own cgroups.
    pub fn new() -> io::Result<Self> {
        let mut random = [0; 8];
        rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())?;
        let name = format!("pen-{:016x}", u64::from_ne_bytes(random));
        let mut pen = Self { cgroups: Vec::new() };
        for own in own_cgroups()? {
            let cgroup = own.join(&name);
            // A hierarchy that is not ours to use is left out, as the driver does.
            if fs::create_dir(&cgroup).is_err() {
                continue;
            }
            pen.cgroups.push(cgroup.clone());
            // Without these, version 1's cpuset takes no process.
            for file in ["cpuset.cpus", "cpuset.mems"] {
                if let (true, Ok(value)) = (cgroup.join("tasks").exists(), fs::read_to_string(own.join(file))) {
                    fs::write(cgroup.join(file), value)?;
                }
            }
        }
        if pen.cgroups.is_empty() {
            return Err(io::Error::other("no cgroup could be made"));
        }
        Ok(pen)
    }

    /// Lets `command` start in the pen.
    pub fn confine(&self, command: &mut Command) -> io::Result<()> {
        let open = |cgroup: &PathBuf| OpenOptions::new().write(true).open(cgroup.join("cgroup.procs"));
        let doors: Vec<File> = self.cgroups.iter().map(open).collect::<io::Result<_>>()?;
        let enter =
            move || doors.iter().try_for_each(|door| rustix::io::write(door, b"0").map(drop).map_err(Into::into));
        // SAFETY: only system calls are made between fork and exec.
        unsafe { command.pre_exec(enter) };
        Ok(())
    }

    /// The pen itself, on each hierarchy.
    pub fn cgroups(&self) -> &[PathBuf] {
        &self.cgroups
    }

    /// The processes in the pen.
    pub fn processes(&self) -> Vec<i32> {
        let mut pids: Vec<i32> = self
            .tree()
            .iter()
            .filter_map(|cgroup| fs::read_to_string(cgroup.join("cgroup.procs")).ok())
            .flat_map(|text| text.lines().filter_map(|line| line.parse().ok()).collect::<Vec<_>>())
            .collect();
        pids.sort_unstable();
        pids.dedup();
        pids
    }

    /// The cgroups below the pen, deepest last.
    pub fn below(&self) -> Vec<PathBuf> {
        self.tree().into_iter().filter(|path| !self.cgroups.contains(path)).collect()
    }

    fn tree(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut rest = self.cgroups.clone();
        while let Some(cgroup) = rest.pop() {
            let entries = fs::read_dir(&cgroup).into_iter().flatten().flatten();
            rest.extend(
                entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()),
            );
            found.push(cgroup);
        }
        found
    }
}

impl Drop for Pen {
    fn drop(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            for pid in self.processes().into_iter().filter_map(rustix::process::Pid::from_raw) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
            for cgroup in self.tree().iter().rev() {
                let _ = fs::remove_dir(cgroup);
            }
            if self.cgroups.iter().all(|cgroup| !cgroup.exists()) {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// This process's cgroup on each mounted hierarchy, as a directory (cgroups(7)).
pub fn own_cgroups() -> io::Result<Vec<PathBuf>> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let place = |line: &str| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        mounts.lines().find_map(|mount| shown_at(mount, controllers, path))
    };
    Ok(fs::read_to_string("/proc/self/cgroup")?.lines().filter_map(place).collect())
}

fn shown_at(mount: &str, controllers: &str, path: &str) -> Option<PathBuf> {
    let (place, kind) = mount.split_once(" - ")?;
    let (root, mountpoint) = place.split_once(' ').and_then(|(_, rest)| {
        let mut words = rest.split(' ').skip(2);
        Some((words.next()?, words.next()?))
    })?;
    let words: Vec<&str> = kind.split(' ').collect();
    let fits = match (*words.first()?, controllers) {
        ("cgroup2", "") => true,
        ("cgroup", named) if !named.is_empty() => {
            named.split(',').all(|one| words.last().is_some_and(|all| all.split(',').any(|it| it == one)))
        }
        _ => false,
    };
    let below = path.strip_prefix(root.trim_end_matches('/'))?;
    fits.then(|| Path::new(mountpoint).join(below.trim_start_matches('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_shows_what_lies_below_its_root() {
        let two = "30 25 0:26 /a /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate";
        assert_eq!(shown_at(two, "", "/a/b").unwrap(), Path::new("/sys/fs/cgroup/b"));
        assert_eq!(shown_at(two, "", "/c"), None);
        let one = "31 25 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct";
        assert_eq!(shown_at(one, "cpu,cpuacct", "/").unwrap(), Path::new("/sys/fs/cgroup/cpu/"));
        assert_eq!(shown_at(one, "memory", "/"), None);
    }
}
