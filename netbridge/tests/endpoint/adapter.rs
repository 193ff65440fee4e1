//! What a machine monitor does with the socket of its network card: moves frames between it and the machine.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::Result;

/// Room for the longest segment that is not cut yet, with its headers and the header before it.
const LONGEST: usize = 70_000;

/// Length of what stands before each frame in a stream.
const PREFIX: usize = 4;

/// Two threads that move frames, one each way. Dropping it ends them and waits for that.
pub(super) struct Adapter {
    end: Arc<EventFd>,
    threads: Vec<JoinHandle<()>>,
}

impl Adapter {
    /// Moves each read as it is: between taps, or between a tap and a datagram socket.
    pub(super) fn of_datagrams(tap: &OwnedFd, socket: OwnedFd) -> Result<Self> {
        Self::start(tap, socket, copy, copy)
    }

    /// Moves frames between a tap and a stream, in which each is behind its length.
    pub(super) fn of_stream(tap: &OwnedFd, socket: OwnedFd) -> Result<Self> {
        Self::start(tap, socket, into_stream, out_of_stream)
    }

    fn start(tap: &OwnedFd, socket: OwnedFd, there: Move, back: Move) -> Result<Self> {
        // This sets a flag of the descriptor, whatever it is of.
        let socket = UnixStream::from(socket);
        socket.set_nonblocking(true)?;
        let socket = OwnedFd::from(socket);
        let end = Arc::new(EventFd::from_flags(EfdFlags::EFD_CLOEXEC)?);
        let side =
            |descriptor: &OwnedFd| io::Result::Ok(Side { file: descriptor.try_clone()?.into(), end: end.clone() });
        let mut threads = Vec::new();
        for (from, to, work) in [(side(tap)?, side(&socket)?, there), (side(&socket)?, side(tap)?, back)] {
            // An error is the end of one of both, which the test sees by what does not arrive any more.
            threads.push(thread::Builder::new().name("adapter".to_owned()).spawn(move || drop(work(&from, &to)))?);
        }
        Ok(Self { end, threads })
    }
}

impl Drop for Adapter {
    fn drop(&mut self) {
        let _ = self.end.write(1);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

type Move = fn(&Side, &Side) -> io::Result<()>;

fn copy(from: &Side, to: &Side) -> io::Result<()> {
    let mut buffer = vec![0; LONGEST];
    loop {
        let length = from.read(&mut buffer)?;
        to.write(&buffer[..length])?;
    }
}

fn into_stream(tap: &Side, stream: &Side) -> io::Result<()> {
    let mut buffer = vec![0; LONGEST];
    loop {
        let length = tap.read(&mut buffer[PREFIX..])?;
        let prefix = u32::try_from(length).map_err(io::Error::other)?.to_be_bytes();
        buffer[..PREFIX].copy_from_slice(&prefix);
        let mut rest = &buffer[..PREFIX + length];
        while !rest.is_empty() {
            rest = &rest[stream.write(rest)?..];
        }
    }
}

fn out_of_stream(stream: &Side, tap: &Side) -> io::Result<()> {
    let mut buffer = vec![0; 4 * LONGEST];
    let mut filled = 0;
    loop {
        let length = stream.read(&mut buffer[filled..])?;
        if length == 0 {
            return Ok(());
        }
        filled += length;
        let mut taken = 0;
        while let Some((prefix, rest)) = buffer[taken..filled].split_first_chunk::<PREFIX>() {
            let length = u32::from_be_bytes(*prefix) as usize;
            assert!(length <= LONGEST, "a frame of {length} bytes");
            let Some(frame) = rest.get(..length) else { break };
            tap.write(frame)?;
            taken += PREFIX + length;
        }
        buffer.copy_within(taken..filled, 0);
        filled -= taken;
    }
}

/// A descriptor that does not block, read and written as if it did until the adapter is to end.
struct Side {
    file: File,
    end: Arc<EventFd>,
}

impl Side {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.patiently(PollFlags::POLLIN, || (&self.file).read(buffer))
    }

    /// What is refused for what it is, or by an interface that is down, is lost; 0 then.
    fn write(&self, data: &[u8]) -> io::Result<usize> {
        match self.patiently(PollFlags::POLLOUT, || (&self.file).write(data)) {
            Err(error) if matches!(error.raw_os_error(), Some(libc::EIO | libc::EINVAL | libc::EMSGSIZE)) => Ok(0),
            result => result,
        }
    }

    fn patiently(&self, flags: PollFlags, mut work: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
        loop {
            match work() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.wait(flags)?,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    fn wait(&self, flags: PollFlags) -> io::Result<()> {
        let mut ready = [PollFd::new(self.file.as_fd(), flags), PollFd::new(self.end.as_fd(), PollFlags::POLLIN)];
        poll(&mut ready, PollTimeout::NONE)?;
        if ready[1].any() == Some(true) { Err(io::Error::other("the adapter is dropped")) } else { Ok(()) }
    }
}
