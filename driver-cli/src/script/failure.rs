//! Errors of the interface.

use driver_core::guest::QmpRefusal;
use driver_core::machine::Machine;
use driver_core::{Error, MachineError};
use zlink::introspect;

/// Why a call failed. Scripts see the message.
#[derive(Clone, Debug, PartialEq, Eq, zlink::ReplyError, introspect::ReplyError)]
#[zlink(interface = "io.tandem.Driver")]
pub(super) enum Failure {
    /// The test said no: a command that must succeed failed, a wait's condition did not come true.
    AssertionFailed {
        /// What people are told.
        message: String,
    },
    /// A machine, its backend or the host broke.
    MachineFailed {
        /// What people are told.
        message: String,
    },
    /// The test has no machine of this name.
    NoSuchMachine {
        /// What people are told.
        message: String,
    },
    /// QEMU refused a QMP command.
    QmpRefused {
        /// What people are told.
        message: String,
        /// The class of the error.
        class: String,
        /// What is wrong, in QEMU's words.
        description: String,
    },
    /// The run broke or is over.
    RunFailed {
        /// What people are told.
        message: String,
    },
}

impl Failure {
    pub(super) fn message(&self) -> &str {
        match self {
            Self::AssertionFailed { message }
            | Self::MachineFailed { message }
            | Self::NoSuchMachine { message }
            | Self::QmpRefused { message, .. }
            | Self::RunFailed { message } => message,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused { message, .. } => Self::AssertionFailed { message },
            Error::Machine(error) => Self::MachineFailed { message: told(&error) },
            other => Self::RunFailed { message: with_sources(&other) },
        }
    }
}

/// The failure of a start of several machines, in upstream's words; none if none failed.
pub(super) fn of_starts(failed: Vec<(&Machine, Error)>) -> Result<(), Failure> {
    if failed.is_empty() {
        return Ok(());
    }
    let cause = |(machine, error): (&Machine, Error)| format!("{}: {}", machine.name(), Failure::from(error).message());
    let causes: Vec<_> = failed.into_iter().map(cause).collect();
    Err(Failure::MachineFailed { message: format!("Failed to start the following machines:\n{}", causes.join("\n")) })
}

impl From<QmpRefusal> for Failure {
    fn from(refusal: QmpRefusal) -> Self {
        let message = refusal.to_string();
        Self::QmpRefused { message, class: refusal.class, description: refusal.description }
    }
}

/// A machine's error with the errors below it and the machine's last lines.
pub(super) fn told(error: &MachineError) -> String {
    let mut text = with_sources(error);
    if !error.last_seen.is_empty() {
        text.push_str("\nits last lines:");
        for line in &error.last_seen {
            text.push_str("\n    ");
            text.push_str(line);
        }
    }
    text
}

fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(source) = below {
        text.push_str(": ");
        text.push_str(&source.to_string());
        below = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_error_comes_with_causes_and_last_lines() {
        let error = MachineError::new("server", "boot", "it died")
            .source(std::io::Error::other("no such init"))
            .last_seen(vec!["one".into(), "two".into()]);
        let message = "machine server: boot: it died: no such init\nits last lines:\n    one\n    two".into();
        assert_eq!(Failure::from(Error::from(error)), Failure::MachineFailed { message });
    }

    #[test]
    fn a_refusal_keeps_its_words() {
        let message = "command `false` failed (exit code 1)".to_owned();
        let error = Error::Refused { machine: "server".into(), message: message.clone() };
        assert_eq!(Failure::from(error), Failure::AssertionFailed { message });
    }
}
