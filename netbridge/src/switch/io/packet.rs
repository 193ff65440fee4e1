//! Packet sockets (packet(7)) on interfaces of the kernel: a veth end, or a tap that somebody else has the descriptor of.
#![expect(
    clippy::cast_possible_truncation,
    reason = "constants and sizes of the kernel's interface fit where they belong"
)]

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::batch::{BATCH, Batch};
use super::mmsg::{self, Received};
use super::{Taken, is_passing};
use crate::frame::{HEADER, Offload};
use crate::offload;

/// What the kernel may keep of frames that wait to be received or sent, in bytes of its own counting.
const BUFFER: libc::c_int = 16 << 20;

/// `PACKET_IGNORE_OUTGOING` of `linux/if_packet.h`, since Linux 4.20.
const IGNORE_OUTGOING: libc::c_int = 23;

/// Opens a packet socket in the network namespace of the calling thread. It receives nothing until it is [bound](bind).
///
/// Frames come and go with what they lack, behind a `virtio_net_hdr`: neither checksums nor segments are made on the way.
pub(crate) fn open() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: a plain system call.
    let descriptor = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it was just opened, and nobody else knows of it.
    let socket = unsafe { OwnedFd::from_raw_fd(descriptor) };
    let on: libc::c_int = 1;
    set(socket.as_fd(), libc::SOL_PACKET, libc::PACKET_VNET_HDR, &on)?;
    set(socket.as_fd(), libc::SOL_PACKET, libc::PACKET_AUXDATA, &on)?;
    // What it sends itself must not come back as if it had been received.
    set(socket.as_fd(), libc::SOL_PACKET, IGNORE_OUTGOING, &on)?;
    for (force, plain) in [(libc::SO_RCVBUFFORCE, libc::SO_RCVBUF), (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF)] {
        // The first needs a capability that a user namespace does not give before Linux 5.16; the second has a limit.
        set(socket.as_fd(), libc::SOL_SOCKET, force, &BUFFER)
            .or_else(|_| set(socket.as_fd(), libc::SOL_SOCKET, plain, &BUFFER))?;
    }
    Ok(socket)
}

/// Lets the socket receive all frames that come in by the interface, and send by it.
pub(crate) fn bind(socket: BorrowedFd<'_>, interface: u32) -> io::Result<()> {
    let index = libc::c_int::try_from(interface).map_err(io::Error::other)?;
    let promiscuous =
        libc::packet_mreq { mr_ifindex: index, mr_type: libc::PACKET_MR_PROMISC as _, mr_alen: 0, mr_address: [0; 8] };
    set(socket, libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &promiscuous)?;
    // SAFETY: all zeros is a valid value of this structure of integers.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as _;
    address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    address.sll_ifindex = index;
    // SAFETY: the address is of the type and size that a packet socket wants.
    let bound = unsafe {
        libc::bind(socket.as_raw_fd(), (&raw const address).cast(), size_of::<libc::sockaddr_ll>() as libc::socklen_t)
    };
    if bound == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn set<T>(socket: BorrowedFd<'_>, level: libc::c_int, option: libc::c_int, value: &T) -> io::Result<()> {
    let size = size_of::<T>() as libc::socklen_t;
    // SAFETY: the callers pass values of the type that the option wants, which live across the call.
    let done = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, std::ptr::from_ref(value).cast(), size) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

pub(super) fn receive(socket: BorrowedFd<'_>, batch: &mut Batch) -> io::Result<Taken> {
    let mut received = [Received::default(); BATCH];
    let mut taken = Taken::default();
    let count = match mmsg::receive(socket, batch.buffers(), 0, &mut received) {
        Ok(count) => count,
        // The interface was set down, or is gone; or the kernel has no header for the frame.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENETDOWN | libc::EINVAL)) => {
            taken.malformed += u64::from(error.raw_os_error() == Some(libc::EINVAL));
            0
        }
        Err(error) if is_passing(&error) => 0,
        Err(error) => return Err(error),
    };
    for (index, received) in received.iter().enumerate().take(count) {
        let buffer = &mut batch.buffers()[index];
        let header = buffer.first_chunk().map(|header| Offload::from_bytes(*header));
        let (Some(mut offload), false) = (header, received.truncated || received.length < Offload::LENGTH + HEADER)
        else {
            taken.malformed += 1;
            continue;
        };
        let mut length = received.length - Offload::LENGTH;
        if let Some((tpid, tci)) = received.tag {
            let frame = &mut buffer[Offload::LENGTH..];
            let Some(longer) = offload::insert_tag(frame, length, &mut offload, tpid, tci) else {
                taken.malformed += 1;
                continue;
            };
            length = longer;
        }
        batch.take(index, length, offload);
    }
    Ok(taken)
}

pub(super) fn send(socket: BorrowedFd<'_>, frames: &[(&[u8], Offload)]) -> io::Result<usize> {
    let count = frames.len().min(BATCH);
    let mut headers = [[0; Offload::LENGTH]; BATCH];
    for (header, (_, offload)) in headers.iter_mut().zip(frames) {
        *header = offload.to_bytes();
    }
    let mut datagrams = [[IoSlice::new(&[]); 2]; BATCH];
    for ((slices, header), (data, _)) in datagrams.iter_mut().zip(&headers).zip(frames) {
        *slices = [IoSlice::new(header), IoSlice::new(data)];
    }
    mmsg::send(socket, &datagrams[..count])
}

/// Frames that found no room in the socket, since the last call.
pub(super) fn missed(socket: BorrowedFd<'_>) -> u64 {
    // SAFETY: all zeros is a valid value of this structure of integers.
    let mut statistics: libc::tpacket_stats = unsafe { std::mem::zeroed() };
    let mut size = size_of::<libc::tpacket_stats>() as libc::socklen_t;
    // SAFETY: the structure is what this option gives, and its size is told.
    let got = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_STATISTICS,
            (&raw mut statistics).cast(),
            &raw mut size,
        )
    };
    if got == 0 { statistics.tp_drops.into() } else { 0 }
}
