//! A file that the user names for a report: what is there is written to, never replaced by another file, since it may be a device.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use super::file::{WriteFault, WriteFaults};

/// A document that grows, and that has an end which what it grows by goes before.
#[derive(Debug)]
pub(super) struct GivenFile {
    path: PathBuf,
    /// None once a write has failed.
    file: Option<File>,
    regular: bool,
    /// How long the document is without its end.
    length: u64,
    faults: WriteFaults,
}

impl GivenFile {
    /// Opens or makes the file and empties it.
    pub(super) fn open(path: &Path, faults: &WriteFaults) -> io::Result<Self> {
        // Opening a named pipe would wait for its reader, for ever if there is none.
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let file = File::options().create(true).write(true).truncate(true).custom_flags(flags).open(path)?;
        fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
        let regular = file.metadata()?.is_file();
        Ok(Self { path: path.into(), file: Some(file), regular, length: 0, faults: faults.clone() })
    }

    /// Adds to the document. A regular file has the end after it from now on, in the same write; another file gets it from
    /// [`finish`](Self::finish).
    pub(super) fn grow(&mut self, text: &str, end: &str) {
        let (regular, length) = (self.regular, self.length);
        self.length += text.len() as u64;
        self.try_to(|mut file| {
            if regular {
                file.write_all_at(format!("{text}{end}").as_bytes(), length)
            } else {
                file.write_all(text.as_bytes())
            }
        });
    }

    /// Writes the end where it is not written yet.
    pub(super) fn finish(&mut self, end: &str) {
        if !self.regular {
            self.try_to(|mut file| file.write_all(end.as_bytes()));
        }
    }

    /// Puts another document in the place of this one, in a regular file. Another file cannot take back what it got.
    pub(super) fn replace(&mut self, text: &str) {
        if self.regular {
            self.try_to(|file| {
                file.write_all_at(text.as_bytes(), 0)?;
                file.set_len(text.len() as u64)
            });
        }
    }

    /// What went wrong from now on is told to others.
    pub(super) fn tell(&mut self, faults: &WriteFaults) {
        self.faults = faults.clone();
    }

    fn try_to(&mut self, write: impl FnOnce(&File) -> io::Result<()>) {
        let Some(file) = &self.file else { return };
        if let Err(source) = write(file) {
            self.file = None;
            self.faults.add(WriteFault { path: self.path.clone(), source });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_regular_file_always_has_its_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, "of an earlier run, and long").unwrap();
        let mut file = GivenFile::open(&path, &WriteFaults::default()).unwrap();
        let read = || std::fs::read_to_string(&path).unwrap();
        file.grow("<a>", "</a>");
        assert_eq!(read(), "<a></a>");
        file.grow("<b/>", "</a>");
        assert_eq!(read(), "<a><b/></a>");
        file.grow("</a>", "");
        file.finish("");
        assert_eq!(read(), "<a><b/></a>");
        file.replace("short");
        assert_eq!(read(), "short");
    }

    #[test]
    fn a_device_is_written_to_and_left_there() {
        let faults = WriteFaults::default();
        GivenFile::open(Path::new("/dev/null"), &faults).unwrap().grow("text", "end");
        assert!(faults.take().is_empty());
        let mut full = GivenFile::open(Path::new("/dev/full"), &faults).unwrap();
        full.grow("one", "");
        full.grow("two", "");
        assert_eq!(faults.take().len(), 1);
    }

    #[test]
    fn a_pipe_without_a_reader_does_not_block() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        GivenFile::open(&path, &WriteFaults::default()).unwrap_err();
    }
}
