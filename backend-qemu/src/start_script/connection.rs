//! The time between a start script's start and QEMU's connections.

use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use driver_core::console::Console;
use driver_core::log::harmless;
use driver_core::run::within;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Child;
use tokio::time::{Instant, sleep, timeout};

/// Longest line of the console in bytes; a longer one is cut into several.
const LINE_MAX: usize = 64 * 1024;

/// How often QEMU's own socket is looked for. QEMU makes it before it connects to the driver's, so once is enough as a rule.
const LOOK: Duration = Duration::from_millis(50);

/// A start script on its way to QEMU, and what it says meanwhile.
pub(super) struct Connecting<R> {
    pub(super) script: Child,
    pub(super) output: Output<R>,
    pub(super) began: Instant,
    /// How long all of its connections may take.
    pub(super) limit: Duration,
}

/// Why QEMU is not connected.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// In upstream's words.
    #[error("QEMU process exited with code {} before connecting to {socket} socket.", code(*.status))]
    Exited { socket: &'static str, status: ExitStatus },
    #[error("QEMU is not connected to {socket} socket (`boot-timeout`)")]
    Late { socket: &'static str },
    #[error("the connection of QEMU to {socket} socket: {error}")]
    Broken { socket: &'static str, error: io::Error },
}

impl<R: AsyncRead + Unpin> Connecting<R> {
    /// Waits for a connection for as long as the script runs and time is left.
    pub(super) async fn until<T>(
        &mut self,
        socket: &'static str,
        connection: impl Future<Output = io::Result<T>>,
    ) -> Result<T, Failure> {
        let left = self.limit.saturating_sub(self.began.elapsed());
        tokio::select! {
            connection = connection => connection.map_err(|error| Failure::Broken { socket, error }),
            status = self.script.wait() => Err(match status {
                Ok(status) => Failure::Exited { socket, status },
                Err(error) => Failure::Broken { socket, error },
            }),
            never = self.output.follow() => match never {},
            () = sleep(left) => Err(Failure::Late { socket }),
        }
    }
}

/// Connects to the socket that QEMU listens on, once it does.
pub(super) async fn connect(init: &OwnedFd, socket: &Path) -> io::Result<UnixStream> {
    loop {
        let path = socket.to_owned();
        match within(init, move || UnixStream::connect(path)).await {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                sleep(LOOK).await;
            }
            Err(error) => return Err(error),
            Ok(stream) => {
                stream.set_nonblocking(true)?;
                return Ok(stream);
            }
        }
    }
}

/// What a script says before it is QEMU.
pub(super) struct Output<R> {
    reader: R,
    console: Console,
    /// The line that has not ended yet.
    line: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Output<R> {
    pub(super) fn new(reader: R, console: Console) -> Self {
        Self { reader, console, line: Vec::new() }
    }

    /// Takes lines to the console until it is cancelled, which loses nothing.
    async fn follow(&mut self) -> std::convert::Infallible {
        while self.read().await {}
        // It has closed its output and goes on.
        std::future::pending().await
    }

    /// Takes the last lines to the console: to the end of the output, but no longer than `limit`.
    pub(super) async fn finish(mut self, limit: Duration) {
        let _ = timeout(limit, async { while self.read().await {} }).await;
        if !self.line.is_empty() {
            say(&self.console, &self.line);
        }
    }

    /// What is left to read, and the beginning of a line that was read already.
    pub(super) fn into_rest(self) -> (R, Vec<u8>) {
        (self.reader, self.line)
    }

    /// Reads some output; false at its end.
    async fn read(&mut self) -> bool {
        let mut piece = [0; 4096];
        let length = self.reader.read(&mut piece).await.unwrap_or(0);
        for byte in &piece[..length] {
            if *byte == b'\n' || self.line.len() == LINE_MAX {
                say(&self.console, &self.line);
                self.line.clear();
            }
            if *byte != b'\n' {
                self.line.push(*byte);
            }
        }
        length > 0
    }
}

fn say(console: &Console, line: &[u8]) {
    let text = String::from_utf8_lossy(line).trim_end().replace('\r', "");
    console.push(harmless(&text));
}

/// A status as Python has it: the negative number of a signal.
fn code(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| -signal)).unwrap_or(-1)
}

#[cfg(test)]
mod tests {
    use super::*;

    use driver_core::event::Recorder;

    #[tokio::test]
    async fn lines_come_to_the_console_as_they_are_said() {
        let console = Console::new(Recorder::new(Vec::new()));
        let text: &[u8] = b"Disk image do not exist,\r\n\x1b[1mcreating\x1b[0m...\n\nno end";
        Output::new(text, console.clone()).finish(Duration::from_secs(5)).await;
        assert_eq!(console.since(0), ["Disk image do not exist,", "creating...", "", "no end"]);
    }

    #[tokio::test]
    async fn a_line_without_end_is_cut() {
        let console = Console::new(Recorder::new(Vec::new()));
        let text = vec![b'x'; LINE_MAX + 1];
        Output::new(&text[..], console.clone()).finish(Duration::from_secs(5)).await;
        assert_eq!(console.since(0).iter().map(String::len).collect::<Vec<_>>(), [LINE_MAX, 1]);
    }

    #[test]
    fn the_words_are_upstreams() {
        let exited = |status| Failure::Exited { socket: "monitor", status }.to_string();
        let expected = |code| format!("QEMU process exited with code {code} before connecting to monitor socket.");
        assert_eq!(exited(ExitStatus::from_raw(3 << 8)), expected(3));
        assert_eq!(exited(ExitStatus::from_raw(9)), expected(-9));
    }
}
