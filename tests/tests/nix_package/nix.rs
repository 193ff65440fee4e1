//! Evaluation by a real Nix, with the project as `/project`.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;
use tandem_tests::nix::NixHost;
use tandem_tests::{TestResult, requirement};
use tempfile::TempDir;

pub(crate) use tandem_tests::nix::project;

/// A system with Nix, which stays as it is.
pub(crate) struct Nix(NixHost);

/// What an evaluation came to.
pub(crate) struct Evaluated {
    /// Its value.
    pub(crate) value: Value,
    store: TempDir,
}

impl Evaluated {
    /// Where a store path lies that the evaluation made.
    pub(crate) fn place(&self, path: &str) -> PathBuf {
        self.store.path().join(path.trim_start_matches('/'))
    }
}

impl Nix {
    /// Takes it from the cache, or builds it when first asked for.
    pub(crate) fn find() -> Option<Self> {
        requirement::nix().map(Self)
    }

    /// The value of an expression, and what it has put into a store of its own. The stand-in for nixpkgs is `stub`, a function. Directories that
    /// the expression names are seen where they are.
    pub(crate) fn evaluate(&self, directories: &[&Path], expression: &str) -> TestResult<Evaluated> {
        let store = tempfile::tempdir()?;
        let expression = format!("let stub = import /project/tests/tests/nix_package/stub.nix; in {expression}");
        let place = store.path().to_str().ok_or("a directory's name is no text")?;
        let directories: Vec<_> = directories.iter().copied().chain([store.path()]).collect();
        let output = self.run(
            &directories,
            &[
                "nix-instantiate",
                "--eval",
                "--strict",
                "--json",
                "--read-write-mode",
                "--store",
                place,
                "--expr",
                &expression,
            ],
        )?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
        Ok(Evaluated { value: serde_json::from_slice(&output.stdout)?, store })
    }

    /// Runs a program of Nix.
    pub(crate) fn run(&self, directories: &[&Path], command: &[&str]) -> io::Result<Output> {
        self.0.nix(directories, command)
    }
}
