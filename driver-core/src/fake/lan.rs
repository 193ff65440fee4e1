//! A LAN for fake machines.

use std::path::Path;
use std::sync::Arc;

use netbridge::{InterfaceName, Segment};

use super::FakeBackend;
use crate::event::Recorder;
use crate::lan::Vlan;
use crate::network;
use crate::spec::MachineSpec;

impl FakeBackend {
    /// Puts these machines on VLAN 1, a switch in user space on which nobody says anything, and returns it.
    pub fn on_one_lan(
        &self,
        names: &[&str],
        recorder: Recorder,
        output: &Path,
    ) -> Result<Vlan, Box<dyn std::error::Error + Send + Sync>> {
        let specs: Vec<MachineSpec> = names.iter().map(|name| self.machine(name).spec()).collect();
        let plan = network::plan(&specs)?;
        let id = plan.vlans().pop_first().ok_or("a LAN without machines")?;
        let segment = Arc::new(Segment::switch(None, InterfaceName::new("lan")?));
        for name in names {
            if let [attachment, ..] = plan.attachments(name) {
                self.machine(name).on_lan(segment.clone(), attachment.clone());
            }
        }
        Ok(Vlan::new(id, segment, names.iter().map(|name| (*name).to_owned()), recorder, output))
    }
}
