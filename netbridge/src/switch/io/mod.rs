//! How frames get in and out of a switch: one kind of descriptor a file.

mod batch;
mod dgram;
mod mmsg;
pub(crate) mod packet;
pub(crate) mod stream;
pub(crate) mod tap;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

pub(crate) use batch::{BATCH, Batch};

use crate::frame::Offload;

/// A descriptor that frames pass through. None of them blocks.
#[derive(Debug)]
pub(crate) enum Io {
    /// A packet socket on an interface of the kernel.
    Packet(OwnedFd),
    /// A socket each datagram of which is a frame.
    Dgram(OwnedFd),
    /// A socket that carries one frame after another.
    Stream(Box<stream::Stream>),
    /// A tap of `/dev/net/tun`.
    Tap(tap::Tap),
}

/// What became of the frames that were to be received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Frames that had to be dropped because they are none.
    pub(crate) malformed: u64,
    /// The batch is full, and there is more that the poller does not know of.
    pub(crate) more: bool,
    /// Nothing will come any more.
    pub(crate) ended: bool,
}

impl Io {
    /// Whether its other side takes frames that still lack something.
    pub(crate) fn takes_offloads(&self) -> bool {
        match self {
            Self::Packet(_) => true,
            Self::Dgram(_) | Self::Stream(_) => false,
            Self::Tap(tap) => tap.has_header(),
        }
    }

    /// Fills `batch` with what there is, if it fits.
    pub(crate) fn receive(&mut self, batch: &mut Batch) -> io::Result<Taken> {
        batch.clear();
        match self {
            Self::Packet(socket) => packet::receive(socket.as_fd(), batch),
            Self::Dgram(socket) => dgram::receive(socket.as_fd(), batch),
            Self::Stream(stream) => stream.receive(batch),
            Self::Tap(tap) => tap.receive(batch),
        }
    }

    /// Sends the first of `frames`, at most [`BATCH`]; says how many. An error is about the first one.
    pub(crate) fn send(&mut self, frames: &[(&[u8], Offload)]) -> io::Result<usize> {
        match self {
            Self::Packet(socket) => packet::send(socket.as_fd(), frames),
            Self::Dgram(socket) => dgram::send(socket.as_fd(), frames),
            Self::Stream(stream) => stream.send(frames),
            Self::Tap(tap) => tap.send(frames),
        }
    }

    /// Sends the rest of a frame that was taken in part. Says whether there still is one.
    pub(crate) fn finish(&mut self) -> bool {
        match self {
            Self::Stream(stream) => stream.finish(),
            _ => false,
        }
    }

    /// Frames that the kernel dropped before they could be received, since the last call.
    pub(crate) fn missed(&self) -> u64 {
        match self {
            Self::Packet(socket) => packet::missed(socket.as_fd()),
            _ => 0,
        }
    }
}

impl AsFd for Io {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Packet(socket) | Self::Dgram(socket) => socket.as_fd(),
            Self::Stream(stream) => stream.as_fd(),
            Self::Tap(tap) => tap.as_fd(),
        }
    }
}

/// Whether an error of a receiving call only says that there is nothing, for now, or tells of an earlier failure to send.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock
            | io::ErrorKind::Interrupted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
    )
}
