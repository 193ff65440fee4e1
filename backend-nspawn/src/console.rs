//! The container's console: what systemd-nspawn prints, line by line, and what is typed at it.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use driver_core::console::Console;
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long typed bytes may wait until they are taken.
const PATIENCE: Duration = Duration::from_secs(10);

/// Follows a console to its end in a task of its own.
pub(crate) fn follow(output: OwnedFd, console: Console) -> io::Result<JoinHandle<()>> {
    let output = pipe::Receiver::from_owned_fd(output)?;
    Ok(tokio::spawn(driver_core::console::follow(output, console, |_| ())))
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
