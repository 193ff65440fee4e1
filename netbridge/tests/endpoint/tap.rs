//! Taps of machines.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use netbridge::Namespace;

use super::Result;

nix::ioctl_write_ptr_bad!(tun_set_interface, libc::TUNSETIFF, libc::ifreq);
nix::ioctl_write_int_bad!(tun_set_offload, libc::TUNSETOFFLOAD);

/// Makes a tap in a namespace. Its descriptor does not block; with `vnet` each frame is behind a `virtio_net_hdr`.
pub(super) async fn open(namespace: &Namespace, name: &'static str, vnet: bool) -> Result<OwnedFd> {
    // The tap appears in the namespace of the thread that opens the node.
    Ok(namespace.run(move || open_here(name, vnet)).await??)
}

fn open_here(name: &str, vnet: bool) -> io::Result<OwnedFd> {
    let node = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open("/dev/net/tun")?;
    // SAFETY: all zeros is a valid value of this structure of integers and characters.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from.cast_signed();
    }
    let flags = libc::IFF_TAP | libc::IFF_NO_PI | if vnet { libc::IFF_VNET_HDR } else { 0 };
    request.ifr_ifru.ifru_flags = i16::try_from(flags).map_err(io::Error::other)?;
    // SAFETY: the descriptor is one of /dev/net/tun, and the structure is what this request wants; it lives across the call.
    unsafe { tun_set_interface(node.as_raw_fd(), &raw const request) }?;
    Ok(node.into())
}

/// Says that whoever reads the descriptor takes segments that are not cut yet, and checksums that are not filled in.
pub(super) fn offload(tap: &impl AsFd) -> Result {
    let features = i32::try_from(libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6)?;
    // SAFETY: the descriptor is one of a tap, and this request wants a number.
    unsafe { tun_set_offload(tap.as_fd().as_raw_fd(), features) }?;
    Ok(())
}
