//! Many frames with one system call: recvmmsg(2) and sendmmsg(2).

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use super::batch::{BATCH, BUFFER};

/// Room for the control messages that come with a frame, which are aligned: a `tpacket_auxdata`.
const CONTROL: usize = 64;

/// What is received besides the bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Received {
    pub(crate) length: usize,
    /// It was longer than its buffer.
    pub(crate) truncated: bool,
    /// The tag that the kernel keeps apart: its protocol and its value (packet(7), `PACKET_AUXDATA`).
    pub(crate) tag: Option<(u16, u16)>,
}

/// `TP_STATUS_VLAN_VALID` and `TP_STATUS_VLAN_TPID_VALID` of `linux/if_packet.h`.
const TAG_VALID: u32 = 1 << 4;
const TPID_VALID: u32 = 1 << 6;

/// Receives without waiting, one datagram a buffer from `offset` on, as many as there are and buffers for; tells of each, with the index of
/// its buffer.
pub(crate) fn receive(
    socket: BorrowedFd<'_>,
    buffers: &mut [Box<[u8]>],
    offset: usize,
    mut each: impl FnMut(&mut [u8], usize, Received),
) -> io::Result<usize> {
    let count = buffers.len().min(BATCH);
    // Only as many are written as there are buffers: a batch of one shall not cost as much as a full one.
    let mut controls = [const { MaybeUninit::<[u64; CONTROL / 8]>::uninit() }; BATCH];
    let mut slices = [const { MaybeUninit::<libc::iovec>::uninit() }; BATCH];
    let mut messages = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; BATCH];
    for (index, buffer) in buffers.iter_mut().take(count).enumerate() {
        let room = &mut buffer[offset..BUFFER - 4];
        let slice = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
        // SAFETY: all zeros is a valid value of this structure of integers and pointers.
        let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
        message.msg_hdr.msg_iov = slices[index].write(slice);
        message.msg_hdr.msg_iovlen = 1;
        message.msg_hdr.msg_control = controls[index].as_mut_ptr().cast();
        message.msg_hdr.msg_controllen = CONTROL as _;
        messages[index].write(message);
    }
    // SAFETY: the first `count` messages are written. Each points to a slice of its own, which points into a buffer that nothing else
    // borrows, and to a control buffer; their lengths are right, and all outlive the call.
    let got = unsafe {
        libc::recvmmsg(
            socket.as_raw_fd(),
            messages.as_mut_ptr().cast(),
            count.try_into().unwrap_or(0),
            libc::MSG_DONTWAIT,
            ptr::null_mut(),
        )
    };
    let got = usize::try_from(got).map_err(|_| io::Error::last_os_error())?;
    for (index, (message, buffer)) in messages.iter().zip(buffers).take(got).enumerate() {
        // SAFETY: it is one of the first `count`.
        let message = unsafe { message.assume_init_ref() };
        let received = Received {
            length: usize::try_from(message.msg_len).unwrap_or(0),
            truncated: message.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
            tag: tag(&message.msg_hdr),
        };
        each(buffer, index, received);
    }
    Ok(got)
}

/// The tag in a message's control data.
fn tag(message: &libc::msghdr) -> Option<(u16, u16)> {
    // SAFETY: the kernel has filled in the message, whose control buffer is alive and aligned.
    let mut control = unsafe { libc::CMSG_FIRSTHDR(message) };
    while !control.is_null() {
        // SAFETY: CMSG_FIRSTHDR and CMSG_NXTHDR give null or a header within the buffer.
        let header = unsafe { &*control };
        if header.cmsg_level == libc::SOL_PACKET && header.cmsg_type == libc::PACKET_AUXDATA {
            // SAFETY: this is what a message of this type holds; the data need not be aligned.
            let data: libc::tpacket_auxdata = unsafe { ptr::read_unaligned(libc::CMSG_DATA(control).cast()) };
            let tpid = if data.tp_status & TPID_VALID != 0 { data.tp_vlan_tpid } else { 0x8100 };
            return (data.tp_status & TAG_VALID != 0).then_some((tpid, data.tp_vlan_tci));
        }
        // SAFETY: as above.
        control = unsafe { libc::CMSG_NXTHDR(message, control) };
    }
    None
}

/// Sends datagrams without waiting, each from slices of its own; says how many went out before the first that did not.
///
/// An error is about the first one.
pub(crate) fn send<'a>(socket: BorrowedFd<'_>, datagrams: impl Iterator<Item = [IoSlice<'a>; 2]>) -> io::Result<usize> {
    let mut slices = [const { MaybeUninit::<[IoSlice<'a>; 2]>::uninit() }; BATCH];
    let mut messages = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; BATCH];
    let mut count: libc::c_uint = 0;
    for ((message, slot), datagram) in messages.iter_mut().zip(&mut slices).zip(datagrams) {
        let slices = slot.write(datagram);
        // The first is empty where nothing stands in front of the frame.
        let skipped = usize::from(slices[0].is_empty());
        // SAFETY: all zeros is a valid value of this structure of integers and pointers.
        let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
        // An IoSlice is an iovec, says its documentation.
        header.msg_hdr.msg_iov = slices[skipped..].as_mut_ptr().cast();
        header.msg_hdr.msg_iovlen = (2 - skipped) as _;
        message.write(header);
        count += 1;
    }
    // SAFETY: the first `count` messages are written; each points to slices that outlive the call, which only reads.
    let sent = unsafe {
        libc::sendmmsg(socket.as_raw_fd(), messages.as_mut_ptr().cast(), count, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL)
    };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}
