//! What the interpreter and its children print: one pipe for standard output and error, so that their order is kept.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};

use rustix::fs::OFlags;
use tokio::net::unix::pipe;

/// A line longer than this many bytes is cut.
const LONGEST: usize = 64 << 10;

/// How much one call hands out: what a full pipe holds. Whoever prints faster than it is recorded is held up by the pipe, and must not keep
/// the one that reads from everything else.
const AT_ONCE: usize = 64 << 10;

/// The reading end.
#[derive(Debug)]
pub(super) struct Output {
    pipe: pipe::Receiver,
    /// The beginning of a line whose end has not come yet.
    begun: Mutex<Vec<u8>>,
}

impl Output {
    /// A pipe: what is read from it, and the end to write to. Needs a runtime.
    pub(super) fn pipe() -> io::Result<(Self, OwnedFd)> {
        let (reading, writing) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        rustix::fs::fcntl_setfl(&reading, OFlags::NONBLOCK)?;
        Ok((Self { pipe: pipe::Receiver::from_owned_fd(reading)?, begun: Mutex::default() }, writing))
    }

    /// Hands out each complete line that has been printed by now. Does not wait, and leaves what is printed meanwhile.
    pub(super) fn drain(&self, line: impl FnMut(String)) {
        // Not the runtime's own read, which knows of new bytes only some time after they came.
        self.read(|buffer| Ok(rustix::io::read(&self.pipe, buffer)?), line);
    }

    /// The same, and what has been printed of a line without its end.
    pub(super) fn drain_all(&self, mut line: impl FnMut(String)) {
        self.drain(&mut line);
        let begun = std::mem::take(&mut *self.begun.lock().unwrap_or_else(PoisonError::into_inner));
        if !begun.is_empty() {
            line(text(&begun));
        }
    }

    /// Drains whenever something is printed. Never returns.
    pub(super) async fn pump(&self, mut line: impl FnMut(String)) -> std::convert::Infallible {
        while self.pipe.readable().await.is_ok() {
            // The runtime's own read, which makes it wait again when there is no more.
            let closed = self.read(|buffer| self.pipe.try_read(buffer), &mut line);
            if closed {
                break;
            }
            // Others wait in the same task, such as the clock of the run.
            tokio::task::yield_now().await;
        }
        std::future::pending().await
    }

    /// Reads until there is no more, or enough for once; whether all writers are gone.
    fn read(&self, mut read: impl FnMut(&mut [u8]) -> io::Result<usize>, mut line: impl FnMut(String)) -> bool {
        // Held while lines are handed out, so that two readers cannot mix them up.
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        let mut buffer = [0; 8 << 10];
        let mut taken = 0;
        while taken < AT_ONCE {
            match read(&mut buffer) {
                Ok(0) => return true,
                Ok(count) => {
                    taken += count;
                    begun.extend_from_slice(&buffer[..count]);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return false,
            }
            let mut rest = &begun[..];
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                line(text(&rest[..end]));
                rest = &rest[end + 1..];
            }
            let handed_out = begun.len() - rest.len();
            begun.drain(..handed_out);
            if begun.len() > LONGEST {
                line(text(&std::mem::take(&mut *begun)));
            }
        }
        false
    }
}

fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_handed_out_when_they_are_complete() {
        let (output, end) = Output::pipe().unwrap();
        let drained = || {
            let mut lines = Vec::new();
            output.drain(|line| lines.push(line));
            lines
        };
        rustix::io::write(&end, b"one\ntw").unwrap();
        assert_eq!(drained(), ["one"]);
        rustix::io::write(&end, b"o\r\n\xff\n").unwrap();
        assert_eq!(drained(), ["two", "\u{fffd}"]);
        rustix::io::write(&end, b"three").unwrap();
        assert!(drained().is_empty());
        let mut rest = Vec::new();
        output.drain_all(|line| rest.push(line));
        assert_eq!(rest, ["three"]);
    }

    #[tokio::test]
    async fn one_who_prints_without_end_holds_nobody_up() {
        let (output, end) = Output::pipe().unwrap();
        let printer = std::thread::spawn(move || while rustix::io::write(&end, &b"line\n".repeat(1000)).is_ok() {});
        let mut lines = 0;
        output.drain(|_| lines += 1);
        let pump = output.pump(|_| lines += 1);
        tokio::time::timeout(std::time::Duration::from_millis(300), pump).await.unwrap_err();
        output.drain_all(|_| lines += 1);
        assert!(lines > 0);
        drop(output);
        printer.join().unwrap();
    }

    #[tokio::test]
    async fn a_line_without_end_does_not_grow_for_ever() {
        let (output, end) = Output::pipe().unwrap();
        let mut longest = 0;
        for _ in 0..8 {
            rustix::io::write(&end, &vec![b'x'; 32 << 10]).unwrap();
            output.drain(|line| longest = longest.max(line.len()));
        }
        assert!(longest > LONGEST && longest < 2 * LONGEST);
    }
}
