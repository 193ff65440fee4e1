//! The record of a run: one event type, numbered and timed, and the recorder that hands it to sinks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::spec::VlanId;

/// Version of the event schema. It grows by one when a field changes its meaning; new fields and kinds do not count.
pub const SCHEMA: u32 = 1;

/// One thing that happened in a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Counts from 0 without gaps.
    pub seq: u64,
    /// Seconds since the run began, by the host's monotonic clock.
    pub time: f64,
    /// Seconds since 1970, by the host's clock.
    pub wall: f64,
    /// The machine it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// The span that this event begins, ends or lies in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span: Option<SpanId>,
    /// The guest's time in seconds since 1970, where it told one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guest_time: Option<f64>,
    /// What happened.
    #[serde(flatten)]
    pub kind: Kind,
}

/// A span's number, unique in a run.
pub type SpanId = u64;

/// What can happen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Kind {
    /// The run began.
    RunStarted {
        /// The test's name.
        test: String,
        /// Tandem's version.
        version: String,
    },
    /// The run ended.
    RunFinished {
        /// How it ended.
        outcome: Outcome,
        /// Seconds from start to end.
        elapsed: f64,
    },
    /// A span began: a step with others inside it.
    SpanStarted {
        /// What the step is, as shown to people.
        title: String,
        /// Whether the step is a subtest of the script's.
        subtest: bool,
        /// The span around it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent: Option<SpanId>,
        /// What else is known of it, such as the `image` that it makes.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        attributes: BTreeMap<String, String>,
    },
    /// A span ended.
    SpanFinished {
        /// The title again, so that a line of the log can be read alone.
        title: String,
        /// Seconds.
        elapsed: f64,
        /// Why it failed, if it did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<String>,
    },
    /// Something said by the script, the driver or a backend.
    Message {
        /// How much it matters.
        level: Level,
        /// One or more lines.
        text: String,
    },
    /// One line of a machine's console, escape sequences removed.
    Console {
        /// The line without its end.
        line: String,
    },
    /// One entry of a machine's journal.
    Journal {
        /// The message.
        message: String,
        /// The unit it came from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unit: Option<String>,
        /// The syslog priority, 0 (emergency) to 7 (debug).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        priority: Option<u8>,
    },
    /// A machine changed its state.
    Machine {
        /// What it is now.
        state: MachineState,
        /// More about it, such as a pid or why it died.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        detail: String,
    },
    /// A LAN was changed, or a machine's link to it if the event is about a machine; or a capture of it began or ended.
    Network {
        /// The LAN.
        vlan: VlanId,
        /// The machines that it concerns.
        machines: Vec<String>,
        /// What was done, as shown to people: `partition: server | client`, `delay 50ms (out and in)`.
        change: String,
    },
    /// A command ended.
    Command {
        /// What was run.
        command: String,
        /// Its exit status.
        status: i32,
        /// Seconds.
        elapsed: f64,
        /// Standard output, invalid UTF-8 replaced.
        stdout: String,
        /// Standard error, invalid UTF-8 replaced.
        stderr: String,
    },
    /// The script failed.
    Failure {
        /// What is shown to people: the script's own lines and the message.
        report: String,
    },
}

/// How much a message matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// For whoever looks for a fault.
    Debug,
    /// For everyone.
    Info,
    /// Odd, but the run goes on.
    Warning,
    /// What was asked for did not happen.
    Error,
}

/// A machine's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MachineState {
    /// It was launched.
    Starting,
    /// It takes commands.
    Ready,
    /// It was asked to power off or to reboot.
    Stopping,
    /// It is gone.
    Stopped,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The script ran to its end.
    Passed,
    /// The test said no.
    Failed,
    /// The driver, a backend, a boot or the host broke.
    Broken,
    /// The user or a signal ended it.
    Interrupted,
    /// The global timeout ended it.
    TimedOut,
}

/// Takes events in order. Called with the recorder's lock held: it must neither block for long nor record events itself.
pub trait Sink: Send {
    /// Takes one event.
    fn event(&mut self, event: &Event);
}

/// Numbers and times events and hands each to every sink. Clones share one record.
#[derive(Clone)]
pub struct Recorder {
    shared: Arc<Shared>,
    machine: Option<Arc<str>>,
    span: Option<SpanId>,
}

struct Shared {
    began: Instant,
    state: Mutex<State>,
}

struct State {
    next: u64,
    next_span: SpanId,
    sinks: Vec<Box<dyn Sink>>,
}

impl Recorder {
    /// A recorder over these sinks; its clock starts now.
    pub fn new(sinks: Vec<Box<dyn Sink>>) -> Self {
        let state = State { next: 0, next_span: 1, sinks };
        Self { shared: Arc::new(Shared { began: Instant::now(), state: Mutex::new(state) }), machine: None, span: None }
    }

    /// Hands all that is recorded from now on to one more sink.
    pub fn add_sink(&self, sink: Box<dyn Sink>) {
        self.lock().sinks.push(sink);
    }

    /// The same record, its events being about `machine`.
    #[must_use]
    pub fn machine(&self, machine: &str) -> Self {
        Self { machine: Some(machine.into()), ..self.clone() }
    }

    /// The same record, its events lying in `span`.
    #[must_use]
    pub fn within(&self, span: Option<SpanId>) -> Self {
        Self { span, ..self.clone() }
    }

    /// The span that this recorder's events lie in.
    pub fn current_span(&self) -> Option<SpanId> {
        self.span
    }

    /// Time since the run began.
    pub fn elapsed(&self) -> Duration {
        self.shared.began.elapsed()
    }

    /// Records one event.
    pub fn record(&self, kind: Kind) {
        self.record_at(kind, None);
    }

    /// Records one event whose time in the guest is known, in seconds since 1970.
    pub fn record_at(&self, kind: Kind, guest_time: Option<f64>) {
        self.push(self.span, kind, guest_time);
    }

    /// Records a message.
    pub fn message(&self, level: Level, text: impl Into<String>) {
        self.record(Kind::Message { level, text: text.into() });
    }

    /// Begins a span inside the current one. Its end is recorded when it is finished or, as failed, when it is dropped unfinished.
    pub fn span(&self, title: impl Into<String>, subtest: bool) -> Span {
        self.span_with(title, subtest, BTreeMap::new())
    }

    /// The same with attributes.
    pub fn span_with(&self, title: impl Into<String>, subtest: bool, attributes: BTreeMap<String, String>) -> Span {
        let title = title.into();
        let id = {
            let mut state = self.lock();
            let id = state.next_span;
            state.next_span += 1;
            id
        };
        let started = Kind::SpanStarted { title: title.clone(), subtest, parent: self.span, attributes };
        self.push(Some(id), started, None);
        Span { recorder: self.within(Some(id)), id, title, began: Instant::now(), finished: false }
    }

    fn push(&self, span: Option<SpanId>, kind: Kind, guest_time: Option<f64>) {
        let mut state = self.lock();
        let event = Event {
            schema: SCHEMA,
            seq: state.next,
            time: self.shared.began.elapsed().as_secs_f64(),
            wall: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64(),
            machine: self.machine.as_deref().map(str::to_owned),
            span,
            guest_time,
            kind,
        };
        state.next += 1;
        for sink in &mut state.sinks {
            sink.event(&event);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // A sink that panicked must not take the record of everyone else with it.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").field("machine", &self.machine).field("span", &self.span).finish_non_exhaustive()
    }
}

/// A step in the record with others inside it.
#[derive(Debug)]
pub struct Span {
    recorder: Recorder,
    id: SpanId,
    title: String,
    began: Instant,
    finished: bool,
}

impl Span {
    /// A recorder whose events lie in this span.
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// The span's number.
    pub fn id(&self) -> SpanId {
        self.id
    }

    /// Ends the span, with the reason if it failed.
    pub fn finish(mut self, failure: Option<String>) {
        self.end(failure);
    }

    fn end(&mut self, failure: Option<String>) {
        self.finished = true;
        let kind =
            Kind::SpanFinished { title: self.title.clone(), elapsed: self.began.elapsed().as_secs_f64(), failure };
        self.recorder.record(kind);
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if !self.finished {
            self.end(Some("cancelled".into()));
        }
    }
}
