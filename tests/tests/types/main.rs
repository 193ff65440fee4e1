//! The types that scripts see, by real type checkers.

#[cfg(test)]
mod command_line;
#[cfg(test)]
mod nixpkgs;
#[cfg(test)]
mod scripts;

#[cfg(test)]
use std::path::PathBuf;
#[cfg(test)]
use std::process::Command;

#[cfg(test)]
use tandem_tests::requirement;

/// The interpreters here that have mypy: that of `make check`, of one version, and the host's, of whichever.
#[cfg(test)]
fn interpreters() -> Vec<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| at("../target"), PathBuf::from);
    let places = [target.join("checkers/bin/python"), "/usr/bin/python3".into()];
    let has_mypy = |python: &PathBuf| {
        let output = Command::new(python).args(["-m", "mypy", "--version"]).output();
        output.is_ok_and(|output| output.status.success())
    };
    let found: Vec<_> = places.into_iter().filter(has_mypy).collect();
    requirement::met(found.is_empty().then(|| "no python3 has mypy".into()));
    found
}

/// A path below the folder of the tests' crate.
#[cfg(test)]
fn at(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}
