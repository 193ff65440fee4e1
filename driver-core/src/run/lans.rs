//! The LANs of a run, made before its machines.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use netbridge::{InterfaceName, Kind, Namespace, Segment};

use super::broken;
use crate::error::Error;
use crate::event::{Level, Recorder};
use crate::lan::Vlan;
use crate::network::NetworkPlan;
use crate::spec::{Lan, MachineSpec, TestSpec, VlanId};

/// The segments of a run, and the network namespace that they are in, if one can be made.
#[derive(Default)]
pub(super) struct Lans {
    pub(super) network: Option<Arc<Namespace>>,
    segments: BTreeMap<VlanId, Arc<Segment>>,
}

impl Lans {
    /// Makes the LANs of `plan`, and records what carries them.
    pub(super) async fn make(lan: Lan, plan: &NetworkPlan, recorder: &Recorder) -> Result<Self, Error> {
        let mut lans = Self::default();
        if plan.vlans().is_empty() {
            return Ok(lans);
        }
        lans.network = match Namespace::new().await {
            Ok(namespace) => Some(Arc::new(namespace)),
            Err(error) if lan == Lan::Bridge => return Err(broken("make the run's network namespace", error)),
            Err(error) => {
                recorder.message(Level::Info, format!("the run has no network namespace: {error}"));
                None
            }
        };
        for vlan in plan.vlans() {
            let segment = lans.segment(lan, vlan).await.map_err(|error| broken(&format!("make VLAN {vlan}"), error))?;
            match segment.kind() {
                Kind::Bridge => recorder.message(Level::Debug, format!("vlan {vlan}: a bridge of the kernel")),
                Kind::Switch { why } => {
                    recorder.message(Level::Info, format!("vlan {vlan}: a switch in user space: {why}"));
                }
            }
            lans.segments.insert(vlan, Arc::new(segment));
        }
        Ok(lans)
    }

    async fn segment(&self, lan: Lan, vlan: VlanId) -> Result<Segment, netbridge::Error> {
        let name = InterfaceName::new(format!("br{vlan}"))?;
        match (lan, self.network.clone()) {
            (Lan::Bridge, Some(network)) => Segment::bridge(network, name).await,
            (Lan::Switch, network) => Ok(Segment::switch(network, name)),
            // There is no bridge without a namespace: see above.
            (Lan::Auto | Lan::Bridge, network) => Ok(Segment::automatic(network, name).await),
        }
    }

    /// The segments that a machine is on.
    pub(super) fn of(&self, machine: &MachineSpec) -> BTreeMap<VlanId, Arc<Segment>> {
        let own = self.segments.iter().filter(|(vlan, _)| machine.vlans.contains(vlan));
        own.map(|(vlan, segment)| (*vlan, segment.clone())).collect()
    }

    /// The LANs as tests have them.
    pub(super) fn vlans(&self, spec: &TestSpec, recorder: &Recorder, output: &Path) -> Vec<Vlan> {
        let vlan = |(id, segment): (&VlanId, &Arc<Segment>)| {
            let machines = spec.machines.iter().filter(|machine| machine.vlans.contains(id));
            let machines = machines.map(|machine| machine.name.clone());
            Vlan::new(*id, segment.clone(), machines, recorder.clone(), output)
        };
        self.segments.iter().map(vlan).collect()
    }
}
