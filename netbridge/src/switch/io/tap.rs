//! Taps by their descriptors (the kernel's networking/tuntap.rst): one system call a frame.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd;

use super::batch::{BATCH, Batch};
use super::{Taken, is_passing};
use crate::frame::{HEADER, Offload};

nix::ioctl_read_bad!(get_interface, libc::TUNGETIFF, libc::ifreq);
nix::ioctl_write_ptr_bad!(set_header_size, libc::TUNSETVNETHDRSZ, libc::c_int);
nix::ioctl_write_int_bad!(set_offloads, libc::TUNSETOFFLOAD);

/// What we can complete: checksums, and segments of TCP (`TUN_F_*` of `linux/if_tun.h`).
const OFFLOADS: libc::c_int = 0x01 | 0x02 | 0x04;

/// A tap whose descriptor is ours.
#[derive(Debug)]
pub(crate) struct Tap {
    descriptor: OwnedFd,
    /// Whether a [`Offload`] stands before each frame.
    header: bool,
}

impl Tap {
    /// Takes a descriptor of `/dev/net/tun` after `TUNSETIFF`, with or without `IFF_VNET_HDR`.
    pub(crate) fn new(descriptor: OwnedFd) -> io::Result<Self> {
        // SAFETY: all zeros is a valid value of this structure of integers and characters.
        let mut interface: libc::ifreq = unsafe { std::mem::zeroed() };
        // SAFETY: the structure is what this request fills in; another kind of descriptor refuses it.
        unsafe { get_interface(descriptor.as_raw_fd(), &raw mut interface) }?;
        // SAFETY: the request has written the flags.
        let flags = libc::c_int::from(unsafe { interface.ifr_ifru.ifru_flags });
        if flags & libc::IFF_TAP == 0 || flags & libc::IFF_NO_PI == 0 {
            return Err(io::Error::other("the descriptor is no tap without packet information (IFF_TAP | IFF_NO_PI)"));
        }
        let header = flags & libc::IFF_VNET_HDR != 0;
        if header {
            let size = libc::c_int::try_from(Offload::LENGTH).map_err(io::Error::other)?;
            // SAFETY: the request reads an integer.
            unsafe { set_header_size(descriptor.as_raw_fd(), &raw const size) }?;
            // SAFETY: the request takes its argument by value. Without it frames come complete.
            let _ = unsafe { set_offloads(descriptor.as_raw_fd(), OFFLOADS) };
        }
        let flags = OFlag::from_bits_truncate(fcntl(&descriptor, FcntlArg::F_GETFL)?);
        fcntl(&descriptor, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        Ok(Self { descriptor, header })
    }

    pub(super) fn has_header(&self) -> bool {
        self.header
    }

    pub(super) fn receive(&mut self, batch: &mut Batch) -> io::Result<Taken> {
        let mut taken = Taken::default();
        let before = if self.header { 0 } else { Offload::LENGTH };
        let (buffers, frames) = batch.parts();
        for (index, buffer) in buffers.iter_mut().enumerate() {
            let length = match unistd::read(&self.descriptor, &mut buffer[before..]) {
                Ok(0) => {
                    taken.ended = true;
                    break;
                }
                Ok(read) => (before + read).checked_sub(Offload::LENGTH),
                Err(Errno::EBADFD) => {
                    // The interface is gone.
                    taken.ended = true;
                    break;
                }
                // It is down.
                Err(Errno::EIO) => break,
                Err(errno) => {
                    let error = io::Error::from(errno);
                    if is_passing(&error) {
                        break;
                    }
                    return Err(error);
                }
            };
            let header = buffer.first_chunk().filter(|_| self.header);
            let offload = header.map(|header| Offload::from_bytes(*header)).unwrap_or_default();
            match length {
                Some(length) if length >= HEADER => frames.take(index, length, offload),
                _ => taken.malformed += 1,
            }
        }
        Ok(taken)
    }

    pub(super) fn send(&mut self, frames: &[(&[u8], Offload)]) -> io::Result<usize> {
        for (index, (data, offload)) in frames.iter().enumerate().take(BATCH) {
            let header = offload.to_bytes();
            let sent = if self.header {
                nix::sys::uio::writev(&self.descriptor, &[IoSlice::new(&header), IoSlice::new(data)])
            } else {
                unistd::write(&self.descriptor, data)
            };
            match sent {
                Ok(_) => {}
                Err(errno) if index == 0 => return Err(errno.into()),
                Err(_) => return Ok(index),
            }
        }
        Ok(frames.len().min(BATCH))
    }
}

impl AsFd for Tap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}
