//! One file of the record, and what becomes of a write that fails.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// What the file sinks of a run could not write. Clones share the list.
#[derive(Clone, Debug, Default)]
pub struct WriteFaults(Arc<Mutex<Vec<WriteFault>>>);

/// A file of the record that is not complete.
#[derive(Debug, thiserror::Error)]
#[error("writing {} failed: the record is not complete from there on; free some space or give another directory with -o", path.display())]
pub struct WriteFault {
    /// The file.
    pub path: PathBuf,
    /// Why the write failed.
    #[source]
    pub source: io::Error,
}

impl WriteFaults {
    /// Takes all faults so far, one a file.
    pub fn take(&self) -> Vec<WriteFault> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn add(&self, fault: WriteFault) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(fault);
    }
}

/// A file that grows by one unbuffered write for each entry, until one fails.
#[derive(Debug)]
pub(super) struct RecordFile {
    path: PathBuf,
    /// None once a write has failed: what follows a gap would read as if nothing were missing.
    file: Option<File>,
    faults: WriteFaults,
}

impl RecordFile {
    pub(super) fn new(file: File, path: &Path, faults: &WriteFaults) -> Self {
        Self { path: path.into(), file: Some(file), faults: faults.clone() }
    }

    /// Makes a new file in the place of one of an earlier run.
    pub(super) fn replace(path: &Path, faults: &WriteFaults) -> io::Result<Self> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // A new inode, never an opened old one: the old name could be a link to a file of someone else.
        let file = File::options().append(true).create_new(true).open(path)?;
        Ok(Self::new(file, path, faults))
    }

    pub(super) fn write(&mut self, entry: &[u8]) {
        let Some(file) = &mut self.file else { return };
        if let Err(source) = file.write_all(entry) {
            self.file = None;
            self.faults.add(WriteFault { path: self.path.clone(), source });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_in_the_way_is_replaced_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let (foreign, path) = (directory.path().join("foreign"), directory.path().join("events.jsonl"));
        std::fs::write(&foreign, "mine").unwrap();
        std::os::unix::fs::symlink(&foreign, &path).unwrap();

        RecordFile::replace(&path, &WriteFaults::default()).unwrap().write(b"new\n");

        assert_eq!(std::fs::read_to_string(foreign).unwrap(), "mine");
        assert_eq!(std::fs::read_to_string(path).unwrap(), "new\n");
    }

    #[test]
    fn a_full_disk_is_reported_once() {
        let faults = WriteFaults::default();
        let full = File::options().append(true).open("/dev/full").unwrap();
        let mut file = RecordFile::new(full, Path::new("events.jsonl"), &faults);
        file.write(b"one\n");
        file.write(b"two\n");

        let faults = faults.take();
        assert_eq!(faults.len(), 1);
        assert_eq!(faults[0].source.kind(), io::ErrorKind::StorageFull);
        assert!(faults[0].to_string().starts_with("writing events.jsonl failed"));
    }
}
