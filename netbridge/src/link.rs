//! Links: what joins ports to a segment, and their faults.

use std::path::Path;
use std::sync::Arc;

use crate::Error;
use crate::capture::CaptureOptions;
use crate::impair::Impairment;
use crate::segment::{Capture, Inner};
use crate::stats::LinkStats;

/// Which way frames go, as what is plugged in sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// From what is plugged in to the segment.
    Out,
    /// From the segment to what is plugged in.
    In,
}

/// The way between a segment and the port of a name. It keeps its faults while ports of that name come and go.
///
/// A link is a handle: clones are the same link.
#[derive(Clone, Debug)]
pub struct Link {
    pub(crate) segment: Arc<Inner>,
    pub(crate) name: Arc<str>,
}

impl Link {
    /// The name of its ports.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Has the link treat frames in one direction as `impairment` says, from the next frame on. It replaces what was asked before.
    ///
    /// Frames that are under way arrive when they would have, but for those on the way out that the kernel holds back when the switch takes
    /// over from it.
    pub async fn impair(&self, direction: Direction, impairment: &Impairment) -> Result<(), Error> {
        self.segment.impair(&self.name, direction, impairment).await
    }

    /// Takes away all impairments.
    pub async fn clear(&self) -> Result<(), Error> {
        self.segment.clear(&self.name).await
    }

    /// Lets no frame pass in either direction. Interfaces of the kernel lose their carrier; ports that are sockets have none to lose.
    pub async fn down(&self) -> Result<(), Error> {
        self.segment.set_link(&self.name, false).await
    }

    /// Undoes [`down`](Self::down).
    pub async fn up(&self) -> Result<(), Error> {
        self.segment.set_link(&self.name, true).await
    }

    /// What passed it, and what did not.
    pub async fn stats(&self) -> Result<LinkStats, Error> {
        self.segment.link_stats(&self.name).await
    }

    /// Writes what passes this link to a pcapng file: frames as what is plugged in sends and receives them.
    pub async fn capture(&self, path: &Path, options: CaptureOptions) -> Result<Capture, Error> {
        self.segment.capture(Some(&self.name), path, options).await
    }
}
