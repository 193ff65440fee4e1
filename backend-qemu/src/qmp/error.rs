//! What a command or a wait for an event can fail with.

use std::sync::Arc;
use std::time::Duration;

use super::wire::WireError;

/// Why a command or a wait for an event failed. The machine's name is the caller's to add.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// QEMU answered that it will not.
    #[error("QEMU refused {command}: {description} ({class})")]
    Refused {
        /// The command's name.
        command: String,
        /// QEMU's class of the error, mostly `GenericError`.
        class: String,
        /// QEMU's words.
        description: String,
    },
    /// The connection ended, mostly because QEMU did. All that waits gets this at once.
    #[error("the connection to QEMU ended before {awaited}")]
    Ended {
        /// What was waited for, such as `the answer to stop`.
        awaited: String,
        /// How it ended.
        #[source]
        cause: Arc<WireError>,
    },
    /// QEMU did not answer in time. Should it answer yet, that is ignored.
    #[error("QEMU gave no answer to {command} in {} s", .after.as_secs_f64())]
    NoAnswer {
        /// The command's name.
        command: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// The answer is not what this command is known to answer.
    #[error("QEMU's answer to {command} is not as expected")]
    UnexpectedAnswer {
        /// The command's name.
        command: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// The arguments can't be put into JSON.
    #[error("the arguments of {command} cannot be sent")]
    Arguments {
        /// The command's name.
        command: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// No event that was waited for came in time.
    #[error("no such event from QEMU in {} s; {seen}{}", .after.as_secs_f64(), also_lost(*.lost))]
    NoEvent {
        /// How long it was waited for.
        after: Duration,
        /// What came instead, as a fragment.
        seen: String,
        /// How many events of that time could not be looked at, because they were read too late.
        lost: u64,
    },
    /// So many events came between two calls that the oldest ones, this many, are lost to this reader. It can go on with the next.
    #[error("{0} events from QEMU were lost because they were read too late")]
    Lost(u64),
}

fn also_lost(count: u64) -> String {
    if count == 0 { String::new() } else { format!("; {count} more were lost because they were read too late") }
}
