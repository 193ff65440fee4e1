//! What makes machines: the trait that a backend implements.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use netbridge::{Interface, InterfaceName, Namespace, Port, Segment};
use serde::{Deserialize, Serialize};

use crate::console::Console;
use crate::error::MachineError;
use crate::guest::Guest;
use crate::need::Need;
use crate::network::{Attachment, HostEntry};
use crate::spec::{MachineSpec, Problem, VlanId};

/// Makes machines of one kind.
///
/// A backend holds no state of a run: everything a start needs is in the request, and what must outlive one boot of a machine (its disk)
/// lies in the request's `state` directory. Its order of calls is [`preflight`](Backend::preflight) and [`check`](Backend::check) for all
/// machines of a run first, then [`start`](Backend::start).
#[async_trait]
pub trait Backend: Send + Sync {
    /// The name that test files use for it, such as `container`.
    fn name(&self) -> &str;

    /// Reports what this host lacks for machines of this kind, and for all of `machines` together, which are those of a test. Changes nothing.
    fn preflight(&self, machines: &[&MachineSpec]) -> Vec<Problem>;

    /// Tells all that machines of this kind need of this host, met or not; what is missing of it is what
    /// [`preflight`](Backend::preflight) reports, in the same words. Changes nothing. A backend without such a list has only what it lacks.
    fn needs(&self, machines: &[&MachineSpec]) -> Vec<Need> {
        let problems = self.preflight(machines).into_iter();
        problems.map(|problem| Need::of_problem(self.name(), "", problem)).collect()
    }

    /// Reports what of `machine` this backend cannot honour, and what the host lacks for it. Changes nothing.
    fn check(&self, machine: &MachineSpec) -> Vec<Problem>;

    /// Tells what `machine` will lack on this host although it can run. Changes nothing.
    fn notes(&self, _machine: &MachineSpec) -> Vec<String> {
        Vec::new()
    }

    /// How many machines of this kind this host has room to boot at a time, where more at once would only hold each other up.
    fn boots_at_once(&self) -> Option<usize> {
        None
    }

    /// Starts one machine and returns as soon as it is launched; [`Guest::ready`] tells when it takes commands.
    ///
    /// Console lines go to `console` from the first one on, everything else worth a record to its recorder. A call that fails or is cancelled leaves nothing running.
    async fn start(
        &self,
        request: StartRequest,
        descriptors: Descriptors,
        console: Console,
    ) -> Result<Arc<dyn Guest>, MachineError>;
}

/// All that a backend is told about a machine to start. Owned and serialisable, so that a backend can live in another process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StartRequest {
    /// The run's name: unique on this host, at most 16 characters of `[a-z0-9-]`.
    pub run: String,
    /// What the test asked for.
    pub machine: MachineSpec,
    /// Lines of `/etc/hosts` as this machine shall see them.
    pub hosts: Vec<HostEntry>,
    /// Network interfaces in the order in which the guest shall see them.
    pub attachments: Vec<Attachment>,
    /// A directory of this machine's own that lives as long as the run, or longer. As a rule it exists only in the run's mount namespace, on
    /// tmpfs, and the backend makes it; where the run was given [directories of the host's own](crate::run::StateDirectories), it is one of them.
    pub state: PathBuf,
    /// A directory for all machines with start scripts of the run, which they have as upstream's `shared-xchg`. The first to need it makes it.
    pub shared: PathBuf,
    /// A directory for sockets of all machines of the run that the driver, too, has to see. Its path is short, and the same within the run's
    /// mount namespace and outside of it.
    pub sockets: PathBuf,
    /// The run's cgroup in each hierarchy, below which the machine gets one of its own ([`crate::run::cgroup::make`]).
    pub cgroups: Vec<PathBuf>,
    /// First of [`crate::run::IDS`] host user and group ids that are this machine's alone; none where the driver may not hand out ids.
    pub first_id: Option<u32>,
    /// Whether the machine may reboot by itself; otherwise its reboot is its end, as a power off. A reboot that [`Guest::reboot`] asks for is
    /// always one.
    pub allow_reboot: bool,
    /// How long the machine may take until it takes commands.
    pub boot_timeout: Duration,
    /// Where a device for the machine's sockets of the family `AF_VSOCK` listens (vhost-user), if there is one for it.
    pub vsock: Option<PathBuf>,
    /// Whether the machine is registered with systemd-machined.
    pub machined: crate::spec::Machined,
}

/// The descriptors that go with a [`StartRequest`].
#[derive(Debug)]
pub struct Descriptors {
    /// A pidfd of the run's init: its pid and mount namespaces are those the machine's processes must live in.
    pub init: Arc<OwnedFd>,
    /// Each VLAN's segment.
    pub segments: BTreeMap<VlanId, Arc<Segment>>,
}

impl Descriptors {
    /// Makes the interfaces of the machine of `request` in its network namespace `target`, plugged into their segments, in the order of its
    /// attachments. A call that fails or is cancelled leaves none.
    pub async fn plug(&self, request: &StartRequest, target: &Namespace) -> io::Result<Vec<Port>> {
        let mut ports = Vec::with_capacity(request.attachments.len());
        for attachment in &request.attachments {
            let segment = self.segment(attachment)?;
            let interface = Interface {
                name: InterfaceName::new(&attachment.interface).map_err(io::Error::other)?,
                mac: Some(attachment.mac),
                addresses: vec![(attachment.ipv4.into(), 24), (attachment.ipv6.into(), 64)],
                mtu: None,
            };
            let port = attachment.port(&request.machine.name);
            ports.push(segment.veth(port, target, &interface).await.map_err(io::Error::other)?);
        }
        Ok(ports)
    }

    /// The segment that an interface is on.
    pub fn segment(&self, attachment: &Attachment) -> io::Result<&Arc<Segment>> {
        let vlan = attachment.vlan;
        self.segments.get(&vlan).ok_or_else(|| io::Error::other(format!("VLAN {vlan} has no segment")))
    }
}
