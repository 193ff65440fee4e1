//! The directory that a run leaves behind.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::file::WriteFaults;
use super::jsonl::Jsonl;
use super::machine_files::MachineFiles;
use crate::event::Sink;
use crate::spec::Problem;

const EVENTS: &str = "events.jsonl";
const CURE: &str = "choose another output directory with -o";

/// A directory that one run at a time writes its record to.
///
/// Files of an earlier run that have the names of ours (`events.jsonl`, `MACHINE/console.log`, `MACHINE/journal.jsonl`) are replaced; nothing
/// else in it is touched. The claim ends when the value is dropped.
#[derive(Debug)]
pub struct OutputDirectory {
    path: PathBuf,
    claim: File,
}

impl OutputDirectory {
    /// Reports what keeps `path` from being the output directory of a run. Changes nothing.
    pub fn check(path: &Path) -> Option<Problem> {
        let message = match occupied(path) {
            Err(error) => error.to_string(),
            Ok(true) => "another run writes to it".into(),
            Ok(false) => return None,
        };
        Some(problem(path, message))
    }

    /// Makes the directory where there is none and claims it.
    pub fn create(path: &Path) -> Result<Self, Problem> {
        let claim = || -> io::Result<Self> {
            fs::create_dir_all(path)?;
            let claim = File::open(path)?;
            claim.try_lock()?;
            Ok(Self { path: path.into(), claim })
        };
        claim().map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => problem(path, "another run writes to it"),
            _ => problem(path, error.to_string()),
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The sinks of its files: all events, and the console and journal of each machine.
    pub fn sinks<'a>(
        &self,
        machines: impl IntoIterator<Item = &'a str>,
        faults: &WriteFaults,
    ) -> Result<Vec<Box<dyn Sink>>, Problem> {
        let fault = |error: io::Error| problem(&self.path, error.to_string());
        Ok(vec![
            Box::new(Jsonl::create(&self.path.join(EVENTS), faults).map_err(fault)?),
            Box::new(MachineFiles::create(&self.path, machines, faults).map_err(fault)?),
        ])
    }
}

impl Drop for OutputDirectory {
    fn drop(&mut self) {
        // Closing is not enough: a process forked during the run may still hold a copy of the descriptor. A failure leaves it to the close.
        let _ = self.claim.unlock();
    }
}

/// Whether another run has claimed `path`. Fails if a run could not write there.
fn occupied(path: &Path) -> io::Result<bool> {
    let path = std::path::absolute(path)?;
    let existing = path.ancestors().find(|ancestor| fs::symlink_metadata(ancestor).is_ok()).unwrap_or(Path::new("/"));
    if !fs::metadata(existing)?.is_dir() {
        return Err(io::Error::other(format!("{} is not a directory", existing.display())));
    }
    access(existing, Access::WRITE_OK | Access::EXEC_OK)?;
    if existing != path {
        return Ok(false);
    }
    if path.join(EVENTS).is_dir() {
        return Err(io::Error::other(format!("{EVENTS} in it is a directory")));
    }
    match File::open(&path)?.try_lock() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn problem(path: &Path, message: impl Into<String>) -> Problem {
    Problem::user(format!("output directory {}", path.display()), message, CURE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Kind, Recorder};

    #[test]
    fn checking_makes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b");
        assert_eq!(OutputDirectory::check(&path), None);
        assert!(!directory.path().join("a").exists());
    }

    #[test]
    fn what_cannot_be_written_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        let odd = directory.path().join("odd");
        fs::create_dir_all(odd.join(EVENTS)).unwrap();
        for (path, said) in [
            (&file, "file is not a directory"),
            (&file.join("below"), "file is not a directory"),
            (&odd, "events.jsonl in it is a directory"),
        ] {
            let problem = OutputDirectory::check(path).unwrap();
            assert!(problem.message.contains(said), "{problem}");
            assert!(problem.cure.contains("-o"), "{problem}");
        }
    }

    #[test]
    fn what_only_shows_on_creation_is_a_problem_too() {
        // Nobody can make a directory here, and root is not told so before.
        let problem = OutputDirectory::create(Path::new("/proc/tandem-out")).unwrap_err();
        assert!(problem.to_string().starts_with("output directory /proc/tandem-out: "), "{problem}");
    }

    #[test]
    fn two_runs_cannot_share_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out");
        let first = OutputDirectory::create(&path).unwrap();
        assert!(OutputDirectory::create(&path).unwrap_err().message.contains("another run"));
        assert!(OutputDirectory::check(&path).unwrap().message.contains("another run"));
        drop(first);
        assert_eq!(OutputDirectory::check(&path), None);
        OutputDirectory::create(&path).unwrap();
    }

    #[test]
    fn its_sinks_write_every_file() {
        let directory = tempfile::tempdir().unwrap();
        let output = OutputDirectory::create(directory.path()).unwrap();
        let recorder = Recorder::new(output.sinks(["server"], &WriteFaults::default()).unwrap());
        recorder.machine("server").record(Kind::Console { line: "hello".into() });
        for (file, line) in [("events.jsonl", "\"line\":\"hello\""), ("server/console.log", "hello\n")] {
            assert!(fs::read_to_string(output.path().join(file)).unwrap().contains(line), "{file}");
        }
    }
}
