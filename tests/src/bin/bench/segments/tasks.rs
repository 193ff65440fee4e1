//! The threads that take part: those of this program, and those of the programs that it has started.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::time::Duration;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use super::endpoint::Result;

/// What the threads of this program that move frames are called: those of switches, and those between taps and sockets.
const MOVERS: [&str; 2] = ["lan-", "adapter"];

/// A thread, by its directory below `/proc`.
struct Task {
    directory: String,
    id: Pid,
    /// Whether it is one of this program.
    own: bool,
}

fn tasks() -> io::Result<Vec<Task>> {
    let mut tasks = threads("self", true)?;
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        if let Some(process) = name.to_str().filter(|name| is_child(name)) {
            tasks.extend(threads(process, false).unwrap_or_default());
        }
    }
    Ok(tasks)
}

fn is_child(process: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The parent is the second field behind the name, which can have anything in it.
    let parent = stat.rsplit_once(')').and_then(|(_, fields)| fields.split_whitespace().nth(1));
    parent.is_some_and(|parent| parent == std::process::id().to_string())
}

fn threads(process: &str, own: bool) -> io::Result<Vec<Task>> {
    let mut threads = Vec::new();
    for entry in fs::read_dir(format!("/proc/{process}/task"))? {
        let name = entry?.file_name();
        let Some(id) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        threads.push(Task { directory: format!("/proc/{process}/task/{id}"), id: Pid::from_raw(id), own });
    }
    Ok(threads)
}

/// The processor time of each thread that moves frames, so far.
#[derive(Default)]
pub(super) struct Spent(HashMap<i32, u64>);

impl Spent {
    pub(super) fn now() -> Result<Self> {
        let mut times = HashMap::new();
        for task in tasks()? {
            let name = fs::read_to_string(format!("{}/comm", task.directory)).unwrap_or_default();
            if !task.own || MOVERS.iter().any(|mover| name.starts_with(mover)) {
                // One that has just ended is of an earlier measurement.
                let Ok(times_of_task) = fs::read_to_string(format!("{}/schedstat", task.directory)) else { continue };
                let time = times_of_task.split_whitespace().next().ok_or("no times")?.parse()?;
                times.insert(task.id.as_raw(), time);
            }
        }
        Ok(Self(times))
    }

    /// What the threads that are there now have taken since `before`.
    pub(super) fn since(&self, before: &Self) -> Duration {
        let since = |(id, time): (&i32, &u64)| time - before.0.get(id).copied().unwrap_or(0);
        Duration::from_nanos(self.0.iter().map(since).sum())
    }
}

/// Has everything run on one processor until this is dropped. Else a round trip takes ten times as long whenever the kernel puts two sides
/// apart: that is what waking a processor takes.
pub(super) struct OnOneProcessor(CpuSet);

impl OnOneProcessor {
    pub(super) fn new() -> Result<Self> {
        let allowed = sched_getaffinity(Pid::this())?;
        let first = (0..CpuSet::count()).find(|&cpu| allowed.is_set(cpu) == Ok(true)).ok_or("no processor")?;
        let mut only = CpuSet::new();
        only.set(first)?;
        let this = Self(allowed);
        set(&only)?;
        Ok(this)
    }
}

impl Drop for OnOneProcessor {
    fn drop(&mut self) {
        let _ = set(&self.0);
    }
}

/// Threads that end meanwhile need it no more.
fn set(processors: &CpuSet) -> io::Result<()> {
    for task in tasks()? {
        let _ = sched_setaffinity(task.id, processors);
    }
    Ok(())
}
