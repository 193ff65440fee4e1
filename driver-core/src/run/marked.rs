//! The processes of a driver that has no pid namespace to end them by: they have its mark in their environment.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal};

use super::privilege::{MARK, Privilege, privilege};

/// Kills the processes that this driver has started, and returns whether all are gone after `patience`. Where there are namespaces there are
/// none.
pub(super) fn end_all(patience: Duration) -> bool {
    let Privilege::None { mark: Some(mark), .. } = privilege() else { return true };
    let word = format!("{MARK}={mark}");
    let deadline = Instant::now() + patience;
    // Again, until none has started another one meanwhile.
    while kill(&word) > 0 {
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
