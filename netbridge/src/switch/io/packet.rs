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
    let mut malformed = 0;
    let (buffers, frames) = batch.parts();
    let got = mmsg::receive(socket, buffers, 0, |buffer, index, received| match unpack(buffer, received) {
        Some((length, offload)) => frames.take(index, length, offload),
        None => malformed += 1,
    });
    if let Err(error) = got {
        match error.raw_os_error() {
            // The interface was set down, or is gone.
            Some(libc::ENETDOWN) => {}
            // The kernel has no header for the frame.
            Some(libc::EINVAL) => malformed += 1,
            _ if is_passing(&error) => {}
            _ => return Err(error),
        }
    }
    Ok(Taken { malformed, ..Taken::default() })
}

/// The length of the frame in a buffer, and what it lacks; none if it is no frame.
fn unpack(buffer: &mut [u8], received: Received) -> Option<(usize, Offload)> {
    let mut offload = Offload::from_bytes(*buffer.first_chunk()?);
    let length =
        received.length.checked_sub(Offload::LENGTH).filter(|length| *length >= HEADER && !received.truncated)?;
    let length = match received.tag {
        Some((tpid, tci)) => offload::insert_tag(&mut buffer[Offload::LENGTH..], length, &mut offload, tpid, tci)?,
        None => length,
    };
    Some((length, offload))
}

pub(super) fn send(socket: BorrowedFd<'_>, frames: &[(&[u8], Offload)]) -> io::Result<usize> {
    let mut headers = [[0; Offload::LENGTH]; BATCH];
    for (header, (_, offload)) in headers.iter_mut().zip(frames) {
        *header = offload.to_bytes();
    }
    mmsg::send(socket, headers.iter().zip(frames).map(|(header, (data, _))| [IoSlice::new(header), IoSlice::new(data)]))
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
