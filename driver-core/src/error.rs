//! Errors, kept apart by whose fault they are.

use std::time::Duration;

use crate::spec::Problem;

/// Why a run or a verb did not succeed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The test said no: a command that must succeed failed, a wait's condition did not come true.
    #[error("{message}")]
    Refused {
        /// The machine, or else the LAN, that it was said of.
        machine: String,
        /// Upstream's wording, which tests match on.
        message: String,
    },
    /// The test file or the host does not fit. Nothing was started.
    #[error("{}", crate::spec::list(.0))]
    Problems(Vec<Problem>),
    /// A machine, its backend or the host broke.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// The run itself broke.
    #[error("{operation}")]
    Run {
        /// What was tried, as a fragment that reads after "failed:".
        operation: String,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The user interrupted the run.
    #[error("interrupted")]
    Interrupted,
    /// The whole run took too long.
    #[error("timeout reached; test terminating (global timeout of {} s)", .0.as_secs_f64())]
    GlobalTimeout(Duration),
}

/// A fault of one machine: what was tried, for how long, what was last seen and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("machine {machine}: {operation}{}{}{}", after(.elapsed.as_ref()), fragment(": ", .cause), fragment("; ", .cure))]
pub struct MachineError {
    /// The machine's name.
    pub machine: String,
    /// What was tried, such as `boot` or `run a command`.
    pub operation: String,
    /// How long it was tried, if that matters.
    pub elapsed: Option<Duration>,
    /// What went wrong, in a few words; may be empty.
    pub cause: String,
    /// The last lines that the machine said, oldest first.
    pub last_seen: Vec<String>,
    /// What the user can do; may be empty.
    pub cure: String,
    /// Whether the machine is gone, so that waiting any longer is of no use.
    pub gone: bool,
    /// The error below, if there is one.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl MachineError {
    /// A fault with no more than what was tried and what went wrong.
    pub fn new(machine: impl Into<String>, operation: impl Into<String>, cause: impl Into<String>) -> Self {
        Self {
            machine: machine.into(),
            operation: operation.into(),
            elapsed: None,
            cause: cause.into(),
            last_seen: Vec::new(),
            cure: String::new(),
            gone: false,
            source: None,
        }
    }

    /// Adds how long it was tried.
    #[must_use]
    pub fn after(mut self, elapsed: Duration) -> Self {
        self.elapsed = Some(elapsed);
        self
    }

    /// Adds the last lines seen.
    #[must_use]
    pub fn last_seen(mut self, lines: Vec<String>) -> Self {
        self.last_seen = lines;
        self
    }

    /// Adds what to do.
    #[must_use]
    pub fn cure(mut self, cure: impl Into<String>) -> Self {
        self.cure = cure.into();
        self
    }

    /// Marks the machine as gone.
    #[must_use]
    pub fn gone(mut self) -> Self {
        self.gone = true;
        self
    }

    /// Adds the error below.
    #[must_use]
    pub fn source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}

fn after(elapsed: Option<&Duration>) -> String {
    elapsed.map(|time| format!(" (after {:.2} s)", time.as_secs_f64())).unwrap_or_default()
}

fn fragment(before: &str, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{before}{text}") }
}
