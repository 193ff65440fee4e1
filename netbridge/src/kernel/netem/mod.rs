//! Impairing what passes a device at the speed of the kernel, with its netem.
//!
//! ```text
//!                              what comes in: ingress, redirected           ┌───────────────┐
//!  what is plugged in ──── device ────────────────────────────────────────▶ │ ifb: netem    │ ──▶ as if come in by device
//!                              ◀── what is sent: netem                      └───────────────┘
//! ```
//!
//! A qdisc sees what comes from the network stack: where an interface leaves segmentation to the next one, up to 64 KiB of TCP are one frame.
//! Delays and rates do not mind; what is left to chance for each frame, the switch does.

mod messages;
mod options;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use nix::errno::Errno;
use rtnetlink::packet_route::link::InfoKind;
use rtnetlink::packet_route::tc::{TcAttribute, TcMessage, TcStats2};
use rtnetlink::{LinkMessageBuilder, LinkUnspec};

pub(crate) use self::options::can;
use crate::error::Operation;
use crate::kernel::device::{Device, Owned};
use crate::kernel::netlink;
use crate::kernel::netlink::Refusal;
use crate::{Direction, Error, Impairment, InterfaceName, Namespace};

/// Where the kernel shows that the module of ifbs is loaded.
const IFB: &str = "/sys/module/ifb";

/// The index of `lo` in every network namespace.
const LOOPBACK: u32 = 1;

/// One direction of a device that has a netem. Dropping it has the netem removed in the background; frames that wait in it are lost.
#[derive(Debug)]
pub(crate) struct Shaped {
    namespace: Arc<Namespace>,
    name: InterfaceName,
    index: u32,
    /// Where the netem is that treats what comes in at the device; for what the device sends, it is on the device.
    ifb: Option<Owned>,
    removed: bool,
}

/// Has netem treat what passes `device` in `direction`, which it must not do yet. `impairment` must be one that it [`can`] do.
///
/// When this returns, it holds for the next frame. While the kernel puts the first qdisc on a device, it drops what the device should
/// send, for a millisecond or so. A call that fails leaves nothing behind.
pub(crate) async fn set(device: &Device, direction: Direction, impairment: &Impairment) -> Result<Shaped, Error> {
    let ifb = match direction {
        Direction::In => None,
        Direction::Out => Some(create_ifb(device.namespace(), &ifb_name(device.index())?).await?),
    };
    let shaped = Shaped {
        namespace: Arc::clone(device.namespace()),
        name: device.name().clone(),
        index: device.index(),
        ifb,
        removed: false,
    };
    match shaped.begin(impairment).await {
        Ok(()) => Ok(shaped),
        Err(error) => Err(shaped.undo(error).await),
    }
}

/// Whether the kernel has all that [`set`] needs in `namespace`; if not, what it lacks. It may load modules, but none that makes anything.
/// No frame is touched.
pub(crate) async fn available(namespace: &Arc<Namespace>, direction: Direction) -> Result<(), Error> {
    static PROBES: AtomicU16 = AtomicU16::new(0);

    // A netem without options is refused, but not before it is found.
    match netlink::put_qdisc(namespace.netlink(), messages::netem(LOOPBACK, None)).await {
        Err(refusal) if refusal.is(Errno::EINVAL) => {}
        Err(refusal) => return Err(Operation::PutNetem.failed(refusal)),
        Ok(()) => {
            let removed = netlink::remove_qdisc(namespace.netlink(), messages::root(LOOPBACK)).await;
            removed.map_err(|refusal| Operation::RemoveQdisc.failed(refusal))?;
        }
    }
    if direction == Direction::In {
        return Ok(());
    }
    // Where the kernel loads it by itself, it makes two of them in the host's own network.
    if !Path::new(IFB).exists() {
        return Err(Operation::CreateIfb.failed(io::Error::from(Errno::EOPNOTSUPP)));
    }
    let probe = PROBES.fetch_add(1, Ordering::Relaxed);
    let name = InterfaceName::new(format!("ifb-{:x}-{probe:x}", std::process::id()))?;
    let ifb = create_ifb(namespace, &name).await?;
    // It is down: nothing goes round in it.
    match redirect(namespace, &name, ifb.index(), ifb.index()).await {
        Ok(()) => ifb.remove().await,
        Err(error) => Err(ifb.undo(error).await),
    }
}

impl Shaped {
    /// Replaces the impairment for the frames to come; those under way arrive when they would have.
    ///
    /// With a rate, the line is not free before all that is under way has arrived.
    pub(crate) async fn change(&self, impairment: &Impairment) -> Result<(), Error> {
        let options = options::encode(impairment);
        let put = netlink::put_qdisc(self.namespace.netlink(), messages::netem(self.netem(), Some(options)));
        put.await.map_err(|refusal| Operation::PutNetem.failed_on(&self.name, refusal))
    }

    /// Lets frames pass as they come; those under way arrive when they would have. The netem stays, and counts.
    pub(crate) async fn clear(&self) -> Result<(), Error> {
        // With a limit, what is under way would keep others out.
        self.change(&Impairment { limit: usize::MAX, ..Impairment::default() }).await
    }

    /// Frames that found no room in it since it was set.
    pub(crate) async fn dropped(&self) -> Result<u64, Error> {
        let found = netlink::query_qdisc(self.namespace.netlink(), messages::root(self.netem())).await;
        found.map(|qdisc| drops(&qdisc)).map_err(|refusal| Operation::QueryQdisc.failed_on(&self.name, refusal))
    }

    /// Takes the netem off the device; frames that wait in it are lost. It succeeds also where the device is gone.
    pub(crate) async fn remove(mut self) -> Result<(), Error> {
        self.removed = true;
        // The redirection first: what is sent to an interface that is gone is lost.
        let removed =
            self.remove_qdisc().await.map_err(|refusal| Operation::RemoveQdisc.failed_on(&self.name, refusal));
        if let Some(ifb) = self.ifb.take() {
            ifb.remove().await?;
        }
        removed
    }

    async fn begin(&self, impairment: &Impairment) -> Result<(), Error> {
        self.change(impairment).await?;
        let Some(ifb) = &self.ifb else { return Ok(()) };
        ifb.set_up_mute().await?;
        redirect(&self.namespace, &self.name, self.index, ifb.index()).await
    }

    /// Takes it off because of `error`, which it gives back.
    async fn undo(self, error: Error) -> Error {
        let name = self.name.clone();
        if let Err(also) = self.remove().await {
            tracing::warn!(interface = %name, error = %also, "could not remove netem");
        }
        error
    }

    /// The index of the interface whose root the netem is.
    fn netem(&self) -> u32 {
        self.ifb.as_ref().map_or(self.index, |ifb| ifb.index())
    }

    /// Removes what is on the device itself. The request is queued at the call.
    fn remove_qdisc(&self) -> impl Future<Output = Result<(), Refusal>> + use<> {
        let qdisc = if self.ifb.is_some() { messages::ingress(self.index) } else { messages::root(self.index) };
        let removed = netlink::remove_qdisc(self.namespace.netlink(), qdisc);
        async {
            match removed.await {
                // The device is gone, or it never was on it.
                Err(refusal) if refusal.is(Errno::ENODEV) || refusal.is(Errno::ENOENT) => Ok(()),
                removed => removed,
            }
        }
    }
}

impl Drop for Shaped {
    fn drop(&mut self) {
        if self.removed {
            return;
        }
        let (name, removed) = (self.name.clone(), self.remove_qdisc());
        self.namespace.runtime().spawn(async move {
            if let Err(refusal) = removed.await {
                let error = Operation::RemoveQdisc.failed_on(&name, refusal);
                tracing::warn!(interface = %name, %error, "could not remove netem");
            }
        });
    }
}

async fn create_ifb(namespace: &Arc<Namespace>, name: &InterfaceName) -> Result<Owned, Error> {
    let message = LinkMessageBuilder::<LinkUnspec>::new_with_info_kind(InfoKind::Ifb).name(name.as_str()).build();
    let created = Owned::create(namespace, name, message, None).await;
    created.map(|(ifb, _)| ifb).map_err(|refusal| Operation::CreateIfb.failed_on(name, refusal))
}

/// A name that no other interface of its kind has in its namespace.
fn ifb_name(index: u32) -> Result<InterfaceName, Error> {
    InterfaceName::new(format!("ifb-{index}"))
}

/// Has all that comes in at `from`, which has the name `name`, sent by `to`.
async fn redirect(namespace: &Namespace, name: &InterfaceName, from: u32, to: u32) -> Result<(), Error> {
    let put = netlink::put_qdisc(namespace.netlink(), messages::ingress(from));
    put.await.map_err(|refusal| Operation::PutIngress.failed_on(name, refusal))?;
    let added = netlink::add_filter(namespace.netlink(), messages::redirect(from, to));
    added.await.map_err(|refusal| Operation::Redirect.failed_on(name, refusal))
}

fn drops(qdisc: &TcMessage) -> u64 {
    let statistics = qdisc.attributes.iter().filter_map(|attribute| match attribute {
        TcAttribute::Stats2(statistics) => Some(statistics),
        _ => None,
    });
    let mut drops = statistics.flatten().filter_map(|one| match one {
        TcStats2::Queue(queue) => Some(u64::from(queue.drops)),
        _ => None,
    });
    drops.next().unwrap_or(0)
}
