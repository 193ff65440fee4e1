//! `tandem attach`: a shell in a machine of another process's run, which serves it at the socket where it answers its script.

mod choice;
mod client;
mod lines;
mod signals;
mod terminal;

use std::process::ExitCode;

use clap::Args;
use driver_core::run::runs;

use crate::exit::Status;
use crate::output::say;

use choice::{Choice, choose};
use client::Client;

/// What its help says at the end.
pub(crate) const HELP: &str = "\
RUN is the name that `tandem ps` shows, its beginning, or the name of the test. It can be left out if there is one run, or one run with this
machine; MACHINE can if the run has one machine.

A container gives a shell on a terminal of its own. The shell of a VM runs one command after another, none of which can ask back, and waits
while the script runs one. Ctrl-] three times within a second leaves a container's shell that does not answer.

Examples:
  tandem attach                 the machine, if there is but one
  tandem attach server          this machine of the only run
  tandem attach ab server       this one of the run whose name begins with ab

Exit status:
  that of the shell, or
  2    there is no such run or machine, or the machine is not up
  4    the run ended, or the machine
  130, 129, 143  Ctrl-C or a signal ended it";

/// What its command line says.
#[derive(Debug, Args)]
pub(crate) struct AttachArgs {
    /// The run.
    #[arg(value_name = "RUN")]
    pub(crate) run: Option<String>,
    /// The machine.
    #[arg(value_name = "MACHINE")]
    pub(crate) machine: Option<String>,
}

/// How it came to no shell's status.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What was asked for cannot be had.
    Refused(String),
    /// The run, the machine or the terminal is gone.
    Broken(String),
    /// A signal ended it.
    Signalled(u8),
}

/// Opens the shell; returns its status.
pub(crate) fn attach(args: &AttachArgs) -> ExitCode {
    let status = match shell(args) {
        Ok(status) => return u8::try_from(status).unwrap_or(u8::MAX).into(),
        Err(Failure::Signalled(number)) => return (128 + number).into(),
        Err(Failure::Refused(why)) => {
            say(why);
            Status::Usage
        }
        Err(Failure::Broken(why)) => {
            say(why);
            Status::Broken
        }
    };
    status.into()
}

fn shell(args: &AttachArgs) -> Result<i32, Failure> {
    let runs = runs().map_err(|error| Failure::Broken(format!("looking for runs failed: {error}")))?;
    let Choice { run, machine } =
        choose(&runs, args.run.as_deref(), args.machine.as_deref()).map_err(Failure::Refused)?;
    let client = Client::connect(&run.socket()).map_err(|error| {
        Failure::Refused(format!("run {}: its script does not run yet, or not any more: {error}", run.name))
    })?;
    if machine.backend == "container" {
        terminal::shell(client, &machine.name)
    } else {
        drop(client);
        lines::shell(&run.socket(), &machine.name)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

impl From<rustix::io::Errno> for Failure {
    fn from(errno: rustix::io::Errno) -> Self {
        Self::Broken(errno.to_string())
    }
}
