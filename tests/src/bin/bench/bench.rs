//! What all measurements share: how often, with which interpreter, where files go, and containers of Tandem's.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use backend_nspawn::Nspawn;
use backend_qemu::Qemu;
use backend_qemu::accel;
use backend_qemu::arch::Arch;
use driver_core::backend::Backend;
use driver_core::event::Recorder;
use driver_core::run::Run;
use driver_core::spec::{MachineSpec, TestSpec};
use tandem_tests::TestResult;
use tandem_tests::stage::container;
use tempfile::TempDir;

use crate::group::Group;

/// How long anything may take before it counts as broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct Bench {
    quick: bool,
    python: PathBuf,
    directory: TempDir,
    _group: Group,
}

impl Bench {
    pub(crate) fn new(quick: bool, python: &Path) -> TestResult<Self> {
        let problems = Nspawn::new().preflight(&[]);
        if !problems.is_empty() {
            return Err(driver_core::spec::list(&problems).into());
        }
        let directory = tempfile::Builder::new().prefix("tandem-bench-").tempdir()?;
        Ok(Self { quick, python: python.into(), directory, _group: Group::enter()? })
    }

    /// How often to measure what is measured `full` times if there is time.
    pub(crate) fn rounds(&self, full: usize) -> usize {
        if self.quick { full.div_ceil(5) } else { full }
    }

    pub(crate) fn python(&self) -> &Path {
        &self.python
    }

    /// A directory that goes with the program.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// What the host lacks for VMs, if it does.
    pub(crate) fn lacking_for_vms() -> Option<String> {
        let problems = Qemu::new().preflight(&[&MachineSpec::new("m1", "vm")]);
        (!problems.is_empty()).then(|| driver_core::spec::list(&problems).replace('\n', "; "))
    }

    /// A run with containers m1, m2, ..., none of them started. Dropping it ends it.
    pub(crate) async fn run(&self, containers: usize) -> TestResult<Run> {
        self.run_of((1..=containers).map(|number| container(&format!("m{number}"))).collect()).await
    }

    /// A run with these machines.
    pub(crate) async fn run_of(&self, machines: Vec<MachineSpec>) -> TestResult<Run> {
        let backends: Vec<Arc<dyn Backend>> = vec![Arc::new(Nspawn::new()), Arc::new(Qemu::new())];
        let spec = TestSpec::new("bench", machines);
        Ok(Run::start(&spec, &backends, Recorder::new(vec![]), self.directory()).await?)
    }

    /// The same with one container that has booted and has nothing more to do.
    pub(crate) async fn settled(&self) -> TestResult<Run> {
        let run = self.run(1).await?;
        run.start_all().await?;
        // Its status is not 0 if a unit has failed, which does not matter here.
        run.machines()[0].execute("systemctl is-system-running --wait", Some(PATIENCE)).await?;
        Ok(run)
    }

    /// The host in one line.
    pub(crate) fn host(&self) -> String {
        let cpus = std::thread::available_parallelism().map_or(0, usize::from);
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let nspawn = first_line(Command::new("systemd-nspawn").arg("--version"));
        let python = first_line(Command::new(&self.python).arg("--version"));
        let python = format!("{python} ({})", self.python.display());
        format!("{cpus} CPUs, Linux {}, {nspawn}, {}, {python}", kernel.trim(), vms())
    }
}

/// Ends a run and fails if that does.
pub(crate) async fn finish(run: Run) -> TestResult {
    let failures = run.finish().await;
    if failures.is_empty() { Ok(()) } else { Err(format!("the run could not be undone: {failures:?}").into()) }
}

/// What VMs run on.
fn vms() -> String {
    let chosen = Arch::of_host().map(|arch| (arch, accel::choose(<_>::default(), arch, &accel::Host::ask())));
    match chosen {
        Some((arch, Ok((_, how)))) if Bench::lacking_for_vms().is_none() => {
            format!("{} by {how}", first_line(Command::new(arch.qemu).arg("--version")))
        }
        _ => "no VMs".to_owned(),
    }
}

fn first_line(command: &mut Command) -> String {
    let output = command.output().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output).lines().next().unwrap_or("?").to_owned()
}
