//! One run by one driver.

use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde::Deserialize;
use tandem_tests::TestResult;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use super::fixture::Fixture;
use crate::bench::Bench;

/// An emulated guest boots, and everything in it takes a while.
const PATIENCE: Duration = Duration::from_secs(420);

/// How many lines of its log an error shows.
const LAST: usize = 40;

/// Each with its program.
pub(super) enum Driver<'a> {
    Ours(&'a Path),
    Upstreams(&'a Path),
}

/// What a run tells. Times are in milliseconds where they are numbers.
pub(super) struct Told {
    pub(super) wall: Duration,
    pub(super) boot: f64,
    pub(super) commands: Vec<f64>,
    pub(super) late: Vec<f64>,
    pub(super) megabytes: f64,
}

/// What the script measured, in seconds and bytes.
#[derive(Deserialize)]
struct Measured {
    boot: f64,
    commands: Vec<f64>,
    late: Vec<f64>,
    memory: f64,
}

impl Driver<'_> {
    /// Runs the test to its end.
    pub(super) async fn run(&self, bench: &Bench, fixture: &Fixture) -> TestResult<Told> {
        let work = tempfile::Builder::new().prefix("run-").tempdir_in(bench.directory())?;
        let (out, log) = (work.path().join("out"), work.path().join("log"));
        fs::create_dir(&out)?;
        let (Self::Ours(program) | Self::Upstreams(program)) = self;
        let mut command = std::process::Command::new(program);
        command.arg("--config").arg(&fixture.configuration).arg("-o").arg(&out);
        if let Self::Ours(_) = self {
            command.env("PATH", fixture.search_path()?);
        }
        // Where the drivers keep the state of their machines. Sockets are in it, and their paths must be short.
        let state = tempfile::Builder::new().prefix("tandem-bench-").tempdir()?;
        command.env("XDG_RUNTIME_DIR", state.path()).current_dir(work.path());
        command.stdin(Stdio::null()).stdout(File::create(work.path().join("stdout"))?).stderr(File::create(&log)?);
        let mut command = Command::from(command);
        let began = Instant::now();
        let mut child = command.process_group(0).kill_on_drop(true).spawn()?;
        let (measured, own) = match timeout(PATIENCE, self.measured(&mut child, &out)).await {
            Ok(Ok(measured)) => measured,
            Ok(Err(error)) => return Err(said(&error.to_string(), &log)?.into()),
            Err(_) => return Err(said("no end in sight", &log)?.into()),
        };
        let status = timeout(PATIENCE, child.wait()).await??;
        let wall = began.elapsed();
        if !status.success() {
            return Err(said(&status.to_string(), &log)?.into());
        }
        let milliseconds = |seconds: Vec<f64>| seconds.into_iter().map(|seconds| seconds * 1e3).collect();
        Ok(Told {
            wall,
            boot: measured.boot * 1e3,
            commands: milliseconds(measured.commands),
            late: milliseconds(measured.late),
            megabytes: (measured.memory + own) / 1e6,
        })
    }

    /// What the script measured, and the driver's memory beside the script's, in bytes. Lets the script go on to its end.
    async fn measured(&self, child: &mut Child, out: &Path) -> TestResult<(Measured, f64)> {
        let file = out.join("measured.json");
        while !file.exists() {
            if let Some(status) = child.try_wait()? {
                return Err(format!("it ended too early: {status}").into());
            }
            sleep(Duration::from_millis(20)).await;
        }
        let measured = serde_json::from_slice(&fs::read(&file)?)?;
        // Upstream's script runs in the driver itself.
        let own = match self {
            Self::Ours(_) => child.id().and_then(resident).ok_or("the driver has no memory")?,
            Self::Upstreams(_) => 0.0,
        };
        fs::write(out.join("seen"), "")?;
        Ok((measured, own))
    }
}

/// What went wrong, with the last lines of a log.
fn said(what: &str, log: &Path) -> TestResult<String> {
    let log = fs::read(log)?;
    let lines: Vec<_> = String::from_utf8_lossy(&log).lines().map(str::to_owned).collect();
    Ok(format!("{what}; it said:\n{}", lines[lines.len().saturating_sub(LAST)..].join("\n")))
}

/// A process's resident memory in bytes.
fn resident(pid: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let value = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    value.trim().strip_suffix(" kB")?.parse::<f64>().ok().map(|kilobytes| kilobytes * 1024.0)
}
