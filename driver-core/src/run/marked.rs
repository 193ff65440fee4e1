//! Processes that no pid namespace holds, and that are found by a mark in their environment: where this process can make no namespaces.

use std::fs;
use std::io;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal};

use super::directory::random_name;
use super::privilege::{BETWEEN, MARK, Privilege, privilege};

/// In the environment of what is started for one machine.
const MACHINE: &str = "TANDEM_MACHINE";

/// A mark of the processes that are started for one machine. Dropping it kills those that are there.
#[derive(Debug)]
pub struct Mark(String);

impl Mark {
    /// Makes one that nobody else has.
    pub fn new() -> io::Result<Self> {
        Ok(Self(random_name()?))
    }

    /// The variable that all of them have: whatever they start has it, too, unless it is taken away.
    pub fn variable(&self) -> (&'static str, &str) {
        (MACHINE, &self.0)
    }

    /// Kills them, and returns whether all are gone after `patience`. Blocks.
    pub fn end(&self, patience: Duration) -> bool {
        end_with(MACHINE, &self.0, patience)
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        kill(MACHINE, &self.0);
    }
}

/// Kills the processes that this driver has started, and returns whether all are gone after `patience`. Where there are namespaces there are
/// none.
pub(super) fn end_all(patience: Duration) -> bool {
    let Privilege::None { mark: Some(mark), .. } = privilege() else { return true };
    end_with(MARK, mark, patience)
}

/// The same for a driver that is gone, by its mark.
pub(super) fn end_of_driver(mark: &str, patience: Duration) -> bool {
    // An empty one would be that of all.
    mark.is_empty() || end_with(MARK, mark, patience)
}

fn end_with(variable: &str, mark: &str, patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    let mut without = 0;
    // Again, until none has started another one meanwhile, and twice: one that is just being started has the environment of its parent.
    while without < 2 {
        without = if kill(variable, mark) == 0 { without + 1 } else { 0 };
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    true
}

/// Kills all processes with this mark in their environment, and returns how many there were. Neither the driver whose mark it is nor its keepers
/// have it there: what `/proc` shows is the environment that a program was started with.
fn kill(variable: &str, mark: &str) -> usize {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok().and_then(Pid::from_raw));
    pids.filter(|pid| {
        // Opened before the look, so that what is killed is what was looked at.
        let Ok(pidfd) = rustix::process::pidfd_open(*pid, PidfdFlags::empty()) else { return false };
        has(*pid, variable, mark) && rustix::process::pidfd_send_signal(pidfd, Signal::KILL).is_ok()
    })
    .count()
}

/// Whether a living process was started with this mark in its environment, alone or among others; one that has ended has none any more.
fn has(pid: Pid, variable: &str, mark: &str) -> bool {
    let environment = fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero())).unwrap_or_default();
    let value = |entry: &[u8]| entry.strip_prefix(variable.as_bytes())?.strip_prefix(b"=").map(<[u8]>::to_vec);
    let marks = environment.split(|byte| *byte == 0).find_map(value).unwrap_or_default();
    String::from_utf8_lossy(&marks).split(BETWEEN).any(|found| found == mark)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn processes_are_found_by_their_environment() {
        let mark = format!("test-{}", std::process::id());
        let start = |value: String| Command::new("sleep").arg("60").env(MARK, value).spawn().unwrap();
        // The second is of a driver that one with this mark has started.
        let mut marked = [start(mark.clone()), start(format!("{mark}{BETWEEN}inner"))];
        let mut others = [start(format!("{mark}x")), start(format!("outer{BETWEEN}other"))];
        assert_eq!(kill(MARK, &mark), 2);
        assert!(marked.iter_mut().all(|process| !process.wait().unwrap().success()));
        assert_eq!(kill(MARK, &mark), 0);
        assert!(others.iter_mut().all(|process| process.try_wait().unwrap().is_none()));
        for process in &mut others {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }
}
