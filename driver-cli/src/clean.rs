//! `tandem clean`: removes what is left of runs that nobody looks after any more.

use std::io::{self, Write as _};
use std::path::Path;

use clap::Args;
use driver_core::log::harmless;
use driver_core::run::{FoundRun, dead_state, remove_dead_state, runs};

use crate::exit::Status;
use crate::nixos::state_root;
use crate::output::say;
use crate::written;

/// What its help says at the end.
pub(crate) const HELP: &str = "\
A run whose driver is killed is removed by its keeper. If that is killed, too, cgroups and a directory are left until the next run
begins, or until this. Also removed are directories for machine state that drivers made because another one used the usual place, and left.
What a run that lives has is never touched, nor are records of tests.

Examples:
  tandem clean --dry-run    tell what would be removed
  tandem clean

Exit status:
  0  nothing is left, or nothing was
  4  something could not be removed";

/// What its command line says.
#[derive(Debug, Args)]
pub(crate) struct CleanArgs {
    /// Removes nothing, and tells what would be removed.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Removes it, or tells what would be removed.
pub(crate) fn clean(args: &CleanArgs) -> Status {
    let runs = match runs() {
        Ok(runs) => runs,
        Err(error) => {
            say(format_args!("looking for runs failed: {error}"));
            return Status::Broken;
        }
    };
    let mut report = Report { dry: args.dry_run, status: Status::Passed, lines: Vec::new() };
    for run in runs.iter().filter(|run| !run.alive) {
        report.one(&of_run(run), || run.remove());
    }
    for directory in state_root().map(|root| dead_state(&root)).unwrap_or_default() {
        report.one(&of_state(&directory), || remove_dead_state(&directory));
    }
    if report.lines.is_empty() && report.status == Status::Passed {
        report.lines.push("nothing is left of any run".into());
    }
    let text: String = report.lines.iter().flat_map(|line| [line, "\n"]).collect();
    report.status.max(written(io::stdout().lock().write_all(text.as_bytes())))
}

/// What was done.
struct Report {
    dry: bool,
    status: Status,
    lines: Vec<String>,
}

impl Report {
    fn one(&mut self, what: &str, remove: impl FnOnce() -> io::Result<()>) {
        if self.dry {
            self.lines.push(format!("would remove {what}"));
            return;
        }
        match remove() {
            Ok(()) => self.lines.push(format!("removed {what}")),
            Err(error) => {
                say(format_args!("{what}: {error}"));
                self.status = Status::Broken;
            }
        }
    }
}

fn of_run(run: &FoundRun) -> String {
    let test = run.status.as_ref().map(|status| format!(" of test {}", harmless(&status.test))).unwrap_or_default();
    let places: Vec<_> =
        [run.directory.clone()].iter().chain(&run.cgroups()).map(|path| path.display().to_string()).collect();
    format!("run {}{test}: {}", run.name, places.join(", "))
}

fn of_state(directory: &Path) -> String {
    format!("machine state of a driver that is gone: {}", directory.display())
}
