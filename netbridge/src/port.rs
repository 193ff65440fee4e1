//! Ports: what is plugged into a segment.

use crate::Error;
use crate::kernel::device::Device;

/// A veth pair between a segment and a namespace, or a tap of a segment.
///
/// Dropping it has it removed in the background; [`detach`](Self::detach) also waits for that and tells of errors. At the latest a
/// pair goes with the namespace of either end; a port keeps the segment's namespace alive, and the other one not.
#[derive(Debug)]
pub struct Port {
    near: Device,
}

impl Port {
    pub(crate) fn new(near: Device) -> Self {
        Self { near }
    }

    /// Plugs the cable in or pulls it: sets the segment's end up or down (`ip link set PORT up`).
    ///
    /// No frame passes from the moment this returns with `false`. The other end loses or finds its carrier at about the same time, and
    /// keeps its addresses.
    pub async fn set_up(&self, up: bool) -> Result<(), Error> {
        self.near.set_up(up).await
    }

    /// Removes both ends of the pair. Succeeds also where they are gone already, because one of the namespaces has died.
    pub async fn detach(self) -> Result<(), Error> {
        self.near.remove().await
    }
}
