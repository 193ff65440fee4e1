//! A real systemd host: a machine with a system bus and systemd-machined that is booted for one test and thrown away.
//!
//! It has all capabilities of this host and cgroups of version 2, so that containers run in it as they would on a host of their own.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use driver_core::run::cgroup;

use crate::roots::SmallRoot;

/// What such a host has installed.
const PACKAGES: &str =
    "systemd,systemd-sysv,systemd-container,dbus,bash,coreutils,iproute2,iputils-ping,util-linux,procps,python3";

/// What scripts begin with. `set -e` does not look at a command behind `!`, hence the function.
const PRELUDE: &str = r#"#!/bin/bash
set -euo pipefail
PATH=/tandem:$PATH
nothing() { if "$@" | grep .; then echo "these should be none: $*"; exit 1; fi; }"#;

/// The files of a host, from which any number can be booted.
#[derive(Clone, Debug)]
pub struct SystemdHost {
    root: SmallRoot,
}

impl SystemdHost {
    /// Takes the files from the cache, or builds them, which needs a Debian mirror and some thirty seconds.
    pub fn build() -> io::Result<Self> {
        Ok(Self { root: SmallRoot::with(PACKAGES)? })
    }

    /// A directory that a machine inside the host can have as its root: `/guest`.
    pub fn guest_root(&self) -> &Path {
        &self.root.directory
    }

    /// Boots a host and runs a bash script in it as root. Its output is standard output and error together. `tandem` is on its `PATH`, and
    /// `/guest` is a directory with a small Debian. `nothing COMMAND...` fails if the command prints anything.
    pub fn run(&self, tandem: &Path, script: &str) -> io::Result<Output> {
        let mut boot = Boot::of(&self.root.directory);
        boot.binds.push((self.guest_root().into(), "/guest"));
        boot.run(tandem, script)
    }
}

/// A host to be booted.
#[derive(Debug)]
pub(crate) struct Boot<'a> {
    /// The directory of its files, which stay as they are.
    root: &'a Path,
    /// Its name.
    pub(crate) name: &'a str,
    /// Files of this host, and where it sees them.
    pub(crate) binds: Vec<(PathBuf, &'static str)>,
    /// Bash code for this host that is run before it boots, when its files are at `$WORK/root`. It can add to systemd-nspawn's `options`.
    pub(crate) setup: &'static str,
    /// The environment of that code.
    pub(crate) environment: Vec<(&'static str, OsString)>,
    /// What the script begins with, after what every script begins with.
    pub(crate) prelude: String,
    /// The network namespace it boots in; else one of its own.
    pub(crate) network: Option<PathBuf>,
    /// How many seconds it may take for one script.
    pub(crate) patience: u32,
}

impl<'a> Boot<'a> {
    pub(crate) fn of(root: &'a Path) -> Self {
        let (binds, environment) = (Vec::new(), Vec::new());
        let (setup, prelude) = ("", String::new());
        Self { root, name: "tandem-host", binds, setup, environment, prelude, network: None, patience: 120 }
    }

    pub(crate) fn run(&self, tandem: &Path, script: &str) -> io::Result<Output> {
        let scratch = tempfile::tempdir()?;
        let (work, program) = (scratch.path().join("work"), scratch.path().join("program"));
        std::fs::create_dir(&work)?;
        std::fs::write(&program, format!("{PRELUDE}\n{}\n{script}\n", self.prelude))?;
        let bin = scratch.path().join("tandem");
        std::fs::create_dir(&bin)?;
        std::fs::copy(tandem, bin.join("tandem"))?;
        let cgroups = Cgroups::make()?;
        let cgroup_lines: Vec<String> = cgroups.0.iter().map(|path| path.display().to_string()).collect();
        let binds = [(bin, "/tandem")].into_iter().chain(self.binds.clone());
        let binds: Vec<String> = binds.map(|(path, inside)| format!("{}:{inside}", path.display())).collect();
        let mut command = Command::new("timeout");
        command.args(["--kill-after=5", &self.patience.to_string()]);
        if let Some(network) = &self.network {
            command.arg("nsenter").arg(format!("--net={}", network.display()));
        }
        command
            .args(["unshare", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc"])
            .args(["bash", "-c", include_str!("systemd_host.sh")])
            .env("ROOT", self.root)
            .env("WORK", &work)
            .env("PROGRAM", &program)
            .env("CGROUPS", cgroup_lines.join("\n"))
            .env("BINDS", binds.join("\n"))
            .env("NAME", self.name)
            .env("SETUP", self.setup)
            .env("NETWORK", if self.network.is_some() { "given" } else { "own" })
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .output()
    }
}

/// Cgroups of one host, removed with this value.
#[derive(Debug)]
struct Cgroups(Vec<PathBuf>);

impl Cgroups {
    fn make() -> io::Result<Self> {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let own = cgroup::of_process(std::process::id().cast_signed())?;
        Ok(Self(cgroup::make(&own, &format!("tandem-host-{}-{number}", std::process::id()), 0)))
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        for cgroup in &self.0 {
            // Killed processes take a moment to leave.
            for _ in 0..100 {
                match cgroup::remove_tree(cgroup) {
                    Err(_) => std::thread::sleep(std::time::Duration::from_millis(20)),
                    Ok(()) => break,
                }
            }
        }
    }
}
