//! What QEMU announces by itself.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::time::{Instant, timeout_at};

use super::error::Error;
use super::link::Link;

/// How many of the events that were not waited for an error names.
const NAMED: usize = 5;

/// An event with all its fields. Serialized it is the object that QEMU sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its name in capital letters, such as `SHUTDOWN`.
    #[serde(rename = "event")]
    pub name: String,
    /// What the name does not say; null if that is all.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub data: Value,
    /// When it happened, by the host's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Timestamp>,
    /// Fields that this code does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A time since 1970. Both numbers are -1 where the host could not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timestamp {
    /// Whole seconds.
    pub seconds: i64,
    /// The rest.
    pub microseconds: i64,
}

/// What an event means for a machine's power.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// The machine is off and QEMU is about to end, unless it was told not to. With `-no-reboot` a guest's reboot is a shutdown, too.
    Shutdown {
        /// The guest wanted it, not the host.
        guest: bool,
        /// QEMU's `ShutdownCause`, such as `guest-shutdown`, `guest-reset`, `guest-panic`, `host-qmp-quit` or `host-signal`.
        reason: String,
    },
    /// The machine begins again.
    Reset {
        /// The guest wanted it, not the host.
        guest: bool,
        /// QEMU's `ShutdownCause`.
        reason: String,
    },
    /// The guest was asked to power off.
    Powerdown,
    /// The guest's processors stand still.
    Stop,
    /// They run again.
    Resume,
    /// The guest's kernel panicked and could tell QEMU, which takes a `pvpanic` device.
    GuestPanicked,
    /// Anything else; the name says what.
    Other,
}

impl Event {
    /// What it means, for those that matter to a machine's power.
    pub fn kind(&self) -> Kind {
        let guest = self.data["guest"].as_bool().unwrap_or(false);
        let reason = self.data["reason"].as_str().unwrap_or_default().to_owned();
        match self.name.as_str() {
            "SHUTDOWN" => Kind::Shutdown { guest, reason },
            "RESET" => Kind::Reset { guest, reason },
            "POWERDOWN" => Kind::Powerdown,
            "STOP" => Kind::Stop,
            "RESUME" => Kind::Resume,
            "GUEST_PANICKED" => Kind::GuestPanicked,
            _ => Kind::Other,
        }
    }
}

/// A reader of events. Each reader gets all events from when it was made, in order. One that falls far behind loses the oldest
/// ([`Limits::events`](super::Limits::events)) and is told so.
#[derive(Debug)]
pub struct Events {
    receiver: broadcast::Receiver<Event>,
    link: Arc<Link>,
}

impl Events {
    pub(super) fn new(link: Arc<Link>) -> Self {
        Self { receiver: link.subscribe(), link }
    }

    /// Waits for the next event. After [`Error::Lost`] the next call goes on with what is left; after [`Error::Ended`] nothing comes.
    /// If the future is dropped no event is lost.
    pub async fn next(&mut self) -> Result<Event, Error> {
        match self.receiver.recv().await {
            Ok(event) => Ok(event),
            Err(RecvError::Lagged(count)) => Err(Error::Lost(count)),
            Err(RecvError::Closed) => Err(self.link.ended("an event came".into())),
        }
    }

    /// Waits for the first event that `wanted` accepts, and drops those before it. Unread events from before the call count.
    pub async fn wait_for(&mut self, mut wanted: impl FnMut(&Event) -> bool, within: Duration) -> Result<Event, Error> {
        let deadline = Instant::now() + within;
        let (mut seen, mut lost) = (Seen::default(), 0);
        loop {
            match timeout_at(deadline, self.next()).await {
                Ok(Ok(event)) if wanted(&event) => return Ok(event),
                Ok(Ok(event)) => seen.add(event.name),
                // The one that is waited for may be among those that are left, or come yet.
                Ok(Err(Error::Lost(count))) => lost += count,
                Ok(Err(error)) => return Err(error),
                Err(_) => return Err(Error::NoEvent { after: within, seen: seen.to_string(), lost }),
            }
        }
    }
}

/// The events that a wait dropped: how many, and the last ones' names.
#[derive(Debug, Default)]
struct Seen {
    count: usize,
    last: VecDeque<String>,
}

impl Seen {
    fn add(&mut self, name: String) {
        self.count += 1;
        self.last.push_back(name);
        if self.last.len() > NAMED {
            self.last.pop_front();
        }
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.count == 0 {
            return f.write_str("none came at all");
        }
        f.write_str("what came was ")?;
        for (index, name) in self.last.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { ", " })?;
            f.write_str(name)?;
        }
        if self.count > NAMED { write!(f, ", the last {NAMED} of {}", self.count) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(text: &str) -> Event {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn power_events_are_told_apart() {
        for (text, expected) in [
            (
                r#"{"event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-reset"}}"#,
                Kind::Shutdown { guest: true, reason: "guest-reset".into() },
            ),
            (r#"{"event": "SHUTDOWN"}"#, Kind::Shutdown { guest: false, reason: String::new() }),
            (
                r#"{"event": "RESET", "data": {"guest": false, "reason": "host-qmp-system-reset"}}"#,
                Kind::Reset { guest: false, reason: "host-qmp-system-reset".into() },
            ),
            (r#"{"event": "GUEST_PANICKED", "data": {"action": "pause"}}"#, Kind::GuestPanicked),
            (r#"{"event": "STOP"}"#, Kind::Stop),
            (r#"{"event": "RESUME"}"#, Kind::Resume),
            (r#"{"event": "POWERDOWN"}"#, Kind::Powerdown),
            (r#"{"event": "RTC_CHANGE", "data": 5}"#, Kind::Other),
        ] {
            assert_eq!(event(text).kind(), expected, "{text}");
        }
    }

    #[test]
    fn a_list_of_events_is_short() {
        for (count, expected) in [
            (0, "none came at all"),
            (1, "what came was E0"),
            (5, "what came was E0, E1, E2, E3, E4"),
            (9, "what came was E4, E5, E6, E7, E8, the last 5 of 9"),
        ] {
            let mut seen = Seen::default();
            (0..count).for_each(|number| seen.add(format!("E{number}")));
            assert_eq!(seen.to_string(), expected);
        }
    }
}
