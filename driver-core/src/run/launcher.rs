//! Starts one machine of a run, any number of times.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use netbridge::Segment;

use crate::backend::{Backend, Descriptors, StartRequest};
use crate::console::Console;
use crate::error::MachineError;
use crate::guest::Guest;
use crate::machine::Launch;
use crate::network::Attachment;
use crate::process::{pid_inside, pid_of};
use crate::spec::VlanId;

/// A machine's backend with all that a start needs.
pub(super) struct Launcher {
    backend: Arc<dyn Backend>,
    request: StartRequest,
    init: Arc<OwnedFd>,
    segments: BTreeMap<VlanId, Arc<Segment>>,
    /// Where the machine keeps its state, if not where the request says.
    state: Mutex<Option<PathBuf>>,
    /// The host's end of the machine's vsock device.
    vsock: Option<PathBuf>,
}

impl Launcher {
    pub(super) fn new(
        backend: Arc<dyn Backend>,
        request: StartRequest,
        init: Arc<OwnedFd>,
        segments: BTreeMap<VlanId, Arc<Segment>>,
        vsock: Option<PathBuf>,
    ) -> Self {
        Self { backend, request, init, segments, state: Mutex::default(), vsock }
    }

    /// The request with the directory in which the machine keeps its state.
    fn current(&self) -> StartRequest {
        let request = self.request.clone();
        match &*self.state.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(state) => StartRequest { state: state.clone(), ..request },
            None => request,
        }
    }
}

#[async_trait]
impl Launch for Launcher {
    async fn launch(&self, allow_reboot: bool, console: Console) -> Result<Arc<dyn Guest>, MachineError> {
        let descriptors = Descriptors { init: self.init.clone(), segments: self.segments.clone() };
        self.backend.start(StartRequest { allow_reboot, ..self.current() }, descriptors, console).await
    }

    fn boots_at_once(&self) -> Option<usize> {
        self.backend.boots_at_once()
    }

    fn attachment(&self, index: usize) -> Option<(Arc<Segment>, Attachment)> {
        let attachment = self.request.attachments.get(index)?;
        Some((self.segments.get(&attachment.vlan)?.clone(), attachment.clone()))
    }

    fn directories(&self) -> Option<(PathBuf, PathBuf)> {
        let StartRequest { state, shared, .. } = self.current();
        Some((state, shared))
    }

    fn keep_state_in(&self, directory: &Path) -> bool {
        // Others have disks that only they can use.
        let can = self.request.machine.start_script.is_some();
        if can {
            *self.state.lock().unwrap_or_else(PoisonError::into_inner) = Some(directory.to_owned());
        }
        can
    }

    fn vsock(&self) -> Option<PathBuf> {
        self.vsock.clone()
    }

    fn pid_inside(&self, pid: u32) -> Option<u32> {
        pid_inside(pid, u32::try_from(pid_of(self.init.as_fd()).ok()?).ok()?)
    }

    fn is_taken(&self, address: IpAddr) -> bool {
        self.request.hosts.iter().any(|entry| entry.address == address)
    }
}
