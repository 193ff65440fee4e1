//! Evaluation by a real Nix, with the project as `/project`.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tandem_tests::TestResult;
use tandem_tests::requirement;
use tandem_tests::roots::SmallRoot;
use tempfile::TempDir;

/// A system with Nix, which stays as it is.
pub(crate) struct Nix {
    root: SmallRoot,
}

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
        if !requirement::root() || !requirement::program("mmdebstrap") || !requirement::program("unshare") {
            return None;
        }
        match SmallRoot::with("nix-bin") {
            Ok(root) => Some(Self { root }),
            Err(error) => {
                requirement::met(Some(format!("no system with Nix could be built: {error}")));
                None
            }
        }
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
        let work = tempfile::tempdir()?;
        let directories: Vec<_> = directories.iter().map(|directory| directory.display().to_string()).collect();
        Command::new("timeout")
            .args(["--kill-after=5", "60", "unshare", "--pid", "--fork", "--kill-child", "--mount", "--net"])
            .args(["bash", "-c", include_str!("nix.sh"), "nix"])
            .args(command)
            .env("ROOT", &self.root.directory)
            .env("WORK", work.path())
            .env("PROJECT", project())
            .env("DIRECTORIES", directories.join("\n"))
            .stdin(Stdio::null())
            .output()
    }
}

/// The project's directory.
pub(crate) fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("/"))
}
