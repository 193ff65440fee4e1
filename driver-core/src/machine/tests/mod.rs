//! The verbs over the fake backend, mostly in paused time.

mod command;
mod console;
mod devices;
mod files;
mod forward;
mod lost;
mod power;
mod screen;
mod tty;
mod units;
mod waits;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{Machine, Options};
use crate::error::{Error, MachineError};
use crate::event::{Event, Kind, MachineState, Recorder, Sink};
use crate::fake::{FakeBackend, FakeMachine};

/// A machine called `server`, its script and its record.
struct Bench {
    machine: Machine,
    fake: FakeMachine,
    output: tempfile::TempDir,
    events: Arc<Mutex<Vec<Event>>>,
}

struct Keep(Arc<Mutex<Vec<Event>>>);

impl Sink for Keep {
    fn event(&mut self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}

fn bench() -> Bench {
    let events = Arc::<Mutex<Vec<Event>>>::default();
    let output = tempfile::tempdir().unwrap();
    let fake = FakeBackend::named("container").machine("server");
    let recorder = Recorder::new(vec![Box::new(Keep(events.clone()))]);
    let mut options = Options::new(output.path());
    options.boot_timeout = secs(60);
    options.stop_timeout = secs(30);
    let machine = Machine::new(fake.spec(), Arc::new(fake.clone()), recorder, options);
    Bench { machine, fake, output, events }
}

impl Bench {
    fn kinds(&self) -> Vec<Kind> {
        self.events.lock().unwrap().iter().map(|event| event.kind.clone()).collect()
    }

    fn titles(&self) -> Vec<String> {
        let titles = self.kinds().into_iter().filter_map(|kind| match kind {
            Kind::SpanStarted { title, .. } => Some(title),
            _ => None,
        });
        titles.collect()
    }

    fn states(&self) -> Vec<MachineState> {
        let states = self.kinds().into_iter().filter_map(|kind| match kind {
            Kind::Machine { state, .. } => Some(state),
            _ => None,
        });
        states.collect()
    }

    fn messages(&self) -> Vec<String> {
        let messages = self.kinds().into_iter().filter_map(|kind| match kind {
            Kind::Message { text, .. } => Some(text),
            _ => None,
        });
        messages.collect()
    }

    /// The recorded commands with their statuses.
    fn commands(&self) -> Vec<(String, i32)> {
        let commands = self.kinds().into_iter().filter_map(|kind| match kind {
            Kind::Command { command, status, .. } => Some((command, status)),
            _ => None,
        });
        commands.collect()
    }
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// What the test is told when it was refused.
fn refusal<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    match result.unwrap_err() {
        Error::Refused { machine, message } => {
            assert_eq!(machine, "server");
            message
        }
        other => panic!("not a refusal: {other:?}"),
    }
}

/// The fault of a machine.
fn fault<T: std::fmt::Debug>(result: Result<T, Error>) -> MachineError {
    match result.unwrap_err() {
        Error::Machine(error) => error,
        other => panic!("not a machine's fault: {other:?}"),
    }
}
