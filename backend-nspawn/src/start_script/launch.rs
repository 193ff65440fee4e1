//! From the driver's process to a running start script.
//!
//! Three forks: the **shim** waits for the init and hands its exit status to the driver; the **init** is pid 1 of a pid namespace of its own,
//! prepares what the script finds, and ends with the script and with its status; the **script** is its child, so that signals reach it as
//! they reach any program.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::PathBuf;

use driver_core::process::Child;
use nix::sched::{CloneFlags, setns, unshare};
use rustix::process::pidfd_open;

use super::preparations;
use crate::door;
use crate::launch::{at, leave_door};
use crate::wires::Theirs;

/// Everything that the children need, made before they are forked.
pub(super) struct Launch {
    pub(super) script: PathBuf,
    /// All of the script's environment.
    pub(super) environment: Vec<CString>,
    /// Its working directory, and the container's root directory.
    pub(super) state: PathBuf,
    /// Its network namespace.
    pub(super) network: OwnedFd,
    /// The machine's cgroup in each hierarchy.
    pub(super) cgroups: Vec<PathBuf>,
    pub(super) wires: Theirs,
}

impl Launch {
    /// The descriptors that the children keep.
    fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        let Theirs { console, typed, door, gate } = &self.wires;
        [console, typed, door, gate, &self.network].into_iter().map(AsRawFd::as_raw_fd)
    }
}

/// A start script that is about to start.
#[derive(Debug)]
pub(super) struct Launched {
    /// Ends with the init and with its status.
    pub(super) shim: Child,
    /// A pidfd of the init; killing it ends the whole container.
    pub(super) init: OwnedFd,
    /// A pidfd of the script comes from it once that is executed; else it says why not.
    pub(super) report: OwnedFd,
}

/// Forks shim and init. To be called inside the run's namespaces.
pub(super) fn start(launch: Launch) -> io::Result<Launched> {
    let (report, ours) = rustix::net::socketpair(
        rustix::net::AddressFamily::UNIX,
        rustix::net::SocketType::SEQPACKET,
        rustix::net::SocketFlags::CLOEXEC,
        None,
    )?;
    let mut keep: Vec<RawFd> = vec![ours.as_raw_fd()];
    keep.extend(launch.descriptors());
    let mut launch = Some(launch);
    // SAFETY: `shim` allocates and makes system calls, no more, and so do its children until they execute a program.
    let mut shim = unsafe { Child::fork(&keep, || launch.take().map_or(1, |launch| shim(launch, ours.as_raw_fd())))? };
    drop((launch, ours));
    let mut said = [0; 4096];
    let (length, mut fds) = door::receive(report.as_fd(), &mut said)?;
    if let Some(init) = fds.pop() {
        return Ok(Launched { shim, init, report });
    }
    shim.wait_blocking()?;
    Err(io::Error::other(String::from_utf8_lossy(&said[..length]).into_owned()))
}

/// The shim's life.
fn shim(launch: Launch, report: RawFd) -> i32 {
    use std::os::fd::FromRawFd;
    // SAFETY: the descriptor is this process's own copy, which nothing else closes: the process ends by `_exit`.
    let report = unsafe { OwnedFd::from_raw_fd(report) };
    // SAFETY: plain system calls. A session of its own keeps the terminal's Ctrl-C away from the machine.
    unsafe {
        libc::setsid();
        libc::prctl(libc::PR_SET_NAME, c"tandem-shim".as_ptr());
    }
    if let Err(errno) = unshare(CloneFlags::CLONE_NEWPID) {
        return told(&report, &format!("make a pid namespace: {}", errno.desc()));
    }
    let mut keep: Vec<RawFd> = vec![report.as_raw_fd()];
    keep.extend(launch.descriptors());
    let mut launch = Some(launch);
    // SAFETY: see `start`.
    let forked = unsafe { Child::fork(&keep, || launch.take().map_or(1, |launch| init(launch, &report))) };
    drop(launch);
    match forked {
        Err(error) => told(&report, &error.to_string()),
        Ok(mut init) => {
            if door::send(report.as_fd(), b"started", &[init.as_fd()]).is_err() {
                return 1;
            }
            // From here on only the init says something.
            drop(report);
            init.wait_blocking().unwrap_or(1)
        }
    }
}

fn told(report: &OwnedFd, text: &str) -> i32 {
    let _ = door::send(report.as_fd(), text.as_bytes(), &[]);
    1
}

/// Pid 1 of the machine's pid namespace.
fn init(launch: Launch, report: &OwnedFd) -> i32 {
    // SAFETY: a plain system call.
    unsafe { libc::prctl(libc::PR_SET_NAME, c"tandem-machine".as_ptr()) };
    let script = match prepare(&launch).and_then(|()| execute(&launch)) {
        Err(error) => return told(report, &error.to_string()),
        Ok(script) => script,
    };
    // The console shall end with the script and what it left.
    drop(launch);
    let pid = rustix::process::Pid::from_raw(script);
    let pidfd =
        pid.ok_or(rustix::io::Errno::SRCH).and_then(|pid| pidfd_open(pid, rustix::process::PidfdFlags::empty()));
    let told =
        pidfd.map_err(io::Error::from).and_then(|pidfd| door::send(report.as_fd(), b"executed", &[pidfd.as_fd()]));
    if told.is_err() {
        return 1;
    }
    reap_until(script)
}

/// Joins what the driver has made for the script, and leaves a door behind.
fn prepare(launch: &Launch) -> io::Result<()> {
    // The gate opens when the driver has seen this process; where it stays shut the driver is gone.
    if rustix::io::read(&launch.wires.gate, &mut [0; 1])? == 0 {
        return Err(io::Error::other("the driver ended"));
    }
    for cgroup in &launch.cgroups {
        let procs = cgroup.join("cgroup.procs");
        fs::write(&procs, "0").map_err(|error| at("enter the cgroup", cgroup, error))?;
    }
    setns(&launch.network, CloneFlags::CLONE_NEWNET)?;
    unshare(CloneFlags::CLONE_NEWNS)?;
    preparations::make(&launch.state)?;
    leave_door(&launch.wires.door)
}

/// Starts the script and returns its pid.
fn execute(launch: &Launch) -> io::Result<i32> {
    let program = CString::new(launch.script.as_os_str().as_encoded_bytes())?;
    let (failure, failed) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    // SAFETY: the child only makes system calls until it executes the script. In the init nothing else runs.
    let pid = unsafe { libc::fork() };
    if pid == -1 {
        return Err(io::Error::last_os_error());
    }
    if pid == 0 {
        let errno = become_script(launch, &program);
        let _ = rustix::io::write(&failed, &errno.to_ne_bytes());
        // SAFETY: nothing of the init's copy is to run.
        unsafe { libc::_exit(127) }
    }
    drop(failed);
    let mut errno = [0; 4];
    if rustix::io::read(&failure, &mut errno)? < errno.len() {
        return Ok(pid);
    }
    let error = io::Error::from_raw_os_error(i32::from_ne_bytes(errno));
    let cure = match error.raw_os_error() {
        Some(libc::ENOEXEC) => "; its first line must name the program that runs it, such as `#!/bin/sh`",
        Some(libc::ENOENT) => "; is the program there that its first line names?",
        _ => "",
    };
    Err(io::Error::new(error.kind(), format!("{}{cure}", at("execute", &launch.script, error))))
}

/// Executes the script; returns why it could not.
fn become_script(launch: &Launch, program: &CString) -> i32 {
    let execute = || -> nix::Result<std::convert::Infallible> {
        let failed = |errno: rustix::io::Errno| nix::errno::Errno::from_raw(errno.raw_os_error());
        rustix::stdio::dup2_stdin(&launch.wires.typed).map_err(failed)?;
        rustix::stdio::dup2_stdout(&launch.wires.console).map_err(failed)?;
        rustix::stdio::dup2_stderr(&launch.wires.console).map_err(failed)?;
        // SAFETY: plain system calls. Every other descriptor is closed by the execution.
        unsafe {
            libc::setsid();
            libc::umask(0o022);
        }
        nix::unistd::chdir(&launch.state)?;
        nix::unistd::execve(program, &[program], &launch.environment)
    };
    match execute() {
        Ok(never) => match never {},
        Err(errno) => errno as i32,
    }
}

/// Collects ended processes until `script` has ended, and returns its status as a shell would have it.
fn reap_until(script: i32) -> i32 {
    let mut status = 0;
    loop {
        // SAFETY: a plain system call on this process's own children.
        match unsafe { libc::waitpid(-1, &raw mut status, 0) } {
            -1 if io::Error::last_os_error().raw_os_error() == Some(libc::EINTR) => {}
            -1 => return 1,
            pid if pid == script && libc::WIFEXITED(status) => return libc::WEXITSTATUS(status),
            pid if pid == script => return 128 + libc::WTERMSIG(status),
            _ => {}
        }
    }
}
