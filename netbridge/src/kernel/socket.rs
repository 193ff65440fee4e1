//! Connections from a segment's own namespace to what is plugged in.

use std::net::{IpAddr, SocketAddr};
use std::{fs, io};

use nix::errno::Errno;
use tokio::net::{TcpSocket, TcpStream};

use crate::Error;
use crate::error::Operation;
use crate::kernel::device::Device;
use crate::kernel::netlink;
use crate::kernel::veth::address_message;

/// The sysctls by which a namespace passes packets on. A new namespace takes them over from the first one (`net.core.devconf_inherit_init_net`).
const FORWARDING: [&str; 2] = ["/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"];

/// Connects from the namespace of `bridge`, which gets the address `own`.
pub(crate) async fn connect(bridge: &Device, own: (IpAddr, u8), to: SocketAddr) -> Result<TcpStream, Error> {
    let namespace = bridge.namespace();
    // Before there is an address that packets could be sent to.
    let forbidden = namespace.run(forbid_forwarding).await?;
    forbidden.map_err(|errno| Operation::ForbidForwarding.failed(errno))?;
    let added = netlink::add_address(namespace.netlink(), address_message(bridge.index(), own.0, own.1));
    match added.await {
        // By an earlier call.
        Err(refusal) if refusal.is(Errno::EEXIST) => {}
        added => added.map_err(|refusal| Operation::AddAddress.failed_on(bridge.name(), refusal))?,
    }
    // A socket stays in the namespace in which it was opened.
    let socket = namespace.run(move || if to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }).await?;
    let socket = socket.map_err(|errno| Operation::OpenSocket.failed(errno))?;
    socket.connect(to).await.map_err(|errno| Operation::Connect.failed_on(bridge.name(), errno))
}

fn forbid_forwarding() -> io::Result<()> {
    for sysctl in FORWARDING {
        match fs::read_to_string(sysctl) {
            Ok(value) if value.trim() == "0" => {}
            // There is no IPv6.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            _ => fs::write(sysctl, "0")?,
        }
    }
    Ok(())
}
