//! Sockets that carry one frame after another: QEMU's `-netdev stream` and `-netdev socket`.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::sys::socket::{MsgFlags, Shutdown, recv, sendmsg, shutdown};

use super::batch::Batch;
use super::{Taken, is_passing};
use crate::frame::Offload;
use crate::switch::stream::{Decoder, Outbox, Unsent};

/// A stream with what was read and written of frames in parts.
#[derive(Debug)]
pub(crate) struct Stream {
    socket: OwnedFd,
    decoder: Decoder,
    outbox: Outbox,
}

impl From<OwnedFd> for Stream {
    fn from(socket: OwnedFd) -> Self {
        Self { socket, decoder: Decoder::new(), outbox: Outbox::default() }
    }
}

impl Stream {
    pub(super) fn receive(&mut self, batch: &mut Batch) -> io::Result<Taken> {
        let mut taken = Taken::default();
        // What is left of the last read comes first.
        self.unpack(batch, &mut taken)?;
        if !taken.more {
            match recv(self.socket.as_raw_fd(), self.decoder.space(), MsgFlags::MSG_DONTWAIT) {
                Ok(0) => taken.ended = true,
                Ok(length) => self.decoder.filled(length),
                Err(errno) => {
                    let error = io::Error::from(errno);
                    // The other side has closed it before it read everything.
                    taken.ended = error.kind() == io::ErrorKind::ConnectionReset;
                    if !is_passing(&error) {
                        return Err(error);
                    }
                }
            }
            self.unpack(batch, &mut taken)?;
        }
        Ok(taken)
    }

    /// Moves frames into the batch until it is full.
    fn unpack(&mut self, batch: &mut Batch, taken: &mut Taken) -> io::Result<()> {
        while batch.len() < batch.parts().0.len() {
            let frame = match self.decoder.next_frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => return Ok(()),
                Err(giant) => {
                    // The other side shall notice.
                    let _ = shutdown(self.socket.as_raw_fd(), Shutdown::Both);
                    return Err(io::Error::new(io::ErrorKind::InvalidData, giant));
                }
            };
            let index = batch.len();
            let (buffers, frames) = batch.parts();
            buffers[index][Offload::LENGTH..][..frame.len()].copy_from_slice(frame);
            frames.take(index, frame.len(), Offload::default());
        }
        taken.more = true;
        Ok(())
    }

    pub(super) fn send(&mut self, frames: &[(&[u8], Offload)]) -> io::Result<usize> {
        let Self { socket, outbox, .. } = self;
        let mut write = |slices: &[io::IoSlice<'_>]| write(socket, slices);
        outbox.flush(&mut write)?;
        outbox.send(frames.iter().map(|(data, _)| *data), write).map_err(|unsent| match unsent {
            Unsent::Full => io::ErrorKind::WouldBlock.into(),
            Unsent::Giant => io::Error::from_raw_os_error(libc::EMSGSIZE),
            Unsent::Broken(error) => error,
        })
    }

    /// Sends the rest of a frame. Says whether there still is one.
    pub(super) fn finish(&mut self) -> bool {
        let Self { socket, outbox, .. } = self;
        // An error shows when the next frame is to be sent.
        outbox.flush(|slices| write(socket, slices)).is_ok() && !outbox.is_empty()
    }
}

fn write(socket: &OwnedFd, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    Ok(sendmsg::<()>(socket.as_raw_fd(), slices, &[], flags, None)?)
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
