//! Segments: LANs that ports plug into.

mod captures;
mod faults;
mod inner;
mod plug;
mod user_path;
mod vde;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use rtnetlink::LinkBridge;
use rtnetlink::packet_route::link::BridgeStpState;
use tokio::net::TcpStream;

pub use captures::Capture;
pub(crate) use inner::Inner;

use crate::error::Operation;
use crate::kernel::device::Owned;
use crate::switch::io::{Io, tap::Tap};
use crate::{CaptureOptions, Error, Interface, InterfaceName, Link, LinkStats, Namespace, Port, PortName};

/// All link-local multicast groups that a bridge can be told to forward: the three left out are the bridge's own (spanning tree, pause
/// frames, link aggregation).
const LINK_LOCAL_GROUPS: u16 = 0xfff8;

/// One LAN: frames sent into one of its ports reach the others.
///
/// When it is dropped, and its links and captures too, its bridge is removed in the background and its switch ends, which closes the
/// sockets. Its ports stay, but connect nothing any more. At the latest it goes with its namespace.
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
        let created = Owned::create(&namespace, &name, message, None).await;
        let (bridge, _) = created.map_err(|refusal| Operation::CreateBridge.failed_on(&name, refusal))?;
        match bridge.set_up_mute().await {
            Ok(()) => Ok(Self { inner: Arc::new(Inner::new(name, Kind::Bridge, Some(namespace), Some(bridge))) }),
            Err(error) => Err(bridge.undo(error).await),
        }
    }

    /// Makes a segment from a switch in user space, which needs no privilege. Its ports are sockets; with `namespace`, which needs the
    /// privileges of a bridge, they can be interfaces of the kernel too.
    ///
    /// Must be called within a tokio runtime, like everything here.
    pub fn switch(namespace: Option<Arc<Namespace>>, name: InterfaceName) -> Self {
        Self::switch_because(namespace, name, "a switch was asked for".to_owned())
    }

    /// Makes a segment from a bridge where that is possible, else from a switch; [`kind`](Self::kind) says which, and why.
    pub async fn automatic(namespace: Option<Arc<Namespace>>, name: InterfaceName) -> Self {
        let Some(namespace) = namespace else {
            return Self::switch_because(None, name, "there is no network namespace for a bridge".to_owned());
        };
        match Self::bridge(namespace.clone(), name.clone()).await {
            Ok(segment) => segment,
            Err(error) => Self::switch_because(Some(namespace), name, error.to_string()),
        }
    }

    fn switch_because(namespace: Option<Arc<Namespace>>, name: InterfaceName, why: String) -> Self {
        Self { inner: Arc::new(Inner::new(name, Kind::Switch { why }, namespace, None)) }
    }

    /// What carries its frames.
    pub fn kind(&self) -> &Kind {
        &self.inner.kind
    }

    /// Its name.
    pub fn name(&self) -> &InterfaceName {
        &self.inner.name
    }

    /// The namespace that the segment is in, if it is in one.
    pub fn namespace(&self) -> Option<&Arc<Namespace>> {
        self.inner.namespace.as_ref()
    }

    /// The link of the ports of this name, of which there need not be one yet.
    pub fn link(&self, name: &str) -> Link {
        Link { segment: self.inner.clone(), name: name.into() }
    }

    /// Plugs `target` in with a veth pair: one end, `port_name`, is a port of the segment; the other appears in `target` as `interface`
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
        self.inner.plug_veth(&port_name.into(), target, interface).await
    }

    /// Plugs in whoever has the returned descriptor: a tap, `port_name`, is a port of the segment, and its frames pass through the
    /// descriptor, each behind a `virtio_net_hdr` (`ip tuntap add PORT mode tap vnet_hdr`).
    ///
    /// The descriptor does not block. The tap goes with its last copy, or with the port. A call that fails or is cancelled leaves nothing
    /// behind.
    pub async fn tap(&self, port_name: impl Into<PortName>) -> Result<(Port, OwnedFd), Error> {
        self.inner.plug_tap(&port_name.into()).await
    }

    /// Plugs in the interface of a tap whose descriptor (of `/dev/net/tun`, after `TUNSETIFF` with `IFF_TAP | IFF_NO_PI`) the caller has: the
    /// segment reads and writes its frames. The interface can be in any namespace.
    pub async fn tap_descriptor(&self, port_name: impl Into<PortName>, descriptor: OwnedFd) -> Result<Port, Error> {
        let name = port_name.into();
        let tap = Tap::new(descriptor).map_err(|errno| Error::Port {
            port: name.link.clone(),
            operation: "take a tap's descriptor",
            errno,
            cure: "open /dev/net/tun and make a tap by TUNSETIFF with IFF_TAP | IFF_NO_PI",
        })?;
        self.inner.plug_io(&name, Io::Tap(tap)).await
    }

    /// Plugs in whoever has the returned socket, each datagram of which is a frame: QEMU's `-netdev dgram,id=ID,local.type=fd,local.str=FD`.
    ///
    /// Needs neither a privilege nor `/dev/net/tun`.
    pub async fn dgram(&self, port_name: impl Into<PortName>) -> Result<(Port, OwnedFd), Error> {
        let name = port_name.into();
        let (ours, theirs) = plug::pair(&name, nix::sys::socket::SockType::Datagram)?;
        Ok((self.inner.plug_io(&name, Io::Dgram(ours)).await?, theirs))
    }

    /// Plugs in whoever has the returned socket, which carries frames behind their length in 32 bits, big-endian: QEMU's
    /// `-netdev stream,id=ID,addr.type=fd,addr.str=FD` and `-netdev socket,id=ID,fd=FD`.
    ///
    /// Needs neither a privilege nor `/dev/net/tun`.
    pub async fn stream(&self, port_name: impl Into<PortName>) -> Result<(Port, OwnedFd), Error> {
        let name = port_name.into();
        let (ours, theirs) = plug::pair(&name, nix::sys::socket::SockType::Stream)?;
        Ok((self.inner.plug_io(&name, Io::Stream(Box::new(ours.into()))).await?, theirs))
    }

    /// Lets VDE clients plug in (`vde_plug`, QEMU's `-netdev vde,id=ID,sock=DIRECTORY`): makes `directory` (mode 0700), which must not
    /// exist, with a socket `ctl` in it. Up to 64 clients are joined by the one link of the name.
    ///
    /// With the port, the directory and all clients go.
    pub async fn vde(&self, port_name: impl Into<PortName>, directory: &Path) -> Result<Port, Error> {
        vde::listen(&self.inner, &port_name.into(), directory).await
    }

    /// Connects to somebody on the segment from the namespace that it is in.
    ///
    /// For that the segment gets an address, `own` with the length of its prefix in bits, and keeps it: from the first such call on the
    /// namespace takes part in the traffic. It passes no packets on from one segment to another: forwarding is turned off in it.
    pub async fn connect(&self, own: (IpAddr, u8), to: SocketAddr) -> Result<TcpStream, Error> {
        self.inner.connect(own, to).await
    }

    /// Lets no frame pass between links of different groups. Links in no group reach everybody. Partitions add up until they are
    /// [healed](Self::heal), and hold for ports that come later.
    pub async fn partition<S: AsRef<str>>(&self, groups: &[Vec<S>]) -> Result<(), Error> {
        let groups: Vec<Vec<String>> =
            groups.iter().map(|group| group.iter().map(|link| link.as_ref().to_owned()).collect()).collect();
        self.inner.partition(groups, false).await
    }

    /// Lets no frame pass from any of `from` to any of `to`; the other way they pass.
    pub async fn partition_one_way<S: AsRef<str>>(&self, from: &[S], to: &[S]) -> Result<(), Error> {
        let group = |links: &[S]| links.iter().map(|link| link.as_ref().to_owned()).collect::<Vec<_>>();
        self.inner.partition(vec![group(from), group(to)], true).await
    }

    /// Lets no frame pass between a link and all others.
    pub async fn isolate(&self, link: &str) -> Result<(), Error> {
        self.inner.isolate(link).await
    }

    /// Ends all partitions and isolations.
    pub async fn heal(&self) -> Result<(), Error> {
        self.inner.heal().await
    }

    /// Writes the segment's frames to a pcapng file: each once, as it comes in from its link, which is named as its interface.
    pub async fn capture(&self, path: &Path, options: CaptureOptions) -> Result<Capture, Error> {
        self.inner.capture(None, path, options).await
    }

    /// The counts of all links that ever had a port or a fault, by their names.
    pub async fn stats(&self) -> Result<BTreeMap<String, LinkStats>, Error> {
        self.inner.stats().await
    }
}
