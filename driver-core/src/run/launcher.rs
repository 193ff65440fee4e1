//! Starts one machine of a run, any number of times.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use async_trait::async_trait;
use netbridge::Segment;

use crate::backend::{Backend, Descriptors, StartRequest};
use crate::console::Console;
use crate::error::MachineError;
use crate::guest::Guest;
use crate::machine::Launch;
use crate::network::Attachment;
use crate::spec::VlanId;

/// A machine's backend with all that a start needs.
pub(super) struct Launcher {
    backend: Arc<dyn Backend>,
    request: StartRequest,
    init: Arc<OwnedFd>,
    segments: BTreeMap<VlanId, Arc<Segment>>,
}

impl Launcher {
    pub(super) fn new(
        backend: Arc<dyn Backend>,
        request: StartRequest,
        init: Arc<OwnedFd>,
        segments: BTreeMap<VlanId, Arc<Segment>>,
    ) -> Self {
        Self { backend, request, init, segments }
    }
}

#[async_trait]
impl Launch for Launcher {
    async fn launch(&self, allow_reboot: bool, console: Console) -> Result<Arc<dyn Guest>, MachineError> {
        let descriptors = Descriptors { init: self.init.clone(), segments: self.segments.clone() };
        self.backend.start(StartRequest { allow_reboot, ..self.request.clone() }, descriptors, console).await
    }

    fn boots_at_once(&self) -> Option<usize> {
        self.backend.boots_at_once()
    }

    fn attachment(&self, index: usize) -> Option<(Arc<Segment>, Attachment)> {
        let attachment = self.request.attachments.get(index)?;
        Some((self.segments.get(&attachment.vlan)?.clone(), attachment.clone()))
    }

    fn is_taken(&self, address: IpAddr) -> bool {
        self.request.hosts.iter().any(|entry| entry.address == address)
    }
}
