//! Whole frames to and from an interface.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::sockopt::{ReceiveTimeout, SndBuf};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, bind, recv, send, setsockopt, socket,
};
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
        let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll)?;
        let mut links = getifaddrs()?.filter(|one| one.interface_name == interface);
        let address = links.find_map(|one| one.address?.as_link_addr().copied()).ok_or(Errno::ENODEV)?;
        bind(socket.as_raw_fd(), &address)?;
        tell_of_tags(&socket)?;
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

    /// Receives the next frame into a buffer, and says how long it is; its 802.1Q tag is lost.
    pub(crate) fn receive_into(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(recv(self.0.as_raw_fd(), buffer, MsgFlags::empty())?)
    }

    /// Has receptions fail that take longer.
    pub(crate) fn set_patience(&self, patience: Duration) -> io::Result<()> {
        let seconds = libc::time_t::try_from(patience.as_secs()).map_err(io::Error::other)?;
        Ok(setsockopt(&self.0, ReceiveTimeout, &TimeVal::new(seconds, patience.subsec_micros().into()))?)
    }

    /// Receives the next frame as it was sent: with its 802.1Q tag, which the kernel puts aside.
    pub(crate) fn receive(&self, patience: Duration) -> io::Result<Vec<u8>> {
        self.set_patience(patience)?;
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

/// Has the kernel send along what it takes out of frames.
fn tell_of_tags(socket: &OwnedFd) -> io::Result<()> {
    let on: libc::c_int = 1;
    let size = libc::socklen_t::try_from(size_of_val(&on)).map_err(io::Error::other)?;
    // SAFETY: the option wants a number of this size, which lives across the call.
    let set = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_PACKET, libc::PACKET_AUXDATA, (&raw const on).cast(), size)
    };
    Ok(Errno::result(set).map(drop)?)
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
