//! Commands: a bash with the environment of root's login, entered into the machine's namespaces.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;

use driver_core::guest::{Command, Output};
use driver_core::run::within;
use nix::sched::{CloneFlags, setns};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::boot::Inside;

/// What runs a script that is in file 3, as a login of root's would: it may be longer than an argument can be.
const RUN: &str = "[ -r /etc/profile ] && . /etc/profile; eval \"exec 3<&-\n$(cat <&3)\"";

/// Runs a command to its end or its timeout. Its process group ends with this future.
pub(crate) async fn run(inside: &Arc<Inside>, env: &BTreeMap<String, String>, command: Command) -> io::Result<Output> {
    // Files, not pipes: what the command leaves in the background may hold them for as long as it likes.
    let (mut script, stdout, stderr) = (file(c"script")?, file(c"stdout")?, file(c"stderr")?);
    script.write_all(command.script.as_bytes())?;
    script.seek(SeekFrom::Start(0))?;
    let mut bash = tokio::process::Command::new("bash");
    bash.args(["--norc", "-c", RUN]).env_clear().envs([("USER", "root"), ("HOME", "/root"), ("LANG", "C.UTF-8")]);
    bash.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin").envs(env);
    bash.stdout(command.stdout.map_or_else(|| stdout.try_clone().map(Stdio::from), |given| Ok(given.into()))?);
    bash.stderr(stderr.try_clone()?);
    let (stdin, door) = (command.stdin, inside.clone());
    let mut child = within(&inside.init, move || {
        // Opened here, so that it is the machine's.
        bash.stdin(stdin.map_or_else(Stdio::null, Stdio::from));
        // SAFETY: only system calls are made between fork and exec, on descriptors that are open until then.
        unsafe { bash.pre_exec(move || enter(&door, &script)) };
        bash.spawn()
    })
    .await?;
    let mut group = Group(child.id().and_then(|id| Pid::from_raw(id.cast_signed())));
    let ended = match command.timeout {
        None => Some(child.wait().await?),
        Some(limit) => tokio::time::timeout(limit, child.wait()).await.ok().transpose()?,
    };
    if ended.is_some() {
        group.0 = None;
    }
    Ok(Output { status: ended.map_or(124, status), stdout: content(&stdout)?, stderr: content(&stderr)? })
}

/// Between fork and exec: joins what the thread that forked could not join for its children, and puts the script into place.
fn enter(inside: &Inside, script: &File) -> io::Result<()> {
    for mut cgroup in &inside.cgroups {
        cgroup.write_all(b"0")?;
    }
    setns(inside.init.as_fd(), CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWUTS | CloneFlags::CLONE_NEWIPC)?;
    // SAFETY: plain system calls.
    if unsafe { libc::setsid() < 0 || libc::dup2(script.as_raw_fd(), 3) < 0 || libc::fcntl(3, libc::F_SETFD, 0) < 0 } {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// An empty file in memory.
fn file(name: &CStr) -> io::Result<File> {
    Ok(memfd_create(name, MemfdFlags::CLOEXEC)?.into())
}

fn content(mut file: &File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn status(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

/// A process group that is killed on drop. Its leader must not have been waited for yet.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            // An error means that it is gone.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}
