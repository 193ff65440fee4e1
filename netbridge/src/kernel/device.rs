//! An interface that was made here and has to be removed again.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use nix::errno::Errno;
use rtnetlink::LinkUnspec;
use rtnetlink::packet_route::link::{AfSpecInet6, AfSpecUnspec, In6AddrGenMode, LinkAttribute, LinkMessage};

use crate::error::Operation;
use crate::kernel::netlink;
use crate::kernel::netlink::Refusal;
use crate::{Error, InterfaceName, Namespace};

/// An interface of ours in `namespace`. Dropping it has it removed in the background.
#[derive(Debug)]
pub(crate) struct Device {
    namespace: Arc<Namespace>,
    name: InterfaceName,
    index: u32,
    removed: bool,
}

impl Device {
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
            let link = Self { namespace, name, index: created.header.index, removed: false };
            Ok((link, netlink::peer_index(&created)))
        });
        created.await.unwrap_or_else(|_| Err(netlink::closed().into()))
    }

    /// Takes charge of the interface `name`, which something else of ours has made.
    pub(crate) async fn find(namespace: &Arc<Namespace>, name: &InterfaceName) -> Result<Self, Error> {
        let query = LinkUnspec::new_with_name(name.as_str()).build();
        let found = netlink::query_link(namespace.netlink(), query).await;
        let found = found.map_err(|refusal| Operation::QueryLink.failed_on(name, refusal))?;
        let namespace = Arc::clone(namespace);
        Ok(Self { namespace, name: name.clone(), index: found.header.index, removed: false })
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

    /// Sets the link up or down (`ip link set NAME up`).
    pub(crate) async fn set_up(&self, up: bool) -> Result<(), Error> {
        let link = LinkUnspec::new_with_index(self.index);
        let link = if up { link.up() } else { link.down() }.build();
        let changed = netlink::change_link(self.namespace.netlink(), link);
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

    /// Removes the link because of `error`, which it gives back: what went wrong first is what the caller has to know.
    pub(crate) async fn undo(self, error: Error) -> Error {
        let name = self.name.clone();
        if let Err(also) = self.remove().await {
            tracing::warn!(interface = %name, error = %also, "could not remove interface");
        }
        error
    }

    /// Removes the link (`ip link del NAME`); with a veth end goes the other end. A link that is gone already is removed.
    pub(crate) async fn remove(mut self) -> Result<(), Error> {
        let removed = remove(&self.namespace, &self.name, self.index).await;
        self.removed = true;
        removed
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        if self.removed {
            return;
        }
        let (namespace, name, index) = (Arc::clone(&self.namespace), self.name.clone(), self.index);
        // When the runtime has ended there is nobody to do it; then the namespace is about to go too.
        self.namespace.runtime().spawn(async move {
            if let Err(error) = remove(&namespace, &name, index).await {
                tracing::warn!(interface = %name, %error, "could not remove interface");
            }
        });
    }
}

/// Removes by index, which the kernel does not use again soon, and not by name: meanwhile another interface may have the name.
async fn remove(namespace: &Namespace, name: &InterfaceName, index: u32) -> Result<(), Error> {
    match netlink::remove_link(namespace.netlink(), LinkUnspec::new_with_index(index).build()).await {
        Err(refusal) if refusal.is(Errno::ENODEV) => Ok(()),
        removed => removed.map_err(|refusal| Operation::RemoveLink.failed_on(name, refusal)),
    }
}
