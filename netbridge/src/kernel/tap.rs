//! Making a tap and plugging it in.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;

use crate::error::Operation;
use crate::kernel::device::{Device, Owned};
use crate::{Error, InterfaceName, Namespace};

/// The device node that taps are made by (the kernel's networking/tuntap.rst).
const TUN: &str = "/dev/net/tun";

nix::ioctl_write_ptr_bad!(tun_set_interface, libc::TUNSETIFF, libc::ifreq);

/// Makes a tap in `namespace`, a port of `bridge` if there is one, and gives its link and its descriptor.
pub(crate) async fn plug(
    namespace: &Arc<Namespace>,
    bridge: Option<&Device>,
    port: &InterfaceName,
) -> Result<(Owned, OwnedFd), Error> {
    let failed = |refusal: io::Error| Operation::CreateTap.failed_on(port, refusal);
    let name = port.clone();
    // The tap appears in the namespace of the thread that opens the node.
    let opened = namespace.run(move || open(&name)).await?;
    let descriptor = opened.map_err(failed)?;
    let near = Owned::find(namespace, port).await?;
    match attach(&near, bridge).await {
        Ok(()) => Ok((near, descriptor)),
        Err(error) => Err(near.undo(error).await),
    }
}

fn open(name: &InterfaceName) -> io::Result<OwnedFd> {
    let file = OpenOptions::new().read(true).write(true).custom_flags(libc::O_CLOEXEC | libc::O_NONBLOCK).open(TUN)?;
    // SAFETY: all zeros is a valid value of this structure of integers and characters.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.as_str().bytes()) {
        *to = from.cast_signed();
    }
    // Frames carry a header that tells of offloaded checksums and segments, so that both sides may leave them to the receiver.
    let flags = libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR;
    request.ifr_ifru.ifru_flags = i16::try_from(flags).map_err(io::Error::other)?;
    set_interface(&file, &request)?;
    Ok(file.into())
}

fn set_interface(file: &File, request: &libc::ifreq) -> io::Result<()> {
    // SAFETY: the descriptor is one of /dev/net/tun, and the structure is what this request wants; it lives across the call.
    unsafe { tun_set_interface(file.as_raw_fd(), request) }?;
    Ok(())
}

async fn attach(near: &Device, bridge: Option<&Device>) -> Result<(), Error> {
    match bridge {
        Some(bridge) => near.join(bridge).await?,
        None => near.leave().await?,
    }
    near.set_up_mute().await
}
