//! LANs while a test goes on: faults, captures and counts.
//!
//! A [`Vlan`] is a LAN of the test, and a [`Link`] joins a machine to it. Both are there before the machines are, and keep their faults while
//! these crash, reboot and start again. Every change of them is an event.
//!
//! What a test asks for and cannot have fails with [`Error::Refused`], what the host cannot do with [`Error::Run`].

mod capture;
mod link;
#[cfg(test)]
mod tests;
mod text;
mod vlan;
mod words;

use std::io::ErrorKind;

pub use netbridge::{CaptureOptions, CaptureSummary, Distribution, Flow, Impairment, LinkStats};

pub use capture::Capture;
pub use link::{Direction, Link};
pub use text::{duration, rate, share};
pub use vlan::Vlan;

use crate::error::Error;

/// What went wrong with `verb`. Only what the test can mend is its own fault.
fn failed(subject: &str, verb: &str, error: netbridge::Error) -> Error {
    match error {
        netbridge::Error::Impairment { fault } => refused(subject, verb, &fault),
        netbridge::Error::Capture { errno, .. } if errno.kind() == ErrorKind::InvalidInput => {
            refused(subject, verb, &errno.to_string())
        }
        error @ netbridge::Error::Unsupported { .. } => refused(subject, verb, &error.to_string()),
        error => Error::Run { operation: format!("{subject}: {verb}"), source: error.into() },
    }
}

/// The test asked for something that cannot be.
fn refused(subject: &str, verb: &str, why: &str) -> Error {
    Error::Refused { machine: subject.into(), message: format!("{subject}: {verb}: {why}") }
}
