//! Machines of a LAN without the machines: network namespaces with an `eth1` that is plugged in by each kind of port.

mod adapter;
mod packet;
mod tap;
mod transfer;
mod vde;

use std::error::Error;
use std::fmt;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use netbridge::{Interface, InterfaceName, Namespace, Port, PortName, Segment};
use tempfile::TempDir;

use adapter::Adapter;
pub(crate) use packet::PacketSocket;
pub(crate) use transfer::transfer;
use vde::Plug;

pub(crate) type Result<T = ()> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// What comes later than this will never come.
const PATIENCE: Duration = Duration::from_secs(20);

const INTERFACE: &str = "eth1";

/// How something is plugged into a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A veth pair.
    Veth,
    /// A tap of the segment, whose descriptor a machine has: frames behind a `virtio_net_hdr`.
    Tap,
    /// A tap of the machine, whose descriptor the segment has.
    TapDescriptor,
    /// The same, with frames behind a `virtio_net_hdr`.
    TapDescriptorVnet,
    /// A datagram socket.
    Dgram,
    /// A stream socket.
    Stream,
    /// The program `vde_plug2tap`.
    Vde,
}

impl Kind {
    /// Whether its port is an interface of the kernel also on a switch.
    pub(crate) fn needs_namespace(self) -> bool {
        matches!(self, Self::Veth | Self::Tap)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Veth => "veth",
            Self::Tap => "tap",
            Self::TapDescriptor => "tap_descriptor",
            Self::TapDescriptorVnet => "tap_descriptor+vnet",
            Self::Dgram => "dgram",
            Self::Stream => "stream",
            Self::Vde => "vde",
        })
    }
}

/// One machine of a LAN. Dropping it unplugs it and ends all that moves its frames.
pub(crate) struct Endpoint {
    pub(crate) node: u8,
    pub(crate) namespace: Arc<Namespace>,
    _joint: Joint,
    _port: Option<Port>,
}

/// What has to live as long as the machine is plugged in.
#[expect(dead_code, reason = "held for their drops")]
enum Joint {
    None,
    Adapter(Adapter),
    Vde(Plug, Option<TempDir>),
}

impl Endpoint {
    /// Plugs machine number `node` into a segment. Frames pass when this returns.
    pub(crate) async fn plug(lan: &Segment, kind: Kind, node: u8, mtu: u32) -> Result<Self> {
        let namespace = Arc::new(Namespace::new().await?);
        let name = PortName::from(InterfaceName::new(format!("port{node}"))?);
        let (port, joint) = match kind {
            Kind::Veth => {
                let port = lan.veth(name, &namespace, &interface(node, mtu)?).await?;
                return Ok(Self { node, namespace, _port: Some(port), _joint: Joint::None });
            }
            Kind::Tap => {
                let tap = tap::open(&namespace, INTERFACE, true).await?;
                let (port, descriptor) = lan.tap(name).await?;
                tap::offload(&tap)?;
                tap::offload(&descriptor)?;
                (port, Joint::Adapter(Adapter::of_datagrams(&tap, descriptor)?))
            }
            Kind::TapDescriptor | Kind::TapDescriptorVnet => {
                let tap = tap::open(&namespace, INTERFACE, kind == Kind::TapDescriptorVnet).await?;
                (lan.tap_descriptor(name, tap).await?, Joint::None)
            }
            Kind::Dgram => {
                let tap = tap::open(&namespace, INTERFACE, false).await?;
                let (port, socket) = lan.dgram(name).await?;
                (port, Joint::Adapter(Adapter::of_datagrams(&tap, socket)?))
            }
            Kind::Stream => {
                let tap = tap::open(&namespace, INTERFACE, false).await?;
                let (port, socket) = lan.stream(name).await?;
                (port, Joint::Adapter(Adapter::of_stream(&tap, socket)?))
            }
            Kind::Vde => {
                let place = tempfile::Builder::new().prefix("netbridge-").tempdir()?;
                let directory = place.path().join("vde");
                let port = lan.vde(name, &directory).await?;
                (port, Joint::Vde(Plug::into_switch(&namespace, &directory, INTERFACE).await?, Some(place)))
            }
        };
        configure(&namespace, node, mtu).await?;
        Ok(Self { node, namespace, _port: Some(port), _joint: joint })
    }

    /// Plugs machine number `node` into somebody else's VDE switch.
    pub(crate) async fn plug_into_vde_switch(directory: &Path, node: u8) -> Result<Self> {
        let namespace = Arc::new(Namespace::new().await?);
        let plug = Plug::into_switch(&namespace, directory, INTERFACE).await?;
        configure(&namespace, node, 1500).await?;
        Ok(Self { node, namespace, _port: None, _joint: Joint::Vde(plug, None) })
    }

    /// Takes a namespace with an `eth1` that somebody else has plugged in.
    pub(crate) async fn plugged(namespace: Arc<Namespace>, node: u8) -> Result<Self> {
        configure(&namespace, node, 1500).await?;
        Ok(Self { node, namespace, _port: None, _joint: Joint::None })
    }

    pub(crate) fn v4(&self) -> IpAddr {
        v4(self.node)
    }

    pub(crate) fn v6(&self) -> IpAddr {
        v6(self.node)
    }

    pub(crate) fn mac(&self) -> [u8; 6] {
        mac(self.node)
    }

    /// A socket that sends and receives whole frames.
    pub(crate) async fn packet_socket(&self) -> Result<PacketSocket> {
        Ok(self.namespace.run(|| PacketSocket::open(INTERFACE)).await??)
    }
}

fn mac(node: u8) -> [u8; 6] {
    [0x52, 0x54, 0x00, 0x12, 0x01, node]
}

fn v4(node: u8) -> IpAddr {
    Ipv4Addr::new(192, 168, 1, node).into()
}

fn v6(node: u8) -> IpAddr {
    Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, node.into()).into()
}

fn interface(node: u8, mtu: u32) -> Result<Interface> {
    let addresses = vec![(v4(node), 24), (v6(node), 64)];
    Ok(Interface { name: InterfaceName::new(INTERFACE)?, mac: Some(mac(node)), addresses, mtu: Some(mtu) })
}

/// Gives a tap what `interface` gives to a veth end.
async fn configure(namespace: &Namespace, node: u8, mtu: u32) -> Result {
    let mac = mac(node).map(|byte| format!("{byte:02x}")).join(":");
    let (v4, v6) = (v4(node), v6(node));
    let commands = format!(
        "link set {INTERFACE} address {mac} mtu {mtu}\n\
         link set {INTERFACE} up\n\
         address add {v4}/24 dev {INTERFACE}\n\
         address add {v6}/64 dev {INTERFACE} nodad\n"
    );
    ip(namespace, commands).await
}

/// Runs commands of `ip`, one a line, in a namespace.
pub(crate) async fn ip(namespace: &Namespace, commands: String) -> Result {
    let ran = namespace.run(move || {
        let mut ip = Command::new("ip");
        let mut ip = ip.args(["-batch", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        ip.stdin.take().ok_or("no standard input")?.write_all(commands.as_bytes())?;
        let output = ip.wait_with_output()?;
        if output.status.success() {
            return Ok(());
        }
        Err(format!("ip: {}\n{commands}", String::from_utf8_lossy(&output.stderr)).into())
    });
    ran.await?
}
