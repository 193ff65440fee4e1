//! Making and configuring a veth pair.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fs, io};

use futures::future::{join, try_join, try_join_all};
use nix::errno::Errno;
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use rtnetlink::packet_route::link::{InfoData, InfoKind, InfoVeth, LinkMessage};
use rtnetlink::{AddressMessageBuilder, LinkMessageBuilder, LinkUnspec};

use crate::error::Operation;
use crate::kernel::device::{Device, Owned};
use crate::kernel::netlink;
use crate::{Error, Interface, InterfaceName, Namespace};

/// How long a new pair may take until it carries frames; the kernel needs a millisecond.
const CARRIER: Duration = Duration::from_secs(10);

/// Makes a veth pair from `port` in `namespace` to `interface` in `target` and gives the first end, which is a port of `bridge` if there is one.
pub(crate) async fn plug(
    namespace: &Arc<Namespace>,
    bridge: Option<&Device>,
    port: &InterfaceName,
    target: &Namespace,
    interface: &Interface,
) -> Result<Owned, Error> {
    let (near, far) = create(namespace, bridge, port, target, interface).await?;
    match configure(&near, far, target, interface).await {
        Ok(()) => Ok(near),
        Err(error) => Err(near.undo(error).await),
    }
}

/// Creates the pair with both ends where they belong, and down. Gives the near end and the index of the far end.
async fn create(
    namespace: &Arc<Namespace>,
    bridge: Option<&Device>,
    port: &InterfaceName,
    target: &Namespace,
    interface: &Interface,
) -> Result<(Owned, u32), Error> {
    let failed = |refusal| Operation::CreateVeth.failed_on(port, refusal);
    let descriptor = target.as_fd().try_clone_to_owned().map_err(|errno| failed(errno.into()))?;

    let near = LinkMessageBuilder::<LinkUnspec>::new_with_info_kind(InfoKind::Veth).name(port.as_str());
    let mut near = match bridge {
        Some(bridge) => near.controller(bridge.index()),
        // The kernel must not answer for it.
        None => near.arp(false),
    };
    let mut far =
        LinkMessageBuilder::<LinkUnspec>::default().name(interface.name.as_str()).setns_by_fd(descriptor.as_raw_fd());
    if let Some(mac) = interface.mac {
        far = far.address(mac.to_vec());
    }
    if let Some(mtu) = interface.mtu {
        // A veth end drops what is longer than its own MTU, in either direction.
        near = near.mtu(mtu);
        far = far.mtu(mtu);
    }
    let near = near.set_info_data(InfoData::Veth(InfoVeth::Peer(far.build())));

    match Owned::create(namespace, port, near.build(), Some(descriptor)).await {
        Ok(created) => Ok(created),
        Err(refusal) if refusal.is(Errno::EEXIST) => {
            // The kernel doesn't tell which of the two names it means.
            let far = LinkUnspec::new_with_name(interface.name.as_str()).build();
            let taken = netlink::query_link(target.netlink(), far).await.is_ok();
            let name = if taken { &interface.name } else { port };
            Err(Operation::CreateVeth.failed_on(name, refusal))
        }
        Err(refusal) => Err(failed(refusal)),
    }
}

/// Makes a veth pair within a namespace: `port`, a port of `bridge`, and `trunk`, which carries all frames that leave the bridge by it. Gives
/// both; the second goes with the first.
pub(crate) async fn trunk(
    bridge: &Device,
    port: &InterfaceName,
    trunk: &InterfaceName,
) -> Result<(Owned, Device), Error> {
    // Whatever the ports of the bridge let pass.
    const MTU: u32 = 65_535;
    let failed = |refusal| Operation::CreateVeth.failed_on(port, refusal);
    let far = LinkMessageBuilder::<LinkUnspec>::default().name(trunk.as_str()).mtu(MTU).arp(false).build();
    let near = LinkMessageBuilder::<LinkUnspec>::new_with_info_kind(InfoKind::Veth)
        .name(port.as_str())
        .controller(bridge.index())
        .mtu(MTU)
        .set_info_data(InfoData::Veth(InfoVeth::Peer(far)));
    let (near, far) = Owned::create(bridge.namespace(), port, near.build(), None).await.map_err(failed)?;
    let far = Device::new(bridge.namespace().clone(), trunk.clone(), far);
    let ready = async {
        far.set_up_mute().await?;
        near.set_up_mute().await?;
        carrier(near.namespace(), near.index(), near.name()).await
    };
    match ready.await {
        Ok(()) => Ok((near, far)),
        Err(error) => Err(near.undo(error).await),
    }
}

async fn configure(near: &Device, far: u32, target: &Namespace, interface: &Interface) -> Result<(), Error> {
    // The near end first: the far end, which gets addresses, then finds a carrier when it comes up.
    let (near_up, ()) = join(near.set_up_mute(), skip_duplicate_detection(target, interface)).await;
    near_up?;

    // All requests are on their way before the first answer is waited for. The kernel treats them in this order.
    let loopback = target.loopback_up();
    let up = netlink::change_link(target.netlink(), LinkUnspec::new_with_index(far).up().build());
    let up = async { up.await.map_err(|refusal| Operation::SetLink.failed_on(&interface.name, refusal)) };
    let addresses = interface.addresses.iter().map(|&(address, prefix)| {
        let added = netlink::add_address(target.netlink(), address_message(far, address, prefix));
        async { added.await.map_err(|refusal| Operation::AddAddress.failed_on(&interface.name, refusal)) }
    });
    let addresses = try_join_all(addresses.collect::<Vec<_>>());
    futures::try_join!(loopback, up, addresses)?;

    try_join(carrier(near.namespace(), near.index(), near.name()), carrier(target, far, &interface.name))
        .await
        .map(drop)
}

pub(crate) fn address_message(index: u32, address: IpAddr, prefix: u8) -> AddressMessage {
    match address {
        IpAddr::V4(address) => AddressMessageBuilder::<Ipv4Addr>::new().index(index).address(address, prefix).build(),
        IpAddr::V6(address) => {
            let mut message = AddressMessageBuilder::<Ipv6Addr>::new().index(index).address(address, prefix).build();
            message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
            message
        }
    }
}

/// Has the far end use its link-local address, which the kernel makes itself, without looking for duplicates of it for a second.
///
/// It does without where `/proc/sys` can't be written: all other addresses are added with a flag that has the same effect.
async fn skip_duplicate_detection(target: &Namespace, interface: &Interface) {
    let directory = format!("/proc/sys/net/ipv6/conf/{}", interface.name);
    let written = target.run(move || -> io::Result<()> {
        // The second counts where the sysctl `all/accept_dad` asks for detection on every interface.
        fs::write(format!("{directory}/accept_dad"), "0")?;
        fs::write(format!("{directory}/dad_transmits"), "0")
    });
    match written.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(interface = %interface.name, %error, "duplicate address detection stays on"),
        Err(error) => tracing::debug!(interface = %interface.name, %error, "duplicate address detection stays on"),
    }
}

/// Waits until the interface carries frames.
///
/// The kernel's link watch does the last step (queueing discipline, bridge port forwarding) apart from the request that sets the link
/// up; frames sent before it are lost. Since Linux 6.8 a query has that step done first.
async fn carrier(namespace: &Namespace, index: u32, name: &InterfaceName) -> Result<(), Error> {
    let start = Instant::now();
    let mut pause = Duration::from_millis(1);
    while start.elapsed() < CARRIER {
        let link = netlink::query_link(namespace.netlink(), LinkUnspec::new_with_index(index).build()).await;
        let link: LinkMessage = link.map_err(|refusal| Operation::QueryLink.failed_on(name, refusal))?;
        if netlink::is_operational(&link) {
            return Ok(());
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(50));
    }
    Err(Error::NotReady { interface: name.clone(), waited: CARRIER })
}
