//! Nix without a daemon, for what only evaluates.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::process::Output;

use serde::de::DeserializeOwned;
use tandem_tests::nix::NixHost;
use tandem_tests::{TestResult, requirement};

pub(crate) use tandem_tests::nix::project;

/// Whether there is a Nix.
pub(crate) fn is_there() -> bool {
    requirement::nix().is_some()
}

/// Runs a command that uses Nix in the project's directory. Directories of this host that it is to see are listed.
pub(crate) fn run<S: AsRef<OsStr>>(directories: &[&Path], command: &[S]) -> io::Result<Output> {
    NixHost::build()?.nix(directories, command)
}

/// The value of an expression, in which paths begin in the project's directory.
pub(crate) fn value<T: DeserializeOwned>(directories: &[&Path], expression: &str) -> TestResult<T> {
    let output = run(directories, &["nix-instantiate", "--eval", "--strict", "--json", "--expr", expression])?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}
