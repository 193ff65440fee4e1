//! Processes that no pid namespace holds, and that are found by a mark in their environment: where this process can make no namespaces.

use std::fs;
use std::io;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal};

use super::directory::random_name;
use super::privilege::{MARK, Privilege, privilege};

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
        end_with(&format!("{MACHINE}={}", self.0), patience)
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        kill(&format!("{MACHINE}={}", self.0));
    }
}

/// Kills the processes that this driver has started, and returns whether all are gone after `patience`. Where there are namespaces there are
/// none.
pub(super) fn end_all(patience: Duration) -> bool {
    let Privilege::None { mark: Some(mark), .. } = privilege() else { return true };
    end_with(&format!("{MARK}={mark}"), patience)
}

fn end_with(word: &str, patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    // Again, until none has started another one meanwhile.
    while kill(word) > 0 {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

/// Kills all processes with this word in their environment, and returns how many there were. Neither the driver nor its keepers have it there:
/// what `/proc` shows is the environment that a program was started with.
fn kill(word: &str) -> usize {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok().and_then(Pid::from_raw));
    pids.filter(|pid| {
        // Opened before the look, so that what is killed is what was looked at.
        let Ok(pidfd) = rustix::process::pidfd_open(*pid, PidfdFlags::empty()) else { return false };
        has(*pid, word) && rustix::process::pidfd_send_signal(pidfd, Signal::KILL).is_ok()
    })
    .count()
}

/// Whether a living process was started with this word in its environment; one that has ended has none any more.
fn has(pid: Pid, word: &str) -> bool {
    let environment = fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero())).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|found| found == word.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn processes_are_found_by_their_environment() {
        let word = format!("{MARK}=test-{}", std::process::id());
        let (name, value) = word.split_once('=').unwrap();
        let mut marked = Command::new("sleep").arg("60").env(name, value).spawn().unwrap();
        let mut other = Command::new("sleep").arg("60").env(name, format!("{value}x")).spawn().unwrap();
        assert_eq!(kill(&word), 1);
        assert!(!marked.wait().unwrap().success());
        assert_eq!(kill(&word), 0);
        assert!(other.try_wait().unwrap().is_none());
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
