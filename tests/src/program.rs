//! A program under test, in a pen, with a deadline.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
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
    streams: [JoinHandle<String>; 2],
}

/// How a program ended.
#[derive(Debug)]
pub struct Ended {
    /// Its status as a shell would have it.
    pub status: i32,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
    /// The pen, in which something may still run.
    pub pen: Pen,
    /// The directory that it ran in; removed with this value.
    pub directory: TempDir,
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
        let stdout = follow(child.stdout.take(), sender.clone());
        let stderr = follow(child.stderr.take(), sender);
        Ok(Self { child, pen, directory, lines, streams: [stdout, stderr] })
    }

    /// Waits until it writes this line; false if it ends, or does not, within `limit`.
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

    /// The directory that it runs in.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: rustix::process::Signal) -> io::Result<()> {
        let pid = rustix::process::Pid::from_child(&self.child);
        Ok(rustix::process::kill_process(pid, signal)?)
    }

    /// Waits for its end; kills it after `limit` and says so.
    pub fn wait(mut self, limit: Duration) -> io::Result<Ended> {
        let deadline = Instant::now() + limit;
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if Instant::now() > deadline {
                self.child.kill()?;
                self.child.wait()?;
                let said = self.streams.map(|stream| stream.join().unwrap_or_default()).concat();
                return Err(io::Error::other(format!("it still ran after {limit:?}; it said:\n{said}")));
            }
            thread::sleep(Duration::from_millis(5));
        };
        let status = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
        let [stdout, stderr] = self.streams.map(|stream| stream.join().unwrap_or_default());
        Ok(Ended { status, stdout, stderr, pen: self.pen, directory: self.directory })
    }
}

/// Reads a stream to its end in a thread of its own and passes its lines on meanwhile.
fn follow(stream: Option<impl Read + Send + 'static>, lines: Sender<String>) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut text = String::new();
        let Some(stream) = stream else { return text };
        let mut stream = BufReader::new(stream);
        let mut line = Vec::new();
        while stream.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            let said = String::from_utf8_lossy(&line);
            text.push_str(&said);
            // Nobody may be listening any more.
            let _ = lines.send(said.trim_end().to_owned());
            line.clear();
        }
        text
    })
}
