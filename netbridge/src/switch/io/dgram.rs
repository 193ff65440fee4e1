//! Sockets each datagram of which is a frame: QEMU's `-netdev dgram`, and the data sockets of VDE.

use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;

use super::batch::{BATCH, Batch};
use super::mmsg::{self, Received};
use super::{Taken, is_passing};
use crate::frame::Offload;

pub(super) fn receive(socket: BorrowedFd<'_>, batch: &mut Batch) -> io::Result<Taken> {
    let mut received = [Received::default(); BATCH];
    let count = match mmsg::receive(socket, batch.buffers(), Offload::LENGTH, &mut received) {
        Ok(count) => count,
        Err(error) if is_passing(&error) => 0,
        Err(error) => return Err(error),
    };
    let mut taken = Taken::default();
    for (buffer, received) in received.iter().enumerate().take(count) {
        if received.truncated {
            taken.malformed += 1;
        } else {
            batch.take(buffer, received.length, Offload::default());
        }
    }
    Ok(taken)
}

pub(super) fn send(socket: BorrowedFd<'_>, frames: &[(&[u8], Offload)]) -> io::Result<usize> {
    let mut datagrams = [[IoSlice::new(&[]); 2]; BATCH];
    for (slices, (data, _)) in datagrams.iter_mut().zip(frames) {
        slices[1] = IoSlice::new(data);
    }
    mmsg::send(socket, &datagrams[..frames.len().min(BATCH)])
}
