//! The host's bash, in place of a guest's.

use std::io;
use std::path::Path;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process;

use crate::guest::{Command, Output};

/// Runs a command as a guest would: in a process group of its own, which ends with the deadline and with this future.
pub(super) async fn run(directory: &Path, command: Command) -> io::Result<Output> {
    let mut bash = process::Command::new("bash");
    bash.args(["--norc", "-c", &command.script]).current_dir(directory).process_group(0);
    bash.stdin(command.stdin.map_or_else(Stdio::null, Stdio::from));
    bash.stdout(command.stdout.map_or_else(Stdio::piped, Stdio::from));
    bash.stderr(Stdio::piped());
    let child = bash.spawn()?;
    // It holds copies of the descriptors that are the child's now.
    drop(bash);
    let mut group = Group(child.id().and_then(|id| Pid::from_raw(id.cast_signed())));
    let ended = child.wait_with_output();
    let output = match command.timeout {
        None => ended.await?,
        Some(limit) => match tokio::time::timeout(limit, ended).await {
            Ok(ended) => ended?,
            Err(_) => return Ok(Output { status: 124, ..Output::default() }),
        },
    };
    group.0 = None;
    Ok(Output { status: status(output.status), stdout: output.stdout, stderr: output.stderr })
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
