//! Whole frames to and from an interface.

use std::io;
use std::mem::{size_of, size_of_val};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use nix::sys::socket::sockopt::{ReceiveTimeout, SndBuf};
use nix::sys::socket::{MsgFlags, send, setsockopt};
use nix::sys::time::TimeVal;

/// From `linux/if_packet.h`.
const TP_STATUS_VLAN_VALID: u32 = 1 << 4;

/// What comes before the tag in a frame: both addresses.
const TAG_AT: usize = 12;

/// A socket of the family `AF_PACKET` that is bound to one interface.
pub(crate) struct PacketSocket(OwnedFd);

impl PacketSocket {
    /// Opens it in the namespace of the calling thread.
    pub(super) fn open(interface: &str) -> io::Result<Self> {
        let protocol = (libc::ETH_P_ALL as u16).to_be();
        // SAFETY: takes only numbers.
        let descriptor = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
        // SAFETY: the kernel has just made it, and nobody else knows it.
        let socket = unsafe { OwnedFd::from_raw_fd(Errno::result(descriptor)?) };
        let on: libc::c_int = 1;
        // SAFETY: the option wants a number of this size, which lives across the call.
        let set = unsafe {
            let on = (&raw const on).cast();
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_AUXDATA,
                on,
                size_of::<libc::c_int>() as u32,
            )
        };
        Errno::result(set)?;
        // SAFETY: all zeros is a valid value of this structure of integers.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = protocol;
        address.sll_ifindex = if_nametoindex(interface)?.cast_signed();
        // SAFETY: the address is one of the socket's family and lives across the call.
        let bound = unsafe {
            libc::bind(socket.as_raw_fd(), (&raw const address).cast(), size_of_val(&address) as libc::socklen_t)
        };
        Errno::result(bound)?;
        setsockopt(&socket, SndBuf, &(4 << 20))?;
        Ok(Self(socket))
    }

    /// Sends a frame. What the interface has no room for is lost, as on a wire.
    pub(crate) fn send(&self, frame: &[u8]) -> io::Result<()> {
        match send(self.0.as_raw_fd(), frame, MsgFlags::empty()) {
            Ok(_) | Err(Errno::ENOBUFS | Errno::EAGAIN) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Receives the next frame as it was sent: with its 802.1Q tag, which the kernel puts aside.
    pub(crate) fn receive(&self, patience: Duration) -> io::Result<Vec<u8>> {
        let seconds = libc::time_t::try_from(patience.as_secs()).map_err(io::Error::other)?;
        setsockopt(&self.0, ReceiveTimeout, &TimeVal::new(seconds, patience.subsec_micros().into()))?;
        let mut frame = vec![0; 70_000];
        // Of numbers of 64 bits, so that it is aligned.
        let mut control = [0_u64; 16];
        let mut data = libc::iovec { iov_base: frame.as_mut_ptr().cast(), iov_len: frame.len() };
        // SAFETY: all zeros is a valid value of this structure of integers and pointers.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        message.msg_iov = &raw mut data;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = size_of_val(&control) as _;
        // SAFETY: the message points to buffers of the lengths that it says, which live across the call.
        let length = Errno::result(unsafe { libc::recvmsg(self.0.as_raw_fd(), &raw mut message, 0) })?;
        frame.truncate(length.cast_unsigned());
        if let Some(tag) = tag(&message) {
            frame.splice(TAG_AT..TAG_AT, tag);
        }
        Ok(frame)
    }
}

/// The tag that the kernel took out of a frame.
fn tag(message: &libc::msghdr) -> Option<[u8; 4]> {
    // SAFETY: the kernel has filled in the message, and its buffer for control messages still lives.
    let header = unsafe { libc::CMSG_FIRSTHDR(message).as_ref() }?;
    if (header.cmsg_level, header.cmsg_type) != (libc::SOL_PACKET, libc::PACKET_AUXDATA) {
        return None;
    }
    // SAFETY: messages of this type carry this structure of integers, aligned or not.
    let auxiliary = unsafe { libc::CMSG_DATA(header).cast::<libc::tpacket_auxdata>().read_unaligned() };
    let [high, low] = auxiliary.tp_vlan_tci.to_be_bytes();
    let [kind_high, kind_low] = auxiliary.tp_vlan_tpid.to_be_bytes();
    (auxiliary.tp_status & TP_STATUS_VLAN_VALID != 0).then_some([kind_high, kind_low, high, low])
}
