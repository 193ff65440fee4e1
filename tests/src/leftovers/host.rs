//! What is the host's own.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// Values below `/proc/sys` that change by themselves.
const RESTLESS: [&str; 13] = [
    "fs/aio-nr",
    "fs/dentry-state",
    "fs/file-nr",
    "fs/inode-nr",
    "fs/inode-state",
    "fs/quota/",
    "kernel/ns_last_pid",
    "kernel/perf_event_max_sample_rate",
    "kernel/pty/nr",
    "kernel/random/",
    "kernel/sched_",
    "net/netfilter/nf_conntrack_count",
    "vm/stat_refresh",
];

/// The mounts of the calling thread's mount namespace.
pub(super) fn mounts() -> io::Result<Vec<(String, String)>> {
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    let text = fs::read_to_string("/proc/thread-self/mountinfo")?;
    let named = text.lines().filter_map(|line| {
        let mountpoint = line.split(' ').nth(4)?;
        let (_, details) = line.split_once(mountpoint)?;
        // Several mounts can lie on one place.
        let time = times.entry(mountpoint.to_owned()).and_modify(|time| *time += 1).or_insert(1);
        Some((format!("{mountpoint} ({time})"), details.trim().to_owned()))
    });
    Ok(named.collect())
}

/// The interfaces of the calling thread's network namespace.
pub(super) fn interfaces() -> io::Result<Vec<(String, String)>> {
    let text = fs::read_to_string("/proc/thread-self/net/dev")?;
    let names = text.lines().skip(2).filter_map(|line| line.split_once(':'));
    Ok(names.map(|(name, _)| (name.trim().to_owned(), String::new())).collect())
}

/// The unix sockets of the calling thread's network namespace that have `tandem` in their names.
pub(super) fn sockets() -> io::Result<Vec<(String, String)>> {
    let text = fs::read_to_string("/proc/thread-self/net/unix")?;
    let names = text.lines().filter_map(|line| line.split_whitespace().nth(7)).filter(|name| name.contains("tandem"));
    let others: Vec<PathBuf> = living_runs(Path::new("/run/tandem"));
    let own = |name: &&str| !others.iter().any(|run| Path::new(name).starts_with(run));
    Ok(names.filter(own).map(|name| (name.to_owned(), String::new())).collect())
}

/// The files below `top`, without those of runs that live.
pub(super) fn files(top: &Path) -> Vec<(String, String)> {
    let base = top.join("tandem");
    let living = living_runs(&base);
    let mut found = Vec::new();
    walk(top, &mut |path, meta| {
        let theirs = living.iter().any(|run| run == path) || (path == base && !living.is_empty());
        if !theirs {
            found.push((path.display().to_string(), kind(meta)));
        }
        !living.iter().any(|run| run == path)
    });
    found
}

/// The device nodes below `/dev`, without terminals, which come and go.
pub(super) fn devices() -> Vec<(String, String)> {
    let mut found = Vec::new();
    walk(Path::new("/dev"), &mut |path, meta| {
        let kind = meta.file_type();
        if kind.is_char_device() || kind.is_block_device() {
            let value = format!("{:o} {}:{} {:x}", meta.mode(), meta.uid(), meta.gid(), meta.rdev());
            found.push((path.display().to_string(), value));
        }
        path != Path::new("/dev/pts") && path != Path::new("/dev/shm")
    });
    found
}

/// All sysctls that can be read.
pub(super) fn sysctls() -> Vec<(String, String)> {
    let top = Path::new("/proc/sys");
    let mut found = Vec::new();
    walk(top, &mut |path, meta| {
        let name = path.strip_prefix(top).unwrap_or(path).display().to_string();
        let restless = RESTLESS.iter().any(|restless| name.starts_with(restless));
        if meta.is_file()
            && !restless
            && let Ok(value) = fs::read(path)
        {
            found.push((name, String::from_utf8_lossy(&value).trim().to_owned()));
        }
        true
    });
    found
}

/// The directories of runs whose drivers live.
fn living_runs(base: &Path) -> Vec<PathBuf> {
    let lives = |run: &PathBuf| {
        let lock = File::open(run.join("lock"));
        lock.is_ok_and(|lock| flock(&lock, FlockOperation::NonBlockingLockShared).is_err())
    };
    fs::read_dir(base).into_iter().flatten().flatten().map(|entry| entry.path()).filter(lives).collect()
}

/// Visits what lies below a directory, in no particular order; the visitor says whether to go deeper.
fn walk(directory: &Path, visit: &mut impl FnMut(&Path, &fs::Metadata) -> bool) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let Ok(meta) = entry.metadata() else { continue };
        if visit(&entry.path(), &meta) && meta.is_dir() {
            walk(&entry.path(), visit);
        }
    }
}

fn kind(meta: &fs::Metadata) -> String {
    let kind = meta.file_type();
    let word = if kind.is_dir() {
        "directory"
    } else if kind.is_socket() {
        "socket"
    } else if kind.is_file() {
        "file"
    } else {
        "special file"
    };
    word.into()
}
