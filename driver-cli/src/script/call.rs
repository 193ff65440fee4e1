//! From calls of the interface to verbs of machines, and back to replies.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use driver_core::Error;
use driver_core::event::{Level, SpanId};
use driver_core::guest::{Button, Output};
use driver_core::lan::Vlan;
use driver_core::machine::Machine;
use futures::Stream;
use futures::stream::iter;
use serde::Deserialize;
use zlink::Reply;
use zlink::introspect::CustomType;

use super::failure::Failure;
use super::reply::{Answer, Done, Ran, Text};
use super::session::Session;
use super::verb::replies;

/// The replies to one call.
pub(super) type Replies<T> = Pin<Box<dyn Stream<Item = Result<Reply<T>, Failure>>>>;

/// One connection's view of a test.
#[derive(Debug)]
pub(super) struct Interface {
    session: Arc<Session>,
}

/// How much a message matters.
#[derive(Clone, Copy, Debug, Deserialize, CustomType)]
#[serde(rename_all = "snake_case")]
#[zlink(rename_all = "snake_case")]
pub(super) enum Severity {
    /// For whoever looks for a fault.
    Debug,
    /// For everyone.
    Info,
    /// Odd, but the run goes on.
    Warning,
    /// What was asked for did not happen.
    Error,
}

/// A button of the pointer.
#[derive(Clone, Copy, Debug, Deserialize, CustomType)]
#[serde(rename_all = "snake_case")]
#[zlink(rename_all = "snake_case")]
pub(super) enum PointerButton {
    /// The left one.
    Left,
    /// The middle one.
    Middle,
    /// The right one.
    Right,
    /// The wheel, turned up.
    WheelUp,
    /// The wheel, turned down.
    WheelDown,
}

impl Interface {
    pub(super) fn new(session: Arc<Session>) -> Self {
        Self { session }
    }

    /// The test, after what the script has printed until now was recorded.
    pub(super) fn session(&self) -> &Arc<Session> {
        self.session.record_output();
        &self.session
    }

    /// Does `work` with a machine. `what` says in a few words what is waited for.
    pub(super) fn verb<T: Answer, F, E: Into<Failure> + 'static>(
        &self,
        more: bool,
        machine: &str,
        span: Option<SpanId>,
        what: &str,
        work: impl FnOnce(Machine) -> F,
    ) -> Replies<T>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let session = self.session();
        match session.machine(machine) {
            Ok(machine) => {
                let what = format!("{}: {what}", machine.name());
                let work = work(machine.within(span));
                Box::pin(replies(session.runtime(), more, what, async { work.await.map_err(Into::into) }))
            }
            Err(failure) => Box::pin(iter([Err(failure)])),
        }
    }

    /// Does `work` with a LAN.
    pub(super) fn lan<T: Answer, F>(
        &self,
        more: bool,
        vlan: i64,
        span: Option<SpanId>,
        what: &str,
        work: impl FnOnce(Vlan) -> F,
    ) -> Replies<T>
    where
        F: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        match self.session().vlan(vlan) {
            Ok(vlan) => self.answer(more, format!("{vlan}: {what}"), work(vlan.within(span))),
            Err(failure) => Box::pin(iter([Err(failure)])),
        }
    }

    /// Does `work`, which is about no machine.
    pub(super) fn answer<T: Answer>(
        &self,
        more: bool,
        what: String,
        work: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> Replies<T> {
        Box::pin(replies(self.session().runtime(), more, what, work))
    }

    /// A verb over all machines, in a span of its own.
    pub(super) fn for_all<F, E: Into<Failure> + 'static>(
        &self,
        more: bool,
        span: Option<SpanId>,
        what: &str,
        work: impl FnOnce(Vec<Machine>) -> F,
    ) -> Replies<Done>
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
    {
        let session = self.session();
        let span = session.recorder(None, span).span(what, false);
        let work = work(session.machines().iter().map(|machine| machine.within(Some(span.id()))).collect());
        let work = async move {
            let result: Result<(), Failure> = work.await.map_err(Into::into);
            span.finish(result.as_ref().err().map(Failure::message).map(str::to_owned));
            result.map(|()| Done::default())
        };
        Box::pin(replies(session.runtime(), more, what.to_owned(), work))
    }
}

impl From<PointerButton> for Button {
    fn from(button: PointerButton) -> Self {
        match button {
            PointerButton::Left => Self::Left,
            PointerButton::Middle => Self::Middle,
            PointerButton::Right => Self::Right,
            PointerButton::WheelUp => Self::WheelUp,
            PointerButton::WheelDown => Self::WheelDown,
        }
    }
}

impl From<Severity> for Level {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Debug => Self::Debug,
            Severity::Info => Self::Info,
            Severity::Warning => Self::Warning,
            Severity::Error => Self::Error,
        }
    }
}

/// Seconds as clients give them; what is less than none is none, what is too much is for ever.
pub(super) fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX)
}

pub(super) fn done(result: Result<(), Error>) -> Result<Done, Error> {
    result.map(|()| Done::default())
}

pub(super) fn text(result: Result<String, Error>) -> Result<Text, Error> {
    Ok(Text { output: Some(result?), waiting: None })
}

pub(super) fn ran(result: Result<Output, Error>) -> Result<Ran, Error> {
    let output = result?;
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok(Ran { status: Some(output.status), stdout: Some(output.text()), stderr: Some(stderr), waiting: None })
}

/// Runs a QMP command, all in JSON.
pub(super) async fn qmp(machine: &Machine, command: &str, arguments: &str) -> Result<Text, Failure> {
    let arguments = serde_json::from_str(arguments).map_err(|error| {
        let name = machine.name();
        Failure::AssertionFailed { message: format!("machine {name}: qmp: the arguments are not JSON: {error}") }
    })?;
    let result = machine.qmp(command, arguments).await??;
    Ok(Text { output: Some(result.to_string()), waiting: None })
}
