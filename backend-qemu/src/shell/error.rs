//! Why a shell did not do what it was asked.

use std::io;
use std::time::Duration;

/// Why a command has no status.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShellError {
    /// The console was closed, as it is when the machine ends.
    #[error("the machine closed its console")]
    Closed,
    /// The console broke.
    #[error("the machine's console broke")]
    Broken(#[from] io::Error),
    /// No shell came.
    #[error("no shell came within {} s{}", waited.as_secs(), said(last))]
    NoShell {
        /// How long it was waited for.
        waited: Duration,
        /// The end of what was on the console instead.
        last: String,
    },
    /// The shell does not answer: the guest hangs, or the shell is gone.
    #[error("the machine's shell has not answered for {} s", .0.as_secs())]
    Silent(Duration),
    /// What ran the command is gone: the shell was started again, or somebody killed it.
    #[error("the machine's shell was killed while the command ran")]
    Lost,
    /// The shell was started again and again before it had read the command.
    #[error("the machine's shell was killed before the command began")]
    Unheard,
    /// A command said more than is kept.
    #[error("the command's output is longer than {0} bytes")]
    TooLong(usize),
    /// The guest had no room for what the command was to read.
    #[error("the machine has no room below /tmp for the command's input")]
    NoRoom,
    /// The command cannot be given to a shell.
    #[error("a command cannot contain a NUL character")]
    HasNul,
}

impl ShellError {
    /// Whether no further command can run. A shell that was lost may have come again.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Closed | Self::Broken(_) | Self::NoShell { .. } | Self::Silent(_))
    }
}

fn said(last: &str) -> String {
    if last.is_empty() { String::new() } else { format!("; it said {last:?}") }
}
