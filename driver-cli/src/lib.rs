//! The program `tandem`, as a library: whoever has a backend of their own builds a `tandem` that knows it too.
//!
//! ```no_run
//! # fn my_backend() -> std::sync::Arc<dyn driver_core::backend::Backend> { unimplemented!() }
//! fn main() -> std::process::ExitCode {
//!     let mut backends = driver_cli::backends();
//!     backends.push(my_backend());
//!     driver_cli::main_with(backends)
//! }
//! ```
//!
//! `args` is the command line. `check` finds all that is wrong with tests before anything starts, as a `report`; `doctor` shows what the host has, too. `ps`, `clean`
//! and `attach` are for runs of other processes. `run` takes the tests one
//! after another, `repl` opens a prompt with one; each is in a `session`: machines, [`script`], record, and the end that a signal or the clock may make (`stop`).

mod args;
mod attach;
mod check;
mod clean;
mod doctor;
mod events;
mod exit;
mod failure;
mod nixos;
mod output;
mod pages;
mod ps;
mod repl;
mod report;
mod run;
pub mod script;
mod session;
mod stop;

use std::io;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use driver_core::backend::Backend;
use tokio::runtime::Builder;
use tracing_subscriber::EnvFilter;

use args::{Command, CommandLine};
use exit::Status;
use output::say;
use report::Report;

/// The backends that come with Tandem.
pub fn backends() -> Vec<Arc<dyn Backend>> {
    vec![Arc::new(backend_nspawn::Nspawn::new()), Arc::new(backend_qemu::Qemu::new())]
}

/// Does what the process's command line says, with these backends, and returns its exit status.
///
/// Called `nixos-test-driver` or `generate-driver-symbols`, the process is that program of nixpkgs', and understands that one's command line.
///
/// Takes over Ctrl-C and SIGTERM while tests run. A second such signal ends the process at once, without returning.
pub fn main_with(backends: Vec<Arc<dyn Backend>>) -> ExitCode {
    if let Some(program) = nixos::Program::called(std::env::args_os().next().as_deref()) {
        return match trace() {
            Ok(()) => program.main(backends),
            Err(error) => {
                say(format_args!("TANDEM_LOG: {error}"));
                Status::Usage.into()
            }
        };
    }
    let command = CommandLine::parse().command;
    if let Err(error) = trace() {
        say(format_args!("TANDEM_LOG: {error}"));
        return Status::Usage.into();
    }
    let status = match command {
        // A shell's status is any number.
        Command::Attach(args) => return attach::attach(&args),
        Command::Ps(args) => ps::ps(&args),
        Command::Clean(args) => clean::clean(&args),
        Command::Run(args) => in_runtime(run::run(&args, backends)),
        Command::Repl(args) => in_runtime(repl::repl(&args, backends)),
        Command::Check(args) => in_runtime(check::check(&args, &backends)),
        Command::Doctor(args) => in_runtime(doctor::doctor(&args, &backends)),
        Command::Completions { shell } => written(pages::completions(shell, &mut io::stdout())),
        Command::Man { command } => written(pages::manual(command.as_deref(), &mut io::stdout())),
    };
    status.into()
}

/// Runs a command that needs a runtime and says why it could not do its work.
fn in_runtime(command: impl Future<Output = Result<Status, Report>>) -> Status {
    // While there are no threads. What cannot be had is told with the tests that need it.
    driver_core::run::obtain();
    if let Err(error) = driver_core::run::furnish() {
        say(format_args!("no cgroups can be had in this sandbox, and so no containers: {error}"));
    }
    // Machines and scripts do the work in processes of their own.
    let runtime = match Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            say(format_args!("starting threads failed: {error}"));
            return Status::Broken;
        }
    };
    let status = runtime.block_on(command).unwrap_or_else(|report| {
        say(&report);
        report.status()
    });
    // What may still run has nothing left to say.
    runtime.shutdown_background();
    status
}

fn written(result: io::Result<()>) -> Status {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            say(format_args!("writing to standard output failed: {error}"));
            Status::Broken
        }
        _ => Status::Passed,
    }
}

/// Turns the driver's own log on, if it is asked for. It takes time to set up.
fn trace() -> Result<(), String> {
    let Some(filter) = std::env::var_os("TANDEM_LOG") else { return Ok(()) };
    let filter = filter.into_string().map_err(|_| "not UTF-8".to_owned())?;
    let filter = EnvFilter::builder().parse(filter).map_err(|error| error.to_string())?;
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    Ok(())
}
