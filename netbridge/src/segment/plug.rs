//! How ports are made and removed.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, setsockopt, socketpair, sockopt};
use tokio::net::TcpStream;

use super::Inner;
use super::inner::{How, KernelPort, Plugged};
use crate::kernel::device::{Counters, Device, Owned};
use crate::kernel::{socket, tap, veth};
use crate::switch::PortId;
use crate::switch::io::Io;
use crate::{Error, Interface, InterfaceName, Namespace, Port, PortName};

/// What the kernel may keep of frames that wait to be read, in bytes of its own counting.
const BUFFER: usize = 1 << 20;

impl Inner {
    pub(super) async fn plug_veth(
        self: &Arc<Self>,
        name: &PortName,
        target: &Namespace,
        interface: &Interface,
    ) -> Result<Port, Error> {
        let namespace = self.within("plug in a veth pair")?;
        let bridge = self.bridge_for(&name.link).await;
        let near = veth::plug(namespace, bridge, &name.interface, target, interface).await?;
        self.register(name, near).await
    }

    pub(super) async fn plug_tap(self: &Arc<Self>, name: &PortName) -> Result<(Port, OwnedFd), Error> {
        let namespace = self.within("plug in a tap")?;
        let bridge = self.bridge_for(&name.link).await;
        let (near, descriptor) = tap::plug(namespace, bridge, &name.interface).await?;
        Ok((self.register(name, near).await?, descriptor))
    }

    /// Plugs in what the switch itself reads and writes.
    pub(super) async fn plug_io(self: &Arc<Self>, name: &PortName, io: Io) -> Result<Port, Error> {
        let port = Port::new(self, &name.link, None);
        self.plug_io_as(port.number(), &name.link, io).await?;
        Ok(port)
    }

    /// Plugs in a descriptor that belongs to the port of this number.
    pub(super) async fn plug_io_as(self: &Arc<Self>, port: u64, link: &str, io: Io) -> Result<PortId, Error> {
        let (inner, link) = (self.clone(), Arc::<str>::from(link));
        let added = self.whole(async move {
            let mut state = inner.state.lock().await;
            inner.ensure_trunk(&mut state).await?;
            let name = link.clone();
            let switch = inner.ensure_switch(&mut state).await?;
            let added = switch.call(move |engine| engine.add(io, Some(&name))).await.flatten();
            let id = added.map_err(inner.broken("add a port to the switch"))?;
            let entry = state.links.entry(link.clone()).or_default();
            entry.ports.push(Plugged { port, how: How::Switch(id) });
            Ok(id)
        });
        added.await
    }

    /// Makes an interface of ours a port of its link.
    async fn register(self: &Arc<Self>, name: &PortName, near: Owned) -> Result<Port, Error> {
        let device = Device::clone(&near);
        let port = Port::new(self, &name.link, Some(near));
        let (inner, number, link) = (self.clone(), port.number(), Arc::<str>::from(name.link.as_str()));
        let registered = self.whole(async move {
            let mut state = inner.state.lock().await;
            let entry = state.links.entry(link.clone()).or_default();
            let how =
                KernelPort { device: device.clone(), switched: None, base: Counters::default(), shaped: [None, None] };
            entry.ports.push(Plugged { port: number, how: How::Kernel(Box::new(how)) });
            let down = entry.down;
            inner.settle(&mut state, &link).await?;
            if down { device.set_up(false).await } else { Ok(()) }
        });
        registered.await?;
        Ok(port)
    }

    /// Forgets all that belongs to a port, whose interface, if it is one, is about to go.
    pub(crate) async fn unplug(self: &Arc<Self>, link: &Arc<str>, number: u64) -> Result<(), Error> {
        let (inner, link) = (self.clone(), link.clone());
        let unplugged = self.whole(async move {
            let mut state = inner.state.lock().await;
            let Some(entry) = state.links.get_mut(&link) else { return Ok(()) };
            let (gone, kept) = std::mem::take(&mut entry.ports).into_iter().partition(|plugged| plugged.port == number);
            entry.ports = kept;
            let gone: Vec<Plugged> = gone;
            for plugged in gone {
                inner.let_go(&mut state, &link, plugged).await;
            }
            inner.settle_trunk(&mut state).await
        });
        unplugged.await
    }

    /// Lets go of one descriptor of a port that stays.
    pub(super) async fn unplug_io(self: &Arc<Self>, link: &str, id: PortId) -> Result<(), Error> {
        let (inner, link) = (self.clone(), Arc::<str>::from(link));
        let unplugged = self.whole(async move {
            let mut state = inner.state.lock().await;
            let ports = state.links.get_mut(&link).map(|entry| &mut entry.ports);
            let of_this = |plugged: &Plugged| matches!(plugged.how, How::Switch(known) if known == id);
            let found = ports.and_then(|ports| Some(ports.remove(ports.iter().position(of_this)?)));
            if let Some(plugged) = found {
                inner.let_go(&mut state, &link, plugged).await;
            }
            inner.settle_trunk(&mut state).await
        });
        unplugged.await
    }

    pub(super) async fn connect(self: &Arc<Self>, own: (IpAddr, u8), to: SocketAddr) -> Result<TcpStream, Error> {
        if let Some(bridge) = &self.bridge {
            return socket::connect(bridge, own, to).await;
        }
        let namespace = self.within("connect to somebody on it")?.clone();
        let inner = self.clone();
        let device = self.whole(async move {
            let mut state = inner.state.lock().await;
            if let Some((_, host)) = &state.host {
                return Ok(host.clone());
            }
            let (own, ours) = (inner.name.clone(), InterfaceName::new(format!("nb-host{}", inner.number()))?);
            let interface = Interface { name: own.clone(), mac: None, addresses: Vec::new(), mtu: None };
            let near = veth::plug(&namespace, None, &ours, &namespace, &interface).await?;
            let packet = inner.packet_socket(&near).await?;
            let switch = inner.ensure_switch(&mut state).await?;
            let added = switch.call(move |engine| engine.add(Io::Packet(packet), None)).await.flatten();
            added.map_err(inner.broken("add the segment's own interface to the switch"))?;
            let host = Device::find(&namespace, &own).await?;
            state.host = Some((near, host.clone()));
            Ok(host)
        });
        socket::connect(&device.await?, own, to).await
    }

    /// The bridge, if that is what a new port of `link` shall be plugged into.
    async fn bridge_for(&self, link: &str) -> Option<&Device> {
        let state = self.state.lock().await;
        if self.wants_switch(&state, link) { None } else { self.bridge.as_deref() }
    }

    pub(super) fn within(&self, operation: &'static str) -> Result<&Arc<Namespace>, Error> {
        self.namespace.as_ref().ok_or_else(|| Error::Unsupported {
            segment: self.name.clone(),
            operation,
            why: "the switch has no network namespace to do that in; make it with one, or plug in a socket",
        })
    }
}

/// A pair of sockets that frames pass through, the first of which is the segment's.
pub(super) fn pair(name: &PortName, kind: SockType) -> Result<(OwnedFd, OwnedFd), Error> {
    let made = || -> nix::Result<(OwnedFd, OwnedFd)> {
        let (ours, theirs) =
            socketpair(AddressFamily::Unix, kind, None, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK)?;
        for socket in [&ours, &theirs] {
            enlarge(socket)?;
        }
        Ok((ours, theirs))
    };
    made().map_err(|errno| Error::Port {
        port: name.link.clone(),
        operation: "make a pair of sockets",
        errno: errno.into(),
        cure: "",
    })
}

/// Gives a socket room for frames that wait to be read.
pub(super) fn enlarge(socket: &OwnedFd) -> nix::Result<()> {
    // Needs a privilege, without which the limit of the system holds.
    setsockopt(socket, sockopt::SndBufForce, &BUFFER).or_else(|_| setsockopt(socket, sockopt::SndBuf, &BUFFER))
}
