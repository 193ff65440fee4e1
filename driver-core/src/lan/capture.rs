//! Captures: what went over a LAN or a link, in a file of the output directory.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use netbridge::CaptureSummary;

use super::{failed, refused};
use crate::error::Error;
use crate::event::{Kind, Recorder};
use crate::spec::VlanId;

const VERB: &str = "capture";

/// What is captured.
#[derive(Debug)]
pub(super) struct Subject {
    /// What errors call it.
    pub(super) name: String,
    pub(super) vlan: VlanId,
    pub(super) machines: Vec<String>,
    pub(super) recorder: Recorder,
}

/// A capture that goes on. Dropping it ends it without a word.
#[derive(Debug)]
pub struct Capture {
    inner: netbridge::Capture,
    subject: Subject,
    /// As the test named it.
    file: PathBuf,
    place: Place,
}

impl Capture {
    /// Begins to capture `subject` to `file`, which is below `output`, by `begin`, which is given its absolute path.
    pub(super) async fn begin<F>(
        subject: Subject,
        output: &Path,
        file: &Path,
        begin: impl FnOnce(PathBuf) -> F,
    ) -> Result<Self, Error>
    where
        F: Future<Output = Result<netbridge::Capture, netbridge::Error>>,
    {
        let refuse = |why: String| refused(&subject.name, VERB, &why);
        let path = locate(output, file).await.map_err(refuse)?;
        let place = Place::claim(path).ok_or_else(|| refuse(format!("{} is being written already", file.display())))?;
        let inner = begin(place.0.clone()).await.map_err(|error| failed(&subject.name, VERB, error))?;
        let capture = Self { inner, subject, file: file.to_owned(), place };
        capture.told("begins", "");
        Ok(capture)
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.place.0
    }

    /// Ends it once all that passed before is in the file, and says how much that is.
    pub async fn finish(self) -> Result<CaptureSummary, Error> {
        let Self { inner, subject, file, place } = self;
        let summary = inner.finish().await.map_err(|error| failed(&subject.name, VERB, error))?;
        let dropped = if summary.dropped == 0 { String::new() } else { format!(", {} dropped", summary.dropped) };
        let frames = if summary.frames == 1 { "1 frame".to_owned() } else { format!("{} frames", summary.frames) };
        told(&subject, &file, "ends", &format!(", {frames}{dropped}"));
        drop(place);
        Ok(summary)
    }

    fn told(&self, what: &str, more: &str) {
        told(&self.subject, &self.file, what, more);
    }
}

fn told(subject: &Subject, file: &Path, what: &str, more: &str) {
    let change = format!("capture {what}: {}{more}", file.display());
    subject.recorder.record(Kind::Network { vlan: subject.vlan, machines: subject.machines.clone(), change });
}

/// Where a capture's file is, its directory made, if it may be there.
async fn locate(output: &Path, file: &Path) -> Result<PathBuf, String> {
    let shown = file.display();
    let below = file.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    let (Some(name), true) = (file.file_name(), below) else {
        return Err(format!("{shown} is no file below the output directory; name one such as `setup.pcapng`"));
    };
    // It cannot be mistaken for another file of the record then.
    if file.extension().is_none_or(|extension| extension != "pcapng") {
        let cure = Path::new(name).with_extension("pcapng");
        return Err(format!("{shown} does not end with `.pcapng`; name it such as `{}`", cure.display()));
    }
    let cannot = |error: std::io::Error| format!("{shown} cannot be made: {error}");
    let directory = output.join(file.parent().unwrap_or(Path::new("")));
    tokio::fs::create_dir_all(&directory).await.map_err(cannot)?;
    let directory = tokio::fs::canonicalize(directory).await.map_err(cannot)?;
    let path = directory.join(name);
    let output = tokio::fs::canonicalize(output).await.map_err(cannot)?;
    let other = tokio::fs::symlink_metadata(&path).await.is_ok_and(|there| !there.is_file());
    if other || !directory.starts_with(output) {
        return Err(format!("something is in the way of {shown}: a symbolic link or what is no file"));
    }
    Ok(path)
}

/// The path of a file that is written. No other capture of this process writes to it until this is dropped.
#[derive(Debug)]
struct Place(PathBuf);

static WRITTEN: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

impl Place {
    fn claim(path: PathBuf) -> Option<Self> {
        let new = written().insert(path.clone());
        new.then(|| Self(path))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        written().remove(&self.0);
    }
}

fn written() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    WRITTEN.lock().unwrap_or_else(PoisonError::into_inner)
}
