//! The link of one machine to one LAN.

use std::path::{Path, PathBuf};

use netbridge::{CaptureOptions, Impairment, LinkStats};

use super::capture::{Capture, Subject};
use super::{failed, words};
use crate::error::Error;
use crate::event::{Kind, Recorder};
use crate::spec::VlanId;

/// Which way frames go, as the machine sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// From the machine and to it.
    #[default]
    Both,
    /// From the machine to the LAN.
    Out,
    /// From the LAN to the machine.
    In,
}

/// What joins a machine to a LAN. It outlasts the machine's boots, and its faults with it. Clones are the same link.
#[derive(Clone, Debug)]
pub struct Link {
    vlan: VlanId,
    inner: netbridge::Link,
    recorder: Recorder,
    output: PathBuf,
}

impl Link {
    /// The link of a machine, whose recorder this is.
    pub(crate) fn new(vlan: VlanId, inner: netbridge::Link, recorder: Recorder, output: PathBuf) -> Self {
        Self { vlan, inner, recorder, output }
    }

    /// The machine's name.
    pub fn machine(&self) -> &str {
        self.inner.name()
    }

    /// The LAN.
    pub fn vlan(&self) -> VlanId {
        self.vlan
    }

    /// Treats frames as `impairment` says, from the next one on, in place of what was asked before for this direction.
    ///
    /// With [`Direction::Both`] each frame meets it once on its way out and once on its way in, so a ping waits for `delay` twice.
    pub async fn impair(&self, direction: Direction, impairment: &Impairment) -> Result<(), Error> {
        let directions: &[_] = match direction {
            Direction::Both => &[netbridge::Direction::Out, netbridge::Direction::In],
            Direction::Out => &[netbridge::Direction::Out],
            Direction::In => &[netbridge::Direction::In],
        };
        for direction in directions {
            self.inner.impair(*direction, impairment).await.map_err(|error| self.failed("impair", error))?;
        }
        self.changed(words::impairment(impairment, direction));
        Ok(())
    }

    /// Takes away all impairments. A link that is down stays down.
    pub async fn clear(&self) -> Result<(), Error> {
        self.inner.clear().await.map_err(|error| self.failed("clear", error))?;
        self.changed("clear".into());
        Ok(())
    }

    /// Lets no frame pass, as if the cable were pulled. The machine sees that its interface has no carrier, where its kind can show that.
    pub async fn down(&self) -> Result<(), Error> {
        self.inner.down().await.map_err(|error| self.failed("down", error))?;
        self.changed("down".into());
        Ok(())
    }

    /// Undoes [`down`](Self::down).
    pub async fn up(&self) -> Result<(), Error> {
        self.inner.up().await.map_err(|error| self.failed("up", error))?;
        self.changed("up".into());
        Ok(())
    }

    /// What passed it, and what did not, since the run began.
    pub async fn stats(&self) -> Result<LinkStats, Error> {
        self.inner.stats().await.map_err(|error| self.failed("stats", error))
    }

    /// Writes what the machine sends and receives to a pcapng file below the output directory, until the capture is finished or dropped.
    pub async fn capture(&self, file: &Path, options: CaptureOptions) -> Result<Capture, Error> {
        let machines = vec![self.machine().to_owned()];
        let subject = Subject { name: self.to_string(), vlan: self.vlan, machines, recorder: self.recorder.clone() };
        Capture::begin(subject, &self.output, file, |path| async move { self.inner.capture(&path, options).await })
            .await
    }

    fn changed(&self, change: String) {
        let machines = vec![self.machine().to_owned()];
        self.recorder.record(Kind::Network { vlan: self.vlan, machines, change });
    }

    fn failed(&self, verb: &str, error: netbridge::Error) -> Error {
        failed(&self.to_string(), verb, error)
    }
}

impl std::fmt::Display for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "machine {}: link to vlan {}", self.machine(), self.vlan)
    }
}
