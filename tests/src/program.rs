//! A program under test, in a pen, with a deadline.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::pen::Pen;

/// A program that runs in a pen of its own and in a directory of its own.
#[derive(Debug)]
pub struct Program {
    child: Child,
    /// Where everything that it starts is.
    pub pen: Pen,
    directory: TempDir,
    lines: Receiver<String>,
    errors: thread::JoinHandle<String>,
}

/// How a program ended.
#[derive(Debug)]
pub struct Ended {
    /// Its status as a shell would have it.
    pub status: i32,
    /// What it wrote to standard output and nobody has read yet.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl Program {
    /// Starts `program` in a directory that holds these files.
    pub fn start(program: &str, args: &[&str], files: &[(&str, &str)]) -> io::Result<Self> {
        let directory = tempfile::Builder::new().prefix("tandem-test-").tempdir()?;
        for (name, content) in files {
            fs::write(directory.path().join(name), content)?;
        }
        let pen = Pen::new()?;
        let mut command = Command::new(program);
        command.args(args.iter().map(OsStr::new)).current_dir(directory.path()).env("NO_COLOR", "1");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        pen.confine(&mut command)?;
        let mut child = command.spawn()?;
        let (sender, lines) = channel();
        if let Some(stdout) = child.stdout.take() {
            thread::spawn(move || BufReader::new(stdout).lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        }
        let stderr = child.stderr.take();
        let errors = thread::spawn(move || {
            let mut text = Vec::new();
            let _ = stderr.map(|mut stderr| stderr.read_to_end(&mut text));
            String::from_utf8_lossy(&text).into_owned()
        });
        Ok(Self { child, pen, directory, lines, errors })
    }

    /// The directory that it runs in.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Waits until it writes this line to standard output; false if it ends, or does not, within `limit`.
    pub fn says(&self, wanted: &str, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if line == wanted => return true,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: rustix::process::Signal) -> io::Result<()> {
        let pid = rustix::process::Pid::from_child(&self.child);
        Ok(rustix::process::kill_process(pid, signal)?)
    }

    /// Waits for its end; kills it after `limit` and says so.
    pub fn wait(mut self, limit: Duration) -> io::Result<(Ended, Pen)> {
        let deadline = Instant::now() + limit;
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if Instant::now() > deadline {
                self.child.kill()?;
                self.child.wait()?;
                let said = self.errors.join().unwrap_or_default();
                return Err(io::Error::other(format!("it still ran after {limit:?}; it said:\n{said}")));
            }
            thread::sleep(Duration::from_millis(5));
        };
        let status = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
        let stdout = self.lines.iter().fold(String::new(), |text, line| text + &line + "\n");
        Ok((Ended { status, stdout, stderr: self.errors.join().unwrap_or_default() }, self.pen))
    }
}
