//! The container's console: what systemd-nspawn prints, line by line, and what is typed at it.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use driver_core::console::Console;
use driver_core::log::harmless;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::pipe;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Longest line in bytes; a longer one is cut into several, so that a container cannot fill the driver's memory with one.
const LINE_MAX: u64 = 64 * 1024;

/// How long typed bytes may wait until they are taken.
const PATIENCE: Duration = Duration::from_secs(10);

/// Follows a console to its end in a task of its own.
pub(crate) fn follow(output: OwnedFd, console: Console) -> io::Result<JoinHandle<()>> {
    let mut reader = BufReader::new(pipe::Receiver::from_owned_fd(output)?);
    Ok(tokio::spawn(async move {
        let mut line = Vec::new();
        loop {
            line.clear();
            match (&mut reader).take(LINE_MAX).read_until(b'\n', &mut line).await {
                Ok(0) | Err(_) => break,
                Ok(_) => console.push(clean(&line)),
            }
        }
    }))
}

/// The input of a console. It must stay open while the container runs: systemd-nspawn ends with its standard input.
#[derive(Debug)]
pub(crate) struct Keyboard(Mutex<pipe::Sender>);

impl Keyboard {
    pub(crate) fn new(input: OwnedFd) -> io::Result<Self> {
        Ok(Self(Mutex::new(pipe::Sender::from_owned_fd(input)?)))
    }

    /// Types bytes, one call after another. Fails when nobody takes them for a while.
    pub(crate) async fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let write = async { self.0.lock().await.write_all(bytes).await };
        match timeout(PATIENCE, write).await {
            Ok(done) => done,
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "nothing in the machine reads from its console")),
        }
    }
}

/// The text of a line: no line end, no escape sequences, other control characters escaped, invalid UTF-8 replaced.
fn clean(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    harmless(&text.trim_end_matches(['\n', '\r']).replace('\r', "")).into_owned()
}
