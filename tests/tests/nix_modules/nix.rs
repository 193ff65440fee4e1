//! Nix without a daemon, for what only evaluates.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde::de::DeserializeOwned;
use tandem_tests::{TestResult, requirement};

/// The project's directory.
pub(crate) fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Whether there is a Nix.
pub(crate) fn is_there() -> bool {
    requirement::program("nix-instantiate")
}

/// Runs a command that uses Nix in the project's directory. Directories of this host that it is to see are listed in `_directories`; here it
/// sees all.
pub(crate) fn run<S: AsRef<OsStr>>(_directories: &[&Path], command: &[S]) -> io::Result<Output> {
    Command::new("timeout").arg("120").args(command).current_dir(project()).output()
}

/// The value of an expression, in which paths begin in the project's directory.
pub(crate) fn value<T: DeserializeOwned>(directories: &[&Path], expression: &str) -> TestResult<T> {
    let output = run(directories, &["nix-instantiate", "--eval", "--strict", "--json", "--expr", expression])?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}
