//! Programs that are needed.

use std::env;
use std::ffi::OsStr;
use std::path::PathBuf;

use super::{Cure, Need};

/// A program that tells more than that it is there, and how that is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The program.
    pub program: PathBuf,
    /// What it is asked, such as `--version`.
    pub arguments: Vec<String>,
    /// The oldest version that is known to work, if there is one.
    pub oldest: Option<u32>,
}

impl Ask {
    /// Asks a program for its version, which stands in its first line.
    pub fn version(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), arguments: vec!["--version".into()], oldest: None }
    }
}

/// Finds a program on the `PATH`.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    find_in(&path, program)
}

fn find_in(path: &OsStr, program: &str) -> Option<PathBuf> {
    env::split_paths(path).map(|directory| directory.join(program)).find(|file| file.is_file())
}

/// A program that was found, or not, with the cure in that case.
pub fn program(group: &str, name: &str, purpose: &str, found: Option<PathBuf>, cure: Cure) -> Need {
    match found {
        None => Need::missing(group, name, purpose, "it is not on the PATH", cure),
        Some(path) => {
            Need { ask: Some(Ask::version(&path)), ..Need::ok(group, name, purpose, path.display().to_string()) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_a_file_on_the_path() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("one")).unwrap();
        std::fs::write(directory.path().join("two"), "").unwrap();
        let path = directory.path().as_os_str();
        assert_eq!(find_in(path, "one"), None);
        assert_eq!(find_in(path, "two"), Some(directory.path().join("two")));
        assert_eq!(find_in(OsStr::new(""), "two"), None);
        assert!(program("VMs", "qemu", "to run", None, Cure::new("install it")).is_missing());
    }
}
