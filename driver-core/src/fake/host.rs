//! The host's bash, in place of a guest's.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::Stdio;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process;

use crate::guest::{Command, Output};

/// Longer scripts travel by file: the kernel bounds one argument to 128 KiB (execve(2)).
const SCRIPT_MAX: usize = 96 * 1024;

/// Runs a command as a guest would: in a process group of its own, which ends with the deadline and with this future.
pub(super) async fn run(directory: &Path, command: Command) -> io::Result<Output> {
    // Files, not pipes: what the command leaves in the background may hold them for as long as it likes.
    let (stdout, stderr) = (file(c"stdout")?, file(c"stderr")?);
    let mut bash = process::Command::new("bash");
    bash.arg("--norc").current_dir(directory).process_group(0);
    let mut script = file(c"script")?;
    if command.script.len() > SCRIPT_MAX {
        script.write_all(command.script.as_bytes())?;
        bash.arg(format!("/proc/{}/fd/{}", std::process::id(), script.as_raw_fd()));
    } else {
        bash.args(["-c", &command.script]);
    }
    bash.stdin(command.stdin.map_or_else(Stdio::null, Stdio::from));
    bash.stdout(command.stdout.map_or_else(|| stdout.try_clone().map(Stdio::from), |given| Ok(given.into()))?);
    bash.stderr(stderr.try_clone()?);
    let mut child = bash.spawn()?;
    // It holds copies of the descriptors that are the child's now.
    drop(bash);
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

/// An empty file in memory.
fn file(name: &CStr) -> io::Result<File> {
    Ok(memfd_create(name, MemfdFlags::CLOEXEC)?.into())
}

/// All that is in a file.
fn content(mut file: &File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn status(status: std::process::ExitStatus) -> i32 {
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
