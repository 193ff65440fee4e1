//! Where things lie: the machines' state, and the record.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use driver_core::log::OutputDirectory;
use driver_core::run::StateDirectories;
use driver_core::spec::{Problem, TestSpec};
use rustix::fs::{Access, access};

use crate::exit::Status;
use crate::output::say;

use super::args::Args;

const CURE: &str = "set XDG_RUNTIME_DIR to a directory that can be written to";

/// The places of a test.
pub(super) struct Places {
    pub(super) state: StateDirectories,
    pub(super) record: Record,
    pub(super) output: PathBuf,
}

impl Places {
    /// Claims them.
    pub(super) fn claim(args: &Args, spec: &TestSpec) -> Result<Self, Problem> {
        let root = root(|name| std::env::var_os(name).map(PathBuf::from))?;
        let machines = spec.machines.iter().map(|machine| machine.name.as_str());
        let state = StateDirectories::claim(&root, args.keep, machines)?;
        let record = match &args.record {
            Some(path) => Record::that_stays(path),
            None => Record::create(&state.record()),
        }?;
        Ok(Self { state, record, output: args.output.clone() })
    }
}

/// The record of a test.
pub(super) struct Record {
    directory: OutputDirectory,
    /// Whether it is kept even if the test passes.
    stays: bool,
}

impl Record {
    /// Makes it in the place of that of an earlier test.
    fn create(path: &Path) -> Result<Self, Problem> {
        let old = match fs::symlink_metadata(path) {
            Ok(found) if found.is_dir() => fs::remove_dir_all(path),
            Ok(_) => fs::remove_file(path),
            Err(_) => Ok(()),
        };
        let made = old.and_then(|()| DirBuilder::new().mode(0o700).create(path));
        made.map_err(|error| Problem::host(path.display().to_string(), error.to_string(), CURE))?;
        Ok(Self { directory: OutputDirectory::create(path)?, stays: false })
    }

    /// Makes it where somebody wants to have it. What else is there remains.
    fn that_stays(path: &Path) -> Result<Self, Problem> {
        let directory = OutputDirectory::create(path)
            .map_err(|problem| Problem { cure: "name another directory by TANDEM_RECORD".into(), ..problem })?;
        Ok(Self { directory, stays: true })
    }

    pub(super) fn directory(&self) -> &OutputDirectory {
        &self.directory
    }

    /// Removes the record of a test that passed, unless it is to stay, and tells where that of any other is.
    pub(super) fn finish(self, status: Status) {
        let path = self.directory.path().to_owned();
        if status != Status::Passed {
            say(format_args!("the test's record is in {}", path.display()));
        } else if !self.stays
            && let Err(error) = fs::remove_dir_all(&path)
        {
            say(format_args!("removing {} failed: {error}", path.display()));
        }
    }
}

/// Upstream's directory for the state of machines, made if it is `XDG_RUNTIME_DIR` and missing.
fn root(environment: impl Fn(&str) -> Option<PathBuf>) -> Result<PathBuf, Problem> {
    let variable = |name: &str| environment(name).filter(|path| !path.as_os_str().is_empty());
    let Some(path) = variable("XDG_RUNTIME_DIR") else {
        return temporary(variable)
            .ok_or_else(|| Problem::host("machine state", "no directory for temporary files can be written to", CURE));
    };
    let made = match DirBuilder::new().mode(0o700).create(&path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error.to_string()),
        _ => usable(&path),
    };
    let problem = |message| Problem::host(format!("XDG_RUNTIME_DIR {}", path.display()), message, CURE);
    made.map_err(problem)?;
    Ok(absolute(path))
}

/// A directory for temporary files, as Python looks for one.
fn temporary(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let named = ["TMPDIR", "TEMP", "TMP"].into_iter().filter_map(variable);
    let usual = ["/tmp", "/var/tmp", "/usr/tmp"].map(PathBuf::from);
    named.chain(usual).find(|path| usable(path).is_ok()).map(absolute)
}

/// Where drivers of this environment have had the state of their machines, if that is there.
pub(crate) fn state_root() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| !path.as_os_str().is_empty());
    variable("XDG_RUNTIME_DIR").map_or_else(|| temporary(variable), |path| Some(absolute(path)))
}

fn usable(path: &Path) -> Result<(), String> {
    if !path.is_dir() {
        return Err("it is not a directory".into());
    }
    access(path, Access::WRITE_OK | Access::EXEC_OK).map_err(|error| format!("it is not writable: {error}"))
}

fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn root_of(variables: &[(&str, &Path)]) -> Result<PathBuf, Problem> {
        root(|name| variables.iter().find_map(|(known, path)| (*known == name).then(|| path.to_path_buf())))
    }

    #[test]
    fn the_runtime_directory_is_made() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run");
        assert_eq!(root_of(&[("XDG_RUNTIME_DIR", &path), ("TMPDIR", Path::new("/tmp"))]), Ok(path.clone()));
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn otherwise_it_is_where_python_has_temporary_files() {
        let directory = tempfile::tempdir().unwrap();
        let (here, gone) = (directory.path(), directory.path().join("gone"));
        assert_eq!(root_of(&[("TMPDIR", here), ("TEMP", Path::new("/"))]), Ok(here.to_owned()));
        assert_eq!(root_of(&[("TMPDIR", &gone), ("TEMP", Path::new("")), ("TMP", here)]), Ok(here.to_owned()));
        assert_eq!(root_of(&[("XDG_RUNTIME_DIR", Path::new(""))]), Ok("/tmp".into()));
    }

    #[test]
    fn what_cannot_be_used_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        for (path, said) in [(file.clone(), "it is not a directory"), (file.join("below"), "Not a directory")] {
            let problem = root_of(&[("XDG_RUNTIME_DIR", &path)]).unwrap_err().to_string();
            assert!(problem.contains(said) && problem.ends_with(CURE), "{problem}");
        }
    }
}
