//! `tandem doctor` on this host, and where this host is made to lack something.

mod host;
mod lacking;
mod of_a_test;
mod report;
mod sandbox;

use std::time::Duration;

use tandem_tests::TestResult;
use tandem_tests::leftovers::Snapshot;
use tandem_tests::program::{Ended, Program};

const TANDEM: &str = env!("CARGO_BIN_EXE_tandem-under-test");

/// A test with one container that boots the host's files.
const CONTAINER: &str =
    "# /// script\n# [tool.tandem.machines.m]\n# backend = \"container\"\n# ///\nm.succeed(\"true\")\n";

/// Runs a program beside these files, and makes sure that it leaves this host as it was.
fn run(program: &str, args: &[&str], files: &[(&str, &str)]) -> TestResult<Ended> {
    let _lock = tandem_tests::host_lock::shared()?;
    let before = Snapshot::take(&[])?;
    let ended = Program::start(program, args, files)?.wait(Duration::from_secs(60))?;
    before.restored_within(Duration::from_secs(2), &[&ended.pen])?;
    Ok(ended)
}

/// A shell that has the mounts, and in a user namespace all, to itself.
fn apart(how: &[&str], script: &str, files: &[(&str, &str)]) -> TestResult<Ended> {
    run("unshare", &[how, &["--mount", "sh", "-euc", script]].concat(), files)
}
