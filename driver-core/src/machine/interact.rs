//! A shell for a person.

use std::os::fd::OwnedFd;

use super::Machine;
use super::shell::quote;
use crate::error::Error;
use crate::guest::Command;

/// What is run on the terminal. The session of its own has it as its controlling terminal, for job control and Ctrl-C.
const SHELL: &str = "exec 2>&1
if command -v setsid >/dev/null; then exec setsid --ctty --wait bash -i; fi
exec bash -i";

impl Machine {
    /// Runs root's interactive shell on a terminal, whose slave side is given, until it ends; returns its status. Closing the master side
    /// ends it, too. The machine must be one that runs several commands at the same time, since this one lasts.
    ///
    /// `term` is the kind of terminal that it is, as `TERM` names it.
    pub async fn shell(&self, terminal: OwnedFd, term: &str) -> Result<i32, Error> {
        const VERB: &str = "shell_interact";
        let boot = self.connect().await?;
        if !boot.guest.channel().overlap {
            return Err(
                self.cannot(VERB, "it has one shell, which takes one command after another and none that asks back")
            );
        }
        let output = terminal.try_clone().map_err(|error| self.cannot(VERB, &error.to_string()))?;
        let script = format!("export TERM={}\n{SHELL}", quote(term));
        let command = Command { stdin: Some(terminal), stdout: Some(output), ..Command::new(script) };
        Ok(boot.run(VERB, command).await?.status)
    }
}
