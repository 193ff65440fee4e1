//! Interfaces of the kernel, as netlink sees them, and those that were made here and have to be removed again.

use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use nix::errno::Errno;
use rtnetlink::packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoBridgePort, InfoPortData, InfoPortKind, LinkAttribute, LinkInfo,
    LinkMessage,
};
use rtnetlink::{LinkMessageBuilder, LinkUnspec};

use crate::error::Operation;
use crate::kernel::netlink;
use crate::kernel::netlink::Refusal;
use crate::{Error, InterfaceName, Namespace};

/// An interface in a namespace.
#[derive(Clone, Debug)]
pub(crate) struct Device {
    namespace: Arc<Namespace>,
    name: InterfaceName,
    index: u32,
}

/// An interface of ours. Dropping it has it removed in the background.
#[derive(Debug)]
pub(crate) struct Owned {
    device: Device,
    removed: bool,
}

/// What an interface counts: frames and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) received: (u64, u64),
    pub(crate) sent: (u64, u64),
}

impl Deref for Owned {
    type Target = Device;

    fn deref(&self) -> &Device {
        &self.device
    }
}

impl Owned {
    /// Creates the interface that `message` describes, which must have the name `name`.
    ///
    /// Gives it and the index of its other end, if it has one. `needed` stays open until the kernel has answered: `message` may name
    /// it. A caller that gives up waiting leaves nothing behind.
    pub(crate) async fn create(
        namespace: &Arc<Namespace>,
        name: &InterfaceName,
        message: LinkMessage,
        needed: Option<OwnedFd>,
    ) -> Result<(Self, u32), Refusal> {
        let namespace = Arc::clone(namespace);
        let name = name.clone();
        // In a task, because once the request is sent somebody must wait for the answer and own what was made.
        let created = namespace.runtime().clone().spawn(async move {
            let echoed = netlink::create_link(namespace.netlink(), message).await?;
            drop(needed);
            let created = match echoed {
                Some(link) => link,
                None => {
                    netlink::query_link(namespace.netlink(), LinkUnspec::new_with_name(name.as_str()).build()).await?
                }
            };
            let device = Device { namespace, name, index: created.header.index };
            let link = Self { device, removed: false };
            Ok((link, netlink::peer_index(&created)))
        });
        created.await.unwrap_or_else(|_| Err(netlink::closed().into()))
    }

    /// Takes charge of the interface `name`, which something else of ours has made.
    pub(crate) async fn find(namespace: &Arc<Namespace>, name: &InterfaceName) -> Result<Self, Error> {
        Ok(Self { device: Device::find(namespace, name).await?, removed: false })
    }

    /// Removes the link because of `error`, which it gives back: what went wrong first is what the caller has to know.
    pub(crate) async fn undo(self, error: Error) -> Error {
        let name = self.device.name.clone();
        if let Err(also) = self.remove().await {
            tracing::warn!(interface = %name, error = %also, "could not remove interface");
        }
        error
    }

    /// Removes the link (`ip link del NAME`); with a veth end goes the other end. A link that is gone already is removed.
    pub(crate) async fn remove(mut self) -> Result<(), Error> {
        let removed = remove(&self.device).await;
        self.removed = true;
        removed
    }
}

impl Device {
    /// The interface of this index, which is known to exist.
    pub(crate) fn new(namespace: Arc<Namespace>, name: InterfaceName, index: u32) -> Self {
        Self { namespace, name, index }
    }

    /// Looks up the interface `name`.
    pub(crate) async fn find(namespace: &Arc<Namespace>, name: &InterfaceName) -> Result<Self, Error> {
        let query = LinkUnspec::new_with_name(name.as_str()).build();
        let found = netlink::query_link(namespace.netlink(), query).await;
        let found = found.map_err(|refusal| Operation::QueryLink.failed_on(name, refusal))?;
        Ok(Self { namespace: Arc::clone(namespace), name: name.clone(), index: found.header.index })
    }

    pub(crate) fn namespace(&self) -> &Arc<Namespace> {
        &self.namespace
    }

    pub(crate) fn name(&self) -> &InterfaceName {
        &self.name
    }

    pub(crate) fn index(&self) -> u32 {
        self.index
    }

    /// Whether it is gone, because somebody removed it or its other end, or a namespace died.
    pub(crate) async fn is_gone(&self) -> bool {
        let query = LinkUnspec::new_with_index(self.index).build();
        let found = netlink::query_link(self.namespace.netlink(), query).await;
        found.is_err_and(|refusal| refusal.is(Errno::ENODEV))
    }

    /// Sets the link up or down (`ip link set NAME up`).
    pub(crate) async fn set_up(&self, up: bool) -> Result<(), Error> {
        let link = LinkUnspec::new_with_index(self.index);
        let link = if up { link.up() } else { link.down() }.build();
        let changed = netlink::change_link(self.namespace.netlink(), link);
        changed.await.map_err(|refusal| Operation::SetLink.failed_on(&self.name, refusal))
    }

    /// Makes the link a port of `bridge` (`ip link set NAME master BRIDGE`).
    pub(crate) async fn join(&self, bridge: &Self) -> Result<(), Error> {
        self.change(LinkUnspec::new_with_index(self.index).controller(bridge.index)).await
    }

    /// Takes the link out of its bridge, if it is in one, and keeps the kernel from answering for it (`ip link set NAME nomaster arp off`).
    pub(crate) async fn leave(&self) -> Result<(), Error> {
        self.change(LinkUnspec::new_with_index(self.index).nocontroller().arp(false)).await
    }

    /// Has the bridge forget which hosts are behind this port of it (`bridge fdb flush dev NAME`).
    pub(crate) async fn forget_hosts(&self) -> Result<(), Error> {
        let flush = InfoPortData::BridgePort(vec![InfoBridgePort::Flush]);
        let info = LinkAttribute::LinkInfo(vec![LinkInfo::PortKind(InfoPortKind::Bridge), LinkInfo::PortData(flush)]);
        self.change(LinkUnspec::new_with_index(self.index).append_extra_attribute(info)).await
    }

    /// Frames and bytes that it has received and sent.
    pub(crate) async fn counters(&self) -> Result<Counters, Error> {
        let query = LinkUnspec::new_with_index(self.index).build();
        let found = netlink::query_link(self.namespace.netlink(), query).await;
        let found = found.map_err(|refusal| Operation::QueryLink.failed_on(&self.name, refusal))?;
        let stats = found.attributes.iter().find_map(|attribute| match attribute {
            LinkAttribute::Stats64(stats) => Some(stats),
            _ => None,
        });
        let counters = stats.map(|stats| Counters {
            received: (stats.rx_packets, stats.rx_bytes),
            sent: (stats.tx_packets, stats.tx_bytes),
        });
        Ok(counters.unwrap_or_default())
    }

    async fn change(&self, link: LinkMessageBuilder<LinkUnspec>) -> Result<(), Error> {
        let changed = netlink::change_link(self.namespace.netlink(), link.build());
        changed.await.map_err(|refusal| Operation::SetLink.failed_on(&self.name, refusal))
    }

    /// Sets the link up and keeps IPv6 from giving it an address (`ip link set NAME addrgenmode none up`): it only carries the frames of
    /// others, and must not speak on their network.
    pub(crate) async fn set_up_mute(&self) -> Result<(), Error> {
        let mode = AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(In6AddrGenMode::None)]);
        let mute =
            LinkUnspec::new_with_index(self.index).append_extra_attribute(LinkAttribute::AfSpecUnspec(vec![mode]));
        let muted = netlink::change_link(self.namespace.netlink(), mute.build());
        match muted.await {
            // There is no IPv6, in the kernel or on a link of so small an MTU.
            Err(refusal) if refusal.is(Errno::EAFNOSUPPORT) => {}
            muted => muted.map_err(|refusal| Operation::SetLink.failed_on(&self.name, refusal))?,
        }
        self.set_up(true).await
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        if self.removed {
            return;
        }
        let device = self.device.clone();
        // When the runtime has ended there is nobody to do it; then the namespace is about to go too.
        self.device.namespace.runtime().clone().spawn(async move {
            if let Err(error) = remove(&device).await {
                tracing::warn!(interface = %device.name, %error, "could not remove interface");
            }
        });
    }
}

/// Removes by index, which the kernel does not use again soon, and not by name: meanwhile another interface may have the name.
async fn remove(device: &Device) -> Result<(), Error> {
    let link = LinkUnspec::new_with_index(device.index).build();
    match netlink::remove_link(device.namespace.netlink(), link).await {
        Err(refusal) if refusal.is(Errno::ENODEV) => Ok(()),
        removed => removed.map_err(|refusal| Operation::RemoveLink.failed_on(&device.name, refusal)),
    }
}
