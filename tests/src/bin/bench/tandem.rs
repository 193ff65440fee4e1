//! The program `tandem` with a script of ours.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tandem_tests::TestResult;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::bench::{Bench, PATIENCE};

/// The name by which this program is `tandem`.
pub(crate) const NAME: &str = "tandem";

/// A test that runs. Dropping it kills it, and what it started ends with it.
pub(crate) struct Tandem {
    child: Child,
    output: PathBuf,
    log: PathBuf,
}

impl Tandem {
    /// Starts a test with these containers.
    pub(crate) fn start(bench: &Bench, containers: &[&str], script: &str) -> TestResult<Self> {
        let directory = bench.directory();
        let (test, log) = (directory.join("test.py"), directory.join("tandem.log"));
        let declare = |name: &&str| format!("# [tool.tandem.machines.{name}]\n# backend = \"container\"\n");
        let machines = containers.iter().map(declare).collect::<Vec<_>>().concat();
        fs::write(&test, format!("# /// script\n# [tool.tandem]\n{machines}# ///\n{script}"))?;
        let output = directory.join("out");
        let mut command = std::process::Command::new(std::env::current_exe()?);
        std::os::unix::process::CommandExt::arg0(&mut command, NAME);
        command.arg("run").arg("--python").arg(bench.python()).arg("-o").arg(&output).arg(test);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log)?);
        let mut command = Command::from(command);
        let child = command.process_group(0).kill_on_drop(true).spawn()?;
        Ok(Self { child, output, log })
    }

    /// Runs a test to its end and returns the directory with what its script wrote.
    pub(crate) async fn run(bench: &Bench, containers: &[&str], script: &str) -> TestResult<PathBuf> {
        Self::start(bench, containers, script)?.end().await
    }

    /// Where `driver.out_dir` is.
    pub(crate) fn output(&self) -> &Path {
        &self.output
    }

    /// Its process, while it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits for its end.
    pub(crate) async fn end(mut self) -> TestResult<PathBuf> {
        let status = timeout(PATIENCE, self.child.wait()).await??;
        if !status.success() {
            let said = fs::read_to_string(&self.log)?;
            return Err(format!("tandem: {status}; it said:\n{said}").into());
        }
        Ok(self.output.clone())
    }
}

/// Reads numbers that a script wrote, separated by white space.
pub(crate) fn numbers(path: &Path) -> TestResult<Vec<f64>> {
    Ok(fs::read_to_string(path)?.split_whitespace().map(str::parse).collect::<Result<_, _>>()?)
}
