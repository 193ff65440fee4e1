//! What a segment is: what carries its frames, and all that is known of its links.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::runtime::Handle;
use tokio::sync::Mutex;

use super::Kind;
use super::captures::Open;
use super::user_path::Trunk;
use crate::kernel::device::{Counters, Device, Owned};
use crate::kernel::netem::Shaped;
use crate::stats::LinkStats;
use crate::switch::{PortId, Rules, Switch};
use crate::{Error, Impairment, InterfaceName, Namespace};

/// A segment, as its handle, its links and its ports share it.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(super) name: InterfaceName,
    pub(super) kind: Kind,
    pub(super) namespace: Option<Arc<Namespace>>,
    pub(super) bridge: Option<Owned>,
    pub(super) runtime: Handle,
    next: AtomicU64,
    /// Held while something changes, so that changes come one after another.
    pub(super) state: Mutex<State>,
}

/// What changes.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) links: BTreeMap<Arc<str>, LinkState>,
    pub(super) rules: Rules,
    pub(super) captures: Vec<Open>,
    /// There from the first time that it is needed.
    pub(super) switch: Option<Switch>,
    /// What joins the switch to the bridge, while it has other ports.
    pub(super) trunk: Option<Trunk>,
    /// Whether the kernel can impair frames from ports, and frames to them; unknown before it is first asked for.
    pub(super) netem: [Option<bool>; 2],
    /// The segment's own interface, where it is no bridge and has an address.
    pub(super) host: Option<(Owned, Device)>,
}

/// What is known of a link.
#[derive(Debug, Default)]
pub(super) struct LinkState {
    /// Of frames from the ports, and of those to them.
    pub(super) impairments: [Option<Impairment>; 2],
    pub(super) down: bool,
    pub(super) ports: Vec<Plugged>,
    /// What the kernel has carried while it was in charge, but for what it carries now.
    pub(super) carried: LinkStats,
    /// How many VDE clients were refused, by each port that takes them.
    pub(super) refused: Vec<Arc<AtomicU64>>,
}

/// A port that exists.
#[derive(Debug)]
pub(super) struct Plugged {
    /// Which [`Port`](crate::Port) it belongs to.
    pub(super) port: u64,
    pub(super) how: How,
}

/// How a port is plugged in.
#[derive(Debug)]
pub(super) enum How {
    /// By an interface of the kernel.
    Kernel(Box<KernelPort>),
    /// By a descriptor that the switch has.
    Switch(PortId),
}

/// An interface of the kernel that is a port.
#[derive(Debug)]
pub(super) struct KernelPort {
    pub(super) device: Device,
    /// Its port of the switch, while that carries its frames.
    pub(super) switched: Option<PortId>,
    /// What it had counted when the kernel took over.
    pub(super) base: Counters,
    /// What the kernel does to frames from it, and to those to it.
    pub(super) shaped: [Option<Shaped>; 2],
}

impl Inner {
    /// Must be called within a tokio runtime.
    pub(super) fn new(
        name: InterfaceName,
        kind: Kind,
        namespace: Option<Arc<Namespace>>,
        bridge: Option<Owned>,
    ) -> Self {
        let runtime = Handle::current();
        Self { name, kind, namespace, bridge, runtime, next: AtomicU64::new(0), state: Mutex::default() }
    }

    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// A number for a new port.
    pub(crate) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Does `work` to its end, also where the caller gives up: a link is never left half changed.
    pub(super) async fn whole<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let done = self.runtime.spawn(work).await;
        done.unwrap_or_else(|error| {
            Err(Error::Port {
                port: self.name.to_string(),
                operation: "change a segment",
                errno: std::io::Error::other(error),
                cure: "keep its tokio runtime alive",
            })
        })
    }

    /// The error of what the switch refuses.
    pub(super) fn broken(&self, operation: &'static str) -> impl FnOnce(std::io::Error) -> Error + use<> {
        let port = self.name.to_string();
        move |errno| Error::Port { port, operation, errno, cure: "" }
    }
}
