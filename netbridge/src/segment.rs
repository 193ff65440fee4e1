//! Segments: LANs that ports plug into.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use rtnetlink::LinkBridge;
use rtnetlink::packet_route::link::BridgeStpState;
use tokio::net::TcpStream;

use crate::error::Operation;
use crate::kernel::device::Device;
use crate::kernel::{socket, tap, veth};
use crate::{
    Capture, CaptureOptions, Direction, Error, Impairment, Interface, InterfaceName, Link, LinkStats, Namespace, Port,
    PortName,
};

/// All link-local multicast groups that a bridge can be told to forward: the three left out are the bridge's own (spanning tree, pause
/// frames, link aggregation).
const LINK_LOCAL_GROUPS: u16 = 0xfff8;

/// One LAN: frames sent into one of its ports reach the others.
///
/// Dropping it has its bridge removed in the background; its ports stay, but connect nothing any more. At the latest it goes with its
/// namespace.
#[derive(Debug)]
pub struct Segment {
    inner: Arc<Inner>,
}

/// What carries the frames of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A bridge of the kernel.
    Bridge,
    /// A learning switch in user space.
    Switch {
        /// Why it is no bridge.
        why: String,
    },
}

/// What a segment is, shared with its links.
#[derive(Debug)]
pub(crate) struct Inner {
    bridge: Device,
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
        let created = Device::create(&namespace, &name, message, None).await;
        let (bridge, _) = created.map_err(|refusal| Operation::CreateBridge.failed_on(&name, refusal))?;
        match bridge.set_up_mute().await {
            Ok(()) => Ok(Self { inner: Arc::new(Inner { bridge }) }),
            Err(error) => Err(bridge.undo(error).await),
        }
    }

    /// Makes a segment from a switch in user space, which needs no privilege. Only with a namespace can it have ports that are
    /// interfaces of the kernel; they are in `namespace`.
    pub async fn switch(_namespace: Option<Arc<Namespace>>, _name: InterfaceName) -> Result<Self, Error> {
        todo!()
    }

    /// Makes a segment from a bridge where that is possible, else from a switch; [`kind`](Self::kind) says which, and why.
    pub async fn automatic(_namespace: Option<Arc<Namespace>>, _name: InterfaceName) -> Result<Self, Error> {
        todo!()
    }

    /// What carries its frames.
    pub fn kind(&self) -> &Kind {
        &Kind::Bridge
    }

    /// The namespace that the segment is in.
    pub fn namespace(&self) -> &Arc<Namespace> {
        self.inner.bridge.namespace()
    }

    /// The link of the port of this name, which need not exist yet.
    pub fn link(&self, name: &str) -> Link {
        Link { segment: self.inner.clone(), name: name.into() }
    }

    /// Plugs `target` in with a veth pair: one end, `port_name`, is a port of the bridge; the other appears in `target` as `interface`
    /// says.
    ///
    /// When this returns, frames pass and the addresses can be used: `interface` and the loopback interface of `target` are up, and IPv6
    /// does not first look for duplicates of an address. `target` may be owned by a child of the caller's user namespace. A call that
    /// fails or is cancelled leaves nothing behind.
    pub async fn veth(
        &self,
        port_name: impl Into<PortName>,
        target: &Namespace,
        interface: &Interface,
    ) -> Result<Port, Error> {
        interface.check()?;
        let near = veth::plug(&self.inner.bridge, &port_name.into().interface, target, interface).await?;
        Ok(Port::new(near))
    }

    /// Connects to somebody on the segment from the namespace that it is in.
    ///
    /// For that the bridge gets an address, `own` with the length of its prefix in bits, and keeps it: from the first such call on the
    /// namespace takes part in the traffic. It passes no packets on from one segment to another: forwarding is turned off in it.
    pub async fn connect(&self, own: (IpAddr, u8), to: SocketAddr) -> Result<TcpStream, Error> {
        socket::connect(&self.inner.bridge, own, to).await
    }

    /// Plugs in whoever has the returned descriptor: a tap, `port_name`, is a port of the bridge, and its frames pass through the
    /// descriptor, each behind a `virtio_net_hdr` (`ip tuntap add PORT mode tap vnet_hdr`).
    ///
    /// The descriptor does not block. The tap goes with its last copy, or with the port. A call that fails or is cancelled leaves nothing
    /// behind.
    pub async fn tap(&self, port_name: impl Into<PortName>) -> Result<(Port, OwnedFd), Error> {
        let (near, descriptor) = tap::plug(&self.inner.bridge, &port_name.into().interface).await?;
        Ok((Port::new(near), descriptor))
    }

    /// Plugs in the interface of a tap whose descriptor (of `/dev/net/tun`, after `TUNSETIFF`) the caller has: the segment reads and
    /// writes its frames. The interface can be in any namespace.
    pub async fn tap_descriptor(&self, _port_name: impl Into<PortName>, _descriptor: OwnedFd) -> Result<Port, Error> {
        todo!()
    }

    /// Plugs in whoever has the returned socket, each datagram of which is a frame: QEMU's `-netdev dgram,id=ID,local.type=fd,local.str=FD`.
    ///
    /// Needs neither a privilege nor `/dev/net/tun`.
    pub async fn dgram(&self, _port_name: impl Into<PortName>) -> Result<(Port, OwnedFd), Error> {
        todo!()
    }

    /// Plugs in whoever has the returned socket, which carries frames behind their length in 32 bits, big-endian: QEMU's
    /// `-netdev stream,id=ID,addr.type=fd,addr.str=FD` and `-netdev socket,id=ID,fd=FD`.
    ///
    /// Needs neither a privilege nor `/dev/net/tun`.
    pub async fn stream(&self, _port_name: impl Into<PortName>) -> Result<(Port, OwnedFd), Error> {
        todo!()
    }

    /// Lets VDE clients plug in (`vde_plug`, QEMU's `-netdev vde,id=ID,sock=DIRECTORY`): makes `directory` (mode 0700), which must not
    /// exist, with a socket `ctl` in it. Any number of clients are joined by the one link of the name.
    ///
    /// With the port, the directory and all clients go.
    pub async fn vde(&self, _port_name: impl Into<PortName>, _directory: &Path) -> Result<Port, Error> {
        todo!()
    }

    /// Lets no frame pass between links of different groups. Links in no group reach everybody. Partitions add up until they are
    /// [healed](Self::heal), and hold for ports that come later.
    pub async fn partition<S: AsRef<str> + Sync>(&self, _groups: &[Vec<S>]) -> Result<(), Error> {
        todo!()
    }

    /// Lets no frame pass from any of `from` to any of `to`; the other way they pass.
    pub async fn partition_one_way<S: AsRef<str> + Sync>(&self, _from: &[S], _to: &[S]) -> Result<(), Error> {
        todo!()
    }

    /// Lets no frame pass between a link and all others.
    pub async fn isolate(&self, _link: &str) -> Result<(), Error> {
        todo!()
    }

    /// Ends all partitions and isolations.
    pub async fn heal(&self) -> Result<(), Error> {
        todo!()
    }

    /// Writes the segment's frames to a pcapng file: each once, as it comes in from its link, which is named as its interface.
    pub async fn capture(&self, path: &Path, options: CaptureOptions) -> Result<Capture, Error> {
        self.inner.capture(None, path, options).await
    }

    /// The counts of all links that ever had a port, by their names.
    pub async fn stats(&self) -> Result<BTreeMap<String, LinkStats>, Error> {
        todo!()
    }
}

impl Inner {
    pub(crate) async fn impair(&self, _link: &str, _direction: Direction, _: &Impairment) -> Result<(), Error> {
        todo!()
    }

    pub(crate) async fn clear(&self, _link: &str) -> Result<(), Error> {
        todo!()
    }

    pub(crate) async fn set_link(&self, _link: &str, _up: bool) -> Result<(), Error> {
        todo!()
    }

    pub(crate) async fn link_stats(&self, _link: &str) -> Result<LinkStats, Error> {
        todo!()
    }

    pub(crate) async fn capture(
        &self,
        _link: Option<&str>,
        _path: &Path,
        _options: CaptureOptions,
    ) -> Result<Capture, Error> {
        todo!()
    }
}
