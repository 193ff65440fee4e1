//! A LAN of a test, and who on it reaches whom.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use netbridge::{CaptureOptions, LinkStats, Segment};

use super::capture::{Capture, Subject};
use super::{failed, refused, words};
use crate::error::Error;
use crate::event::{Kind, Recorder, SpanId};
use crate::spec::{VlanId, nearest};

/// A LAN of a test. Clones are the same LAN.
///
/// Machines are given by their names, and need not run.
#[derive(Clone)]
pub struct Vlan {
    shared: Arc<Shared>,
    recorder: Recorder,
}

struct Shared {
    id: VlanId,
    segment: Arc<Segment>,
    machines: RwLock<BTreeSet<String>>,
    output: PathBuf,
}

impl Vlan {
    /// The LAN `id` with these machines. Captures go below `output`.
    pub fn new(
        id: VlanId,
        segment: Arc<Segment>,
        machines: impl IntoIterator<Item = String>,
        recorder: Recorder,
        output: impl Into<PathBuf>,
    ) -> Self {
        let machines = RwLock::new(machines.into_iter().collect());
        Self { shared: Arc::new(Shared { id, segment, machines, output: output.into() }), recorder }
    }

    /// Its number.
    pub fn id(&self) -> VlanId {
        self.shared.id
    }

    /// The names of the machines that are on it, sorted.
    pub fn machines(&self) -> Vec<String> {
        self.shared.machines.read().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Takes note that one more machine is on it.
    pub(crate) fn join(&self, machine: &str) {
        self.shared.machines.write().unwrap_or_else(PoisonError::into_inner).insert(machine.to_owned());
    }

    /// What carries its frames.
    pub fn kind(&self) -> &netbridge::Kind {
        self.shared.segment.kind()
    }

    /// The same LAN, its changes recorded inside `span`.
    #[must_use]
    pub fn within(&self, span: Option<SpanId>) -> Self {
        Self { shared: self.shared.clone(), recorder: self.recorder.within(span) }
    }

    /// Lets no frame pass between machines of different groups, of which there are two at least. Machines in no group reach everybody.
    ///
    /// Partitions add up until they are [healed](Self::heal).
    pub async fn partition<S: AsRef<str> + Sync>(&self, groups: &[Vec<S>]) -> Result<(), Error> {
        const VERB: &str = "partition";
        let names: Vec<_> = groups.iter().map(|group| names(group)).collect();
        self.check(&names).map_err(|why| self.refused(VERB, &why))?;
        self.shared.segment.partition(&names).await.map_err(|error| self.failed(VERB, error))?;
        self.changed(names.concat(), words::partition(&names));
        Ok(())
    }

    /// Lets no frame pass from a machine of `from` to one of `to`. The other way they pass.
    pub async fn partition_one_way<S: AsRef<str> + Sync>(&self, from: &[S], to: &[S]) -> Result<(), Error> {
        const VERB: &str = "partition";
        let groups = [names(from), names(to)];
        self.check(&groups).map_err(|why| self.refused(VERB, &why))?;
        let [from, to] = &groups;
        self.shared.segment.partition_one_way(from, to).await.map_err(|error| self.failed(VERB, error))?;
        self.changed(groups.concat(), words::partition_one_way(from, to));
        Ok(())
    }

    /// Lets no frame pass between a machine and all others.
    pub async fn isolate(&self, machine: &str) -> Result<(), Error> {
        const VERB: &str = "isolate";
        self.known(machine).map_err(|why| self.refused(VERB, &why))?;
        self.shared.segment.isolate(machine).await.map_err(|error| self.failed(VERB, error))?;
        self.changed(vec![machine], format!("isolate: {machine}"));
        Ok(())
    }

    /// Ends all partitions and isolations. What is wrong with links stays.
    pub async fn heal(&self) -> Result<(), Error> {
        self.shared.segment.heal().await.map_err(|error| self.failed("heal", error))?;
        self.changed(self.machines().iter().map(String::as_str).collect(), "heal".into());
        Ok(())
    }

    /// Writes each frame on the LAN to a pcapng file below the output directory, until the capture is finished or dropped.
    pub async fn capture(&self, file: &Path, options: CaptureOptions) -> Result<Capture, Error> {
        let subject = Subject {
            name: self.to_string(),
            vlan: self.id(),
            machines: self.machines(),
            recorder: self.recorder.clone(),
        };
        Capture::begin(subject, &self.shared.output, file, |path| async move {
            self.shared.segment.capture(&path, options).await
        })
        .await
    }

    /// What passed the link of each machine, and what did not, since the run began.
    pub async fn stats(&self) -> Result<BTreeMap<String, LinkStats>, Error> {
        let mut counted = self.shared.segment.stats().await.map_err(|error| self.failed("stats", error))?;
        let stats = |name: &String| (name.clone(), counted.remove(name).unwrap_or_default());
        Ok(self.machines().iter().map(stats).collect())
    }

    /// Whether these can be the groups of a partition.
    fn check(&self, groups: &[Vec<&str>]) -> Result<(), String> {
        if groups.len() < 2 {
            return Err(format!("it takes two groups of machines at least, not {}", groups.len()));
        }
        let mut seen = BTreeMap::new();
        for (number, group) in (1..).zip(groups) {
            if group.is_empty() {
                return Err(format!("group {number} has no machine"));
            }
            for machine in group {
                self.known(machine)?;
                match seen.insert(*machine, number) {
                    None => {}
                    Some(other) if other == number => return Err(format!("group {number} has {machine} twice")),
                    Some(other) => return Err(format!("{machine} is in group {other} and in group {number}")),
                }
            }
        }
        Ok(())
    }

    fn known(&self, machine: &str) -> Result<(), String> {
        let machines = self.machines();
        if machines.iter().any(|known| known == machine) {
            return Ok(());
        }
        let cure = match nearest(machine, machines.iter().map(String::as_str)) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("on it are: {}", machines.join(", ")),
        };
        Err(format!("no machine `{machine}` is on it; {cure}"))
    }

    fn changed(&self, machines: Vec<&str>, change: String) {
        let machines = machines.into_iter().map(str::to_owned).collect();
        self.recorder.record(Kind::Network { vlan: self.id(), machines, change });
    }

    fn failed(&self, verb: &str, error: netbridge::Error) -> Error {
        failed(&self.to_string(), verb, error)
    }

    fn refused(&self, verb: &str, why: &str) -> Error {
        refused(&self.to_string(), verb, why)
    }
}

fn names<S: AsRef<str>>(group: &[S]) -> Vec<&str> {
    group.iter().map(AsRef::as_ref).collect()
}

impl std::fmt::Display for Vlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "vlan {}", self.shared.id)
    }
}

impl std::fmt::Debug for Vlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vlan")
            .field("id", &self.shared.id)
            .field("machines", &self.shared.machines)
            .finish_non_exhaustive()
    }
}
