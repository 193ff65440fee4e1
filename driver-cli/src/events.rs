//! The file that `--events` names.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use driver_core::spec::Problem;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

/// A file, a pipe or a device that takes the events of all tests.
#[derive(Debug)]
pub(crate) struct EventsFile {
    path: PathBuf,
    file: File,
}

impl EventsFile {
    /// Opens it; a regular file is emptied.
    pub(crate) fn open(path: &Path) -> Result<Self, Problem> {
        let open = || -> io::Result<File> {
            // Opening a named pipe would wait for its reader, for ever if there is none.
            let flags = OFlags::NONBLOCK.bits().cast_signed();
            let file = File::options().create(true).append(true).custom_flags(flags).open(path)?;
            if file.metadata()?.is_file() {
                file.set_len(0)?;
            }
            // Writing shall wait for a reader that is slow, though: an event that is left out would be a gap.
            fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
            Ok(file)
        };
        match open() {
            Ok(file) => Ok(Self { path: path.into(), file }),
            Err(error) => {
                let nobody = error.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error());
                let message = if nobody { "nobody reads this pipe".into() } else { error.to_string() };
                Err(Problem::user(format!("--events {}", path.display()), message, "name a file that can be written"))
            }
        }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The same open file once more.
    pub(crate) fn file(&self) -> io::Result<File> {
        self.file.try_clone()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_file_is_emptied_and_then_grows() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events");
        std::fs::write(&path, "of an earlier run").unwrap();
        let events = EventsFile::open(&path).unwrap();
        events.file().unwrap().write_all(b"one\n").unwrap();
        events.file().unwrap().write_all(b"two\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\n");
    }

    #[test]
    fn a_pipe_without_a_reader_does_not_block() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        assert!(EventsFile::open(&path).unwrap_err().message.contains("nobody reads"));
    }

    #[test]
    fn what_cannot_be_opened_is_a_problem_with_its_name() {
        let problem = EventsFile::open(Path::new("/nonexistent/events")).unwrap_err();
        assert!(problem.to_string().starts_with("--events /nonexistent/events: No such file"), "{problem}");
    }
}
