//! A shell on a pseudo-terminal, to which the terminal here is joined.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use rustix::pty::OpenptFlags;
use rustix::termios::{LocalModes, OptionalActions, isatty, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};
use serde_json::json;

use super::Failure;
use super::client::Client;
use super::signals::{self, Signals};
use crate::output::say;
use crate::repl::Foreground;

/// Ctrl-], three times of which leave the shell.
const LEAVE: u8 = 0x1d;

/// Ctrl-D.
const END_OF_INPUT: u8 = 0x04;

/// How often a shell hears that nothing more is going to be typed: one that has just taken over the terminal does not know of what came before.
const REMINDER: Duration = Duration::from_millis(500);

/// Opens the shell; returns its status.
pub(super) fn shell(mut client: Client, machine: &str) -> Result<i32, Failure> {
    let signals = Signals::listen()?;
    let (master, slave, path) = pseudo_terminal()?;
    // Puts the terminal back when it is dropped, and even if this process is killed.
    let foreground = Foreground::of_stdin()?;
    if foreground.is_some() {
        resize(master.as_fd());
        let mut modes = tcgetattr(io::stdin())?;
        modes.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Now, &modes)?;
    } else {
        // Nobody types.
        let mut modes = tcgetattr(&slave)?;
        modes.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&slave, OptionalActions::Now, &modes)?;
    }
    let term = std::env::var("TERM").unwrap_or_else(|_| "dumb".into());
    client.call("Shell", &json!({"machine": machine, "terminal": path, "term": term}))?;
    let joint = Joint { master, pending: Vec::new(), typed: true, leave: Leave::default() };
    let ended = joint.pass_on(&mut client, &signals);
    drop(foreground);
    drop(slave);
    if matches!(ended, Ok(None)) {
        say(format_args!("left the shell of machine {machine}"));
    }
    ended.map(Option::unwrap_or_default)
}

/// Both sides of a new pseudo-terminal, and the path of the one for the shell.
fn pseudo_terminal() -> Result<(OwnedFd, OwnedFd, String), Failure> {
    let master = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    rustix::pty::grantpt(&master)?;
    rustix::pty::unlockpt(&master)?;
    let path = rustix::pty::ptsname(&master, Vec::new())?.to_string_lossy().into_owned();
    fcntl_setfl(&master, fcntl_getfl(&master)? | OFlags::NONBLOCK)?;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    // Held open, so that the terminal lives until the shell has taken it, and until all that it has said was shown.
    let slave = rustix::fs::open(&*path, flags, Mode::empty())?;
    Ok((master, slave, path))
}

/// Gives the shell's terminal the size of the window here.
fn resize(master: BorrowedFd<'_>) {
    if let Ok(size) = tcgetwinsize(io::stdin()) {
        let _ = tcsetwinsize(master, size);
    }
}

/// Passes on what is typed and shown.
struct Joint {
    master: OwnedFd,
    /// What was typed and is not taken yet.
    pending: Vec<u8>,
    /// Whether more may be typed.
    typed: bool,
    leave: Leave,
}

impl Joint {
    /// Until the shell has ended, with its status, or until somebody leaves it.
    fn pass_on(mut self, client: &mut Client, signals: &Signals) -> Result<Option<i32>, Failure> {
        let stdin = io::stdin();
        let pause = Timespec::try_from(REMINDER).ok();
        let mut buffer = [0; 1 << 14];
        let mut quiet_since = Instant::now();
        loop {
            // What was typed is taken before more is read.
            let of_master = if self.pending.is_empty() { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT };
            let mut fds = vec![
                PollFd::from_borrowed_fd(self.master.as_fd(), of_master),
                PollFd::from_borrowed_fd(client.as_fd(), PollFlags::IN),
                PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN),
            ];
            let reads = self.typed && self.pending.is_empty();
            if reads {
                fds.push(PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN));
            }
            match poll(&mut fds, pause.as_ref().filter(|_| !self.typed)) {
                Err(Errno::INTR) => continue,
                other => other?,
            };
            let is = |index: usize| fds.get(index).is_some_and(|fd| !fd.revents().is_empty());
            let (shown, answered, signalled, typed) = (is(0), is(1), is(2), is(3));
            // The run tells now and then that its call goes on, so there is always something to be read.
            if !self.typed && self.pending.is_empty() && quiet_since.elapsed() >= REMINDER {
                self.pending.push(END_OF_INPUT);
                quiet_since = Instant::now();
            }
            if signalled {
                match signals.next() {
                    Some(Signal::SIGWINCH) => resize(self.master.as_fd()),
                    Some(signal) => return Err(signals::end(signal)),
                    None => {}
                }
            }
            if typed && self.read(&mut buffer)? {
                return Ok(None);
            }
            self.write()?;
            if shown && self.show(&mut buffer)? {
                quiet_since = Instant::now();
            }
            if answered && let Some(answer) = client.answer()? {
                while self.show(&mut buffer)? {}
                return Ok(Some(answer.status));
            }
        }
    }

    /// Takes what is typed; true if that is to leave.
    fn read(&mut self, buffer: &mut [u8]) -> Result<bool, Failure> {
        match rustix::io::read(io::stdin(), &mut *buffer) {
            Ok(0) => {
                self.typed = false;
                self.pending.push(END_OF_INPUT);
                Ok(false)
            }
            Ok(length) => {
                self.pending.extend_from_slice(&buffer[..length]);
                Ok(isatty(io::stdin()) && self.leave.typed(&buffer[..length], Instant::now()))
            }
            Err(Errno::INTR | Errno::AGAIN) => Ok(false),
            Err(errno) => Err(Failure::Broken(format!("nothing can be typed any more: {errno}"))),
        }
    }

    /// Hands on what was typed, as much as is taken.
    fn write(&mut self) -> Result<(), Failure> {
        while !self.pending.is_empty() {
            match rustix::io::write(&self.master, &self.pending) {
                Ok(length) => drop(self.pending.drain(..length)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    /// Shows what there is of it; whether there was something.
    fn show(&self, buffer: &mut [u8]) -> Result<bool, Failure> {
        let length = match rustix::io::read(&self.master, &mut *buffer) {
            Ok(length) => length,
            Err(Errno::AGAIN | Errno::INTR | Errno::IO) => 0,
            Err(errno) => return Err(errno.into()),
        };
        let shown = io::Write::write_all(&mut Unbuffered, &buffer[..length]);
        shown.map_err(|error| Failure::Broken(format!("nothing can be shown any more: {error}")))?;
        Ok(length > 0)
    }
}

/// Standard output without lines in it.
struct Unbuffered;

impl io::Write for Unbuffered {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match rustix::io::write(io::stdout(), bytes) {
            // Somebody shares the terminal and likes it so.
            Err(Errno::AGAIN) => {
                let stdout = io::stdout();
                let _ = poll(&mut [PollFd::new(&stdout, PollFlags::OUT)], None);
                Err(io::ErrorKind::Interrupted.into())
            }
            other => Ok(other?),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Counts how often the key was typed that leaves.
#[derive(Debug, Default)]
struct Leave {
    times: Vec<Instant>,
}

impl Leave {
    /// Whether it was now typed three times in a row, within a second.
    fn typed(&mut self, bytes: &[u8], now: Instant) -> bool {
        for byte in bytes {
            if *byte == LEAVE {
                self.times.push(now);
            } else {
                self.times.clear();
            }
        }
        self.times.retain(|time| now.duration_since(*time) < Duration::from_secs(1));
        self.times.len() >= 3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_times_within_a_second_leave() {
        let began = Instant::now();
        let after = |milliseconds| began + Duration::from_millis(milliseconds);
        let mut leave = Leave::default();
        assert!(!leave.typed(b"\x1d", after(0)));
        assert!(!leave.typed(b"\x1d", after(600)));
        assert!(!leave.typed(b"\x1d", after(1100)));
        assert!(!leave.typed(b"x", after(1200)));
        assert!(!leave.typed(b"\x1d\x1d", after(1300)));
        assert!(leave.typed(b"\x1d", after(1400)));
    }
}
