//! What a fake machine does about a command.

use std::path::PathBuf;
use std::time::Duration;

use crate::guest::{Exit, Output};

/// What a fake machine does about a command.
#[derive(Clone, Debug)]
pub struct Reply {
    pub(super) after: Duration,
    pub(super) deed: Deed,
}

#[derive(Clone, Debug)]
pub(super) enum Deed {
    End(Output),
    Hang,
    Break(String),
    Die(Exit),
    /// Bash of the host, in a directory, with another script than the command's if there is one.
    Host(PathBuf, Option<String>),
}

impl Reply {
    /// The command succeeds with this on standard output.
    pub fn ok(stdout: impl Into<Vec<u8>>) -> Self {
        Self::output(Output { status: 0, stdout: stdout.into(), stderr: Vec::new() })
    }

    /// The command ends with this status and this on standard error.
    pub fn fail(status: i32, stderr: impl Into<Vec<u8>>) -> Self {
        Self::output(Output { status, stdout: Vec::new(), stderr: stderr.into() })
    }

    /// The command ends like this.
    pub fn output(output: Output) -> Self {
        Self::deed(Deed::End(output))
    }

    /// The machine never answers and does not keep the command's deadline either.
    pub fn hang() -> Self {
        Self::deed(Deed::Hang)
    }

    /// The command channel breaks; the machine lives on.
    pub fn broken(cause: &str) -> Self {
        Self::deed(Deed::Break(cause.into()))
    }

    /// The machine ends.
    pub fn die(exit: Exit) -> Self {
        Self::deed(Deed::Die(exit))
    }

    /// The host's own bash runs the command, in this directory: nothing is isolated from the host.
    pub fn host(directory: impl Into<PathBuf>) -> Self {
        Self::deed(Deed::Host(directory.into(), None))
    }

    /// The host's own bash runs this script in place of the command.
    pub fn host_script(directory: impl Into<PathBuf>, script: &str) -> Self {
        Self::deed(Deed::Host(directory.into(), Some(script.into())))
    }

    /// The same, after some time. A command whose deadline is earlier ends with 124 then.
    #[must_use]
    pub fn after(mut self, time: Duration) -> Self {
        self.after = time;
        self
    }

    fn deed(deed: Deed) -> Self {
        Self { after: Duration::ZERO, deed }
    }
}
