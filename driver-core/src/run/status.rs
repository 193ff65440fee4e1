//! What a run tells of itself to others on this host: a small file in its private directory, which is kept current while the run lives.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::event::{Event, Kind, MachineState, Sink};
use crate::spec::TestSpec;

/// Version of the file. It grows by one when a field goes or changes its meaning; new fields and states do not count.
const SCHEMA: u32 = 1;

const FILE: &str = "status.json";

/// What is written before it gets the file's name, so that nobody reads half of it.
const UNFINISHED: &str = ".status.json";

/// A run, as it tells of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    schema: u32,
    /// Tandem's version.
    pub version: String,
    /// The test's name.
    pub test: String,
    /// The test's script.
    pub script: String,
    /// The pid of the driver.
    pub driver: u32,
    /// When the run began, in seconds since 1970, by the host's clock.
    pub started: f64,
    /// Where its record goes.
    pub output: String,
    /// Its machines: those of the test, and those that the script has made.
    pub machines: Vec<MachineStatus>,
}

/// A machine of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineStatus {
    /// Its name.
    pub name: String,
    /// The backend that makes it.
    pub backend: String,
    /// What it is doing.
    pub state: Power,
}

/// What a machine is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Power {
    /// Nothing has started it yet.
    NotStarted,
    /// It boots.
    Starting,
    /// It takes commands.
    Up,
    /// It was asked to power off or to reboot.
    Stopping,
    /// It is gone.
    Stopped,
    /// Something that only another version of Tandem knows.
    #[serde(other)]
    Unknown,
}

impl Power {
    /// The state as people are shown it.
    pub fn word(self) -> &'static str {
        match self {
            Self::NotStarted => "not started",
            Self::Starting => "starting",
            Self::Up => "up",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Unknown => "unknown",
        }
    }
}

impl From<MachineState> for Power {
    fn from(state: MachineState) -> Self {
        match state {
            MachineState::Starting => Self::Starting,
            MachineState::Ready => Self::Up,
            MachineState::Stopping => Self::Stopping,
            MachineState::Stopped => Self::Stopped,
        }
    }
}

impl Status {
    /// What the run with this directory tells, or why nothing can be said of it, in words for people.
    pub(super) fn read(directory: &Path) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Version {
            schema: u32,
        }
        let text = match fs::read(directory.join(FILE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err("it tells nothing of itself".into()),
            other => other.map_err(|error| format!("its status cannot be read: {error}"))?,
        };
        match serde_json::from_slice::<Version>(&text) {
            Ok(Version { schema: SCHEMA }) => {}
            Ok(Version { schema }) => {
                return Err(format!(
                    "it is of another version of tandem: its status has schema {schema}, not {SCHEMA}"
                ));
            }
            Err(error) => return Err(format!("its status is damaged: {error}")),
        }
        serde_json::from_slice(&text).map_err(|error| format!("its status is damaged: {error}"))
    }
}

/// The file of a run. It is kept current, by what is recorded, until this is dropped.
#[derive(Debug)]
pub(super) struct Notice(Board);

/// What changes the file while it is there. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Board(Arc<Mutex<Option<Posted>>>);

#[derive(Debug)]
struct Posted {
    directory: PathBuf,
    status: Status,
}

impl Notice {
    /// Writes the file of a run that begins.
    pub(super) fn post(directory: &Path, spec: &TestSpec, output: &Path) -> io::Result<Self> {
        let status = Status {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION").into(),
            test: spec.name.clone(),
            script: spec.script.to_string_lossy().into_owned(),
            driver: std::process::id(),
            started: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64(),
            output: std::path::absolute(output)?.to_string_lossy().into_owned(),
            machines: spec.machines.iter().map(|spec| MachineStatus::new(&spec.name, &spec.backend)).collect(),
        };
        let posted = Posted { directory: directory.into(), status };
        posted.write()?;
        Ok(Self(Board(Arc::new(Mutex::new(Some(posted))))))
    }

    pub(super) fn board(&self) -> Board {
        self.0.clone()
    }

    pub(super) fn sink(&self) -> Box<dyn Sink> {
        Box::new(self.board())
    }
}

impl Drop for Notice {
    fn drop(&mut self) {
        // The directory is about to be removed.
        *self.0.lock() = None;
    }
}

impl Board {
    /// Adds a machine that joins the run, in the place of an earlier one of its name.
    pub(super) fn add(&self, name: &str, backend: &str) {
        self.change(|status| {
            status.machines.retain(|machine| machine.name != name);
            status.machines.push(MachineStatus::new(name, backend));
        });
    }

    fn change(&self, change: impl FnOnce(&mut Status)) {
        if let Some(posted) = &mut *self.lock() {
            change(&mut posted.status);
            // The test does not depend on it. The next change may be written again.
            let _ = posted.write();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Posted>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for Board {
    fn event(&mut self, event: &Event) {
        let (Kind::Machine { state, .. }, Some(name)) = (&event.kind, &event.machine) else { return };
        self.change(|status| {
            if let Some(machine) = status.machines.iter_mut().find(|machine| machine.name == *name) {
                machine.state = (*state).into();
            }
        });
    }
}

impl Posted {
    fn write(&self) -> io::Result<()> {
        let unfinished = self.directory.join(UNFINISHED);
        fs::write(&unfinished, serde_json::to_vec(&self.status)?)?;
        fs::rename(unfinished, self.directory.join(FILE))
    }
}

impl MachineStatus {
    fn new(name: &str, backend: &str) -> Self {
        Self { name: name.into(), backend: backend.into(), state: Power::NotStarted }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Recorder;
    use crate::spec::MachineSpec;

    fn spec() -> TestSpec {
        TestSpec::new("hello", vec![MachineSpec::new("one", "container"), MachineSpec::new("two", "vm")])
    }

    fn states(directory: &Path) -> Vec<(String, Power)> {
        let status = Status::read(directory).unwrap();
        status.machines.into_iter().map(|machine| (machine.name, machine.state)).collect()
    }

    #[test]
    fn what_is_recorded_of_machines_is_in_the_file_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let notice = Notice::post(directory.path(), &spec(), Path::new("/out")).unwrap();
        let recorder = Recorder::new(Vec::new());
        recorder.add_sink(notice.sink());
        let status = Status::read(directory.path()).unwrap();
        assert_eq!((&*status.test, &*status.output, status.driver), ("hello", "/out", std::process::id()));
        assert_eq!(states(directory.path()), [("one".into(), Power::NotStarted), ("two".into(), Power::NotStarted)]);

        recorder.machine("two").record(Kind::Machine { state: MachineState::Ready, detail: String::new() });
        recorder.machine("none").record(Kind::Machine { state: MachineState::Ready, detail: String::new() });
        notice.board().add("made", "vm");
        let expected = [("one", Power::NotStarted), ("two", Power::Up), ("made", Power::NotStarted)];
        assert_eq!(states(directory.path()), expected.map(|(name, state)| (name.to_owned(), state)));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn nothing_is_written_once_it_is_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let notice = Notice::post(directory.path(), &spec(), Path::new("/out")).unwrap();
        let recorder = Recorder::new(vec![notice.sink()]);
        drop(notice);
        fs::remove_file(directory.path().join(FILE)).unwrap();
        recorder.machine("one").record(Kind::Machine { state: MachineState::Ready, detail: String::new() });
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn other_versions_and_damage_are_told() {
        let directory = tempfile::tempdir().unwrap();
        let read = |text: &[u8]| {
            fs::write(directory.path().join(FILE), text).unwrap();
            Status::read(directory.path())
        };
        assert!(Status::read(directory.path()).unwrap_err().contains("tells nothing"));
        assert!(read(b"{\"schema\": 9}").unwrap_err().contains("schema 9, not 1"));
        for text in [&b""[..], b"{", b"\xff", b"[]", b"{\"schema\": 1, \"test\": \"x\"}", b"{\"schema\": -1}"] {
            assert!(read(text).unwrap_err().contains("damaged"), "{text:?}");
        }
        let later = br#"{"schema": 1, "version": "9", "test": "t", "script": "/t.py", "driver": 1, "started": 1.5, "output": "/o",
            "more": {}, "machines": [{"name": "m", "backend": "b", "state": "hibernating", "more": 1}]}"#;
        assert_eq!(read(later).unwrap().machines[0].state, Power::Unknown);
    }
}
