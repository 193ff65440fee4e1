//! Processes and what they hold.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// A process in a few words; none if it is gone or a zombie, which only its parent can still see off.
pub(super) fn describe(pid: i32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let state = stat.rsplit_once(") ")?.1.chars().next()?;
    let name = stat.split_once('(')?.1.rsplit_once(')')?.0.to_owned();
    let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let command = String::from_utf8_lossy(&command).replace('\0', " ");
    (state != 'Z').then(|| format!("{name}: {}", command.trim()))
}

/// The namespaces that these processes live in or have descriptors of, and the calling thread does not live in.
pub(super) fn namespaces(pids: &[i32]) -> Vec<(String, String)> {
    let own: BTreeSet<String> = links(Path::new("/proc/thread-self/ns")).collect();
    let mut found = BTreeSet::new();
    for pid in pids {
        let process = Path::new("/proc").join(pid.to_string());
        found.extend(links(&process.join("ns")).chain(links(&process.join("fd"))));
    }
    let is_namespace = |name: &String| {
        let kind = name.split_once(":[").map(|(kind, _)| kind);
        matches!(kind, Some("mnt" | "net" | "pid" | "user" | "uts" | "ipc" | "cgroup" | "time"))
    };
    found
        .into_iter()
        .filter(is_namespace)
        .filter(|name| !own.contains(name))
        .map(|name| (name, String::new()))
        .collect()
}

/// The processes in whose mounts a text such as a run's directory appears.
pub(super) fn that_mount(mark: &str) -> Vec<String> {
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let mounts = |pid: &i32| fs::read_to_string(format!("/proc/{pid}/mountinfo")).is_ok_and(|text| text.contains(mark));
    pids.filter(mounts).filter_map(|pid| Some(format!("{pid} {}", describe(pid)?))).collect()
}

/// What this process's descriptors are of.
pub(super) fn own_descriptors() -> Vec<String> {
    let mut found: Vec<String> = links(Path::new("/proc/self/fd")).collect();
    found.sort_unstable();
    found
}

fn links(directory: &Path) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| Some(fs::read_link(entry.path()).ok()?.display().to_string()))
}
