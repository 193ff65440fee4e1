//! Ports: what is plugged into a segment.

use std::sync::{Arc, Weak};

use tokio::task::AbortHandle;

use crate::Error;
use crate::kernel::device::Owned;
use crate::segment::Inner;

/// Something that is plugged into a segment: one end of a veth pair, a tap, a socket.
///
/// Dropping it has it removed in the background; [`detach`](Self::detach) also waits for that and tells of errors. At the latest an
/// interface goes with the namespace of either end, and a socket with the segment; a port keeps the segment's namespace alive, and the
/// other one not.
#[derive(Debug)]
pub struct Port {
    segment: Weak<Inner>,
    link: Arc<str>,
    number: u64,
    /// The segment's end, if it is an interface of the kernel.
    device: Option<Owned>,
    /// What serves it.
    pub(crate) task: Option<AbortHandle>,
    detached: bool,
}

impl Port {
    pub(crate) fn new(segment: &Arc<Inner>, link: &str, device: Option<Owned>) -> Self {
        let number = segment.number();
        Self { segment: Arc::downgrade(segment), link: link.into(), number, device, task: None, detached: false }
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The name of its link.
    pub fn link_name(&self) -> &str {
        &self.link
    }

    /// Plugs the cable in or pulls it: sets the segment's end up or down (`ip link set PORT up`).
    ///
    /// No frame passes from the moment this returns with `false`. An interface at the other end loses or finds its carrier at about the same
    /// time, and keeps its addresses.
    pub async fn set_up(&self, up: bool) -> Result<(), Error> {
        match (self.segment.upgrade(), &self.device) {
            (_, Some(device)) => device.set_up(up).await,
            (Some(segment), None) => segment.set_link(&self.link, up).await,
            (None, None) => Ok(()),
        }
    }

    /// Removes the port, and an interface with its other end. Succeeds also where they are gone already, because one of the namespaces has
    /// died.
    pub async fn detach(mut self) -> Result<(), Error> {
        self.detached = true;
        self.end_task();
        if let Some(segment) = self.segment.upgrade() {
            segment.unplug(&self.link, self.number).await?;
        }
        match self.device.take() {
            Some(device) => device.remove().await,
            None => Ok(()),
        }
    }

    fn end_task(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.end_task();
        let Some(segment) = self.segment.upgrade().filter(|_| !self.detached) else { return };
        let (link, number) = (self.link.clone(), self.number);
        segment.runtime().clone().spawn(async move {
            if let Err(error) = segment.unplug(&link, number).await {
                tracing::warn!(link = &*link, %error, "could not unplug a port");
            }
        });
    }
}
