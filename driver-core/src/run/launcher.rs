//! Starts one machine of a run, any number of times.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use async_trait::async_trait;
use netbridge::Segment;

use crate::backend::{Backend, Descriptors, StartRequest};
use crate::console::Console;
use crate::error::MachineError;
use crate::guest::Guest;
use crate::machine::Launch;
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
    async fn launch(&self, console: Console) -> Result<Arc<dyn Guest>, MachineError> {
        let descriptors = Descriptors { init: self.init.clone(), segments: self.segments.clone() };
        self.backend.start(self.request.clone(), descriptors, console).await
    }
}
