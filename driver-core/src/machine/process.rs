//! A machine as a process.

use super::Machine;

/// What a machine is on the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Whether it takes commands right now.
    pub is_ready: bool,
    /// How many times something that takes commands has come up in it since its start.
    pub shells: u64,
    /// Its pid as processes of the run see it, if it runs as one process.
    pub pid: Option<u32>,
    /// The pid of its own pid 1 as processes of the run see it, if that is a process on this host.
    pub leader: Option<u32>,
}

impl Machine {
    /// What the machine is right now; nothing if it does not run.
    pub fn process(&self) -> Process {
        let Some(boot) = self.current() else { return Process::default() };
        let inside = |pid: Option<u32>| pid.and_then(|pid| self.shared.launch.pid_inside(pid));
        let (pid, leader) = (inside(boot.guest.pid()), inside(boot.guest.leader()));
        Process { is_ready: boot.is_ready(), shells: boot.guest.shells(), pid, leader }
    }
}
