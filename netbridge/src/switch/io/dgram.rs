//! Sockets each datagram of which is a frame: QEMU's `-netdev dgram`, and the data sockets of VDE.

use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;

use super::batch::Batch;
use super::mmsg::{self, Received};
use super::{Taken, is_passing};
use crate::frame::Offload;

pub(super) fn receive(socket: BorrowedFd<'_>, batch: &mut Batch) -> io::Result<Taken> {
    let mut taken = Taken::default();
    let (buffers, frames) = batch.parts();
    let got = mmsg::receive(socket, buffers, Offload::LENGTH, |_, index, Received { length, truncated, .. }| {
        if truncated {
            taken.malformed += 1;
        } else {
            frames.take(index, length, Offload::default());
        }
    });
    match got {
        Err(error) if !is_passing(&error) => Err(error),
        _ => Ok(taken),
    }
}

pub(super) fn send(socket: BorrowedFd<'_>, frames: &[(&[u8], Offload)]) -> io::Result<usize> {
    mmsg::send(socket, frames.iter().map(|(data, _)| [IoSlice::new(&[]), IoSlice::new(data)]))
}
