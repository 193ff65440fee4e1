//! Segments: LANs that ports plug into.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rtnetlink::LinkBridge;
use rtnetlink::packet_route::link::BridgeStpState;
use tokio::net::TcpStream;

use crate::error::Operation;
use crate::link::Link;
use crate::{Error, Interface, InterfaceName, Namespace, Port, socket, tap, veth};

/// All link-local multicast groups that a bridge can be told to forward: the three left out are the bridge's own (spanning tree, pause
/// frames, link aggregation).
const LINK_LOCAL_GROUPS: u16 = 0xfff8;

/// One LAN: frames sent into one of its ports reach the others.
///
/// Dropping it has its bridge removed in the background; its ports stay, but connect nothing any more. At the latest it goes with its
/// namespace.
#[derive(Debug)]
pub struct Segment {
    bridge: Link,
}

impl Segment {
    /// Makes a segment from a kernel bridge of the name `name` in `namespace` (`ip link add NAME type bridge stp_state 0
    /// mcast_snooping 0`). A namespace can hold many segments; they share nothing.
    ///
    /// The bridge forwards from the start, floods multicast to all ports whether or not anybody asked for it, forwards the link-local
    /// groups that a bridge may (LLDP, 802.1X), and takes no part in the traffic: it has no address, of IPv6 neither, until
    /// [`connect`](Self::connect) gives it one. A call that fails or is cancelled leaves nothing behind.
    pub async fn bridge(namespace: Arc<Namespace>, name: InterfaceName) -> Result<Self, Error> {
        // The builder's bridges are up from the start, and then have an address before it can be forbidden.
        let message = LinkBridge::new(name.as_str())
            .down()
            .stp_state(BridgeStpState::Disabled)
            .mcast_snooping(false)
            .group_fwd_mask(LINK_LOCAL_GROUPS)
            .build();
        let created = Link::create(&namespace, &name, message, None).await;
        let (bridge, _) = created.map_err(|refusal| Operation::CreateBridge.failed_on(&name, refusal))?;
        match bridge.set_up_mute().await {
            Ok(()) => Ok(Self { bridge }),
            Err(error) => Err(bridge.undo(error).await),
        }
    }

    /// The namespace that the segment is in.
    pub fn namespace(&self) -> &Arc<Namespace> {
        self.bridge.namespace()
    }

    /// Plugs `target` in with a veth pair: one end, `port_name`, is a port of the bridge; the other appears in `target` as `interface`
    /// says.
    ///
    /// When this returns, frames pass and the addresses can be used: `interface` and the loopback interface of `target` are up, and IPv6
    /// does not first look for duplicates of an address. `target` may be owned by a child of the caller's user namespace. A call that
    /// fails or is cancelled leaves nothing behind.
    pub async fn veth(
        &self,
        port_name: InterfaceName,
        target: &Namespace,
        interface: &Interface,
    ) -> Result<Port, Error> {
        interface.check()?;
        let near = veth::plug(&self.bridge, &port_name, target, interface).await?;
        Ok(Port::new(near))
    }

    /// Connects to somebody on the segment from the namespace that it is in.
    ///
    /// For that the bridge gets an address, `own` with the length of its prefix in bits, and keeps it: from the first such call on the
    /// namespace takes part in the traffic. It passes no packets on from one segment to another: forwarding is turned off in it.
    pub async fn connect(&self, own: (IpAddr, u8), to: SocketAddr) -> Result<TcpStream, Error> {
        socket::connect(&self.bridge, own, to).await
    }

    /// Plugs in whoever has the returned descriptor: a tap, `port_name`, is a port of the bridge, and its frames pass through the
    /// descriptor, each behind a `virtio_net_hdr` (`ip tuntap add PORT mode tap vnet_hdr`).
    ///
    /// The descriptor does not block. The tap goes with its last copy, or with the port. A call that fails or is cancelled leaves nothing
    /// behind.
    pub async fn tap(&self, port_name: InterfaceName) -> Result<(Port, OwnedFd), Error> {
        let (near, descriptor) = tap::plug(&self.bridge, &port_name).await?;
        Ok((Port::new(near), descriptor))
    }
}
