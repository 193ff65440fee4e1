//! What a run left behind, or changed on the host.
//!
//! A [`Snapshot`] is taken before and after. What belongs to a program under test is told by its [`Pen`]: processes, the namespaces that they
//! hold, cgroups. What is the host's own is compared as a whole: mounts, interfaces, device nodes, files in `/run`, sysctls. A run of someone
//! else on the same host shows in none of it, but for its directory below `/run/tandem`, which is left out while its lock is held.

mod host;
mod process;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::pen::{Pen, own_cgroups};

/// A kind of thing that a run could leave behind or change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A process in the pen.
    Process,
    /// A namespace that a process in the pen lives in or has a descriptor of.
    Namespace,
    /// A cgroup in the pen.
    Cgroup,
    /// A mount in the host's mount namespace; named network namespaces are mounts, too.
    Mount,
    /// A network interface in the host's network namespace.
    Interface,
    /// A unix socket with a name that has `tandem` in it.
    Socket,
    /// A file in `/run`; registered machines are files there, too.
    File,
    /// A device node in `/dev`.
    Device,
    /// A value below `/proc/sys`.
    Sysctl,
}

/// The host at one moment, as the calling thread sees it. Each thing has a name, and a value that should not change.
#[derive(Clone, Debug, Default)]
pub struct Snapshot(BTreeMap<(Kind, String), String>);

/// One thing that is not as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What kind of thing.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Its value before, if it was there.
    pub before: Option<String>,
    /// Its value now, if it is there.
    pub now: Option<String>,
}

impl Snapshot {
    /// Looks at the host, and at the pens of programs under test.
    pub fn take(pens: &[&Pen]) -> io::Result<Self> {
        let mut snapshot = Self::quick(pens)?;
        snapshot.extend(Kind::Device, host::devices());
        snapshot.extend(Kind::Sysctl, host::sysctls());
        Ok(snapshot)
    }

    /// All but what takes long to look at.
    fn quick(pens: &[&Pen]) -> io::Result<Self> {
        let mut snapshot = Self::default();
        let pids: Vec<i32> = pens.iter().flat_map(|pen| pen.processes()).collect();
        let cgroups = pens.iter().flat_map(|pen| pen.below());
        snapshot.extend(Kind::Cgroup, cgroups.map(|path| (path.display().to_string(), String::new())));
        snapshot.extend(Kind::Process, pids.iter().filter_map(|pid| Some((pid.to_string(), process::describe(*pid)?))));
        snapshot.extend(Kind::Namespace, process::namespaces(&pids));
        snapshot.extend(Kind::Mount, host::mounts()?);
        snapshot.extend(Kind::Interface, host::interfaces()?);
        snapshot.extend(Kind::Socket, host::sockets()?);
        snapshot.extend(Kind::File, host::files(Path::new("/run")));
        Ok(snapshot)
    }

    fn extend(&mut self, kind: Kind, things: impl IntoIterator<Item = (String, String)>) {
        self.0.extend(things.into_iter().map(|(name, value)| ((kind, name), value)));
    }

    /// What is not as it was in this snapshot.
    pub fn differences(&self, now: &Self) -> Vec<Difference> {
        let names: std::collections::BTreeSet<_> = self.0.keys().chain(now.0.keys()).collect();
        let difference = |key: &(Kind, String)| {
            let (before, now) = (self.0.get(key).cloned(), now.0.get(key).cloned());
            (before != now).then(|| Difference { kind: key.0, name: key.1.clone(), before, now })
        };
        names.into_iter().filter_map(difference).collect()
    }

    /// Waits until the host is again as in this snapshot, and returns how long that took. Fails with what is still different after `limit`.
    pub fn restored_within(&self, limit: Duration, pens: &[&Pen]) -> Result<Duration, Left> {
        let began = Instant::now();
        let mut took;
        loop {
            let now = Self::quick(pens).map_err(|error| Left(vec![], Some(error)))?;
            took = began.elapsed();
            let mut quick = self.clone();
            quick.0.retain(|(kind, _), _| !matches!(kind, Kind::Device | Kind::Sysctl));
            let left = quick.differences(&now);
            if left.is_empty() {
                break;
            }
            if took > limit {
                return Err(Left(left, None));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let now = Self::take(pens).map_err(|error| Left(vec![], Some(error)))?;
        let left = self.differences(&now);
        if left.is_empty() { Ok(took) } else { Err(Left(left, None)) }
    }
}

/// What a run of this process with this name has left; to be called once it was finished.
pub fn of_run(name: &str) -> io::Result<Vec<String>> {
    let mut left = Vec::new();
    for cgroup in own_cgroups()?.iter().map(|own| own.join(format!("tandem-{name}"))).filter(|path| path.exists()) {
        left.push(format!("cgroup {}", cgroup.display()));
    }
    let mark = format!("tandem/{name}");
    let directory = Path::new("/run").join(&mark);
    if directory.exists() {
        left.push(format!("directory {}", directory.display()));
    }
    left.extend(process::that_mount(&mark).into_iter().map(|process| format!("process {process}")));
    let named = |(name, _): &(String, String)| name.contains(&mark);
    left.extend(host::mounts()?.into_iter().filter(named).map(|(name, _)| format!("mount {name}")));
    left.extend(host::sockets()?.into_iter().filter(named).map(|(name, _)| format!("socket {name}")));
    Ok(left)
}

/// What this process's open descriptors are of, sorted.
pub fn own_descriptors() -> Vec<String> {
    process::own_descriptors()
}

/// What is not as it was, after the time that it had.
#[derive(Debug)]
pub struct Left(pub Vec<Difference>, Option<io::Error>);

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the host is not as it was")?;
        if let Some(error) = &self.1 {
            write!(f, ", or cannot be looked at: {error}")?;
        }
        self.0.iter().try_for_each(|left| write!(f, "\n  {left}"))
    }
}

impl std::error::Error for Left {}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, name, before, now } = self;
        match (before, now) {
            (None, Some(now)) => write!(f, "{kind:?} {name} is new: {now}"),
            (Some(before), None) => write!(f, "{kind:?} {name} is gone; it was: {before}"),
            (before, now) => write!(f, "{kind:?} {name} was {before:?} and is {now:?}"),
        }
    }
}
