//! What a connection's callers and its task share: who waits for which answer, who reads events, and how it ended.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::{broadcast, oneshot};

use super::error::Error;
use super::event::Event;
use super::wire::{Refusal, WireError};

/// Where a caller waits for what QEMU says to its request. Dropped without a word when nothing will come; [`Link::ended`] then tells why.
pub(super) type Caller = oneshot::Sender<Result<Value, Refusal>>;

#[derive(Debug)]
pub(super) struct Link(Mutex<State>);

#[derive(Debug)]
enum State {
    Open {
        /// By id, which is the order in which QEMU answers. A caller that gave up stays in it until its answer comes.
        waiting: BTreeMap<u64, Caller>,
        events: broadcast::Sender<Event>,
    },
    Ended(Arc<WireError>),
}

impl Link {
    /// `events` is how many of them a reader may be behind, at least 1.
    pub(super) fn new(events: usize) -> Self {
        Self(Mutex::new(State::Open { waiting: BTreeMap::new(), events: broadcast::Sender::new(events) }))
    }

    /// Notes who waits for the answer to this request. To be called before it is sent, with rising ids.
    pub(super) fn expect(&self, id: u64, caller: Caller) {
        if let State::Open { waiting, .. } = &mut *self.state() {
            waiting.insert(id, caller);
        }
    }

    /// Hands an answer to its caller.
    pub(super) fn answer(&self, id: Option<u64>, outcome: Result<Value, Refusal>) {
        let State::Open { waiting, .. } = &mut *self.state() else { return };
        let caller = match id {
            Some(id) => waiting.remove(&id),
            // A request that QEMU could not read is answered without its id, but in its turn.
            None => waiting.pop_first().map(|(_, caller)| caller),
        };
        if caller.is_none_or(|caller| caller.send(outcome).is_err()) {
            tracing::debug!(id, "QEMU's answer came after its caller had left");
        }
    }

    /// Lets go of a caller whose request could not be sent.
    pub(super) fn unsent(&self, id: u64) {
        if let State::Open { waiting, .. } = &mut *self.state() {
            waiting.remove(&id);
        }
    }

    /// Hands an event to all readers.
    pub(super) fn announce(&self, event: Event) {
        if let State::Open { events, .. } = &*self.state() {
            // Without readers it is nobody's.
            let _ = events.send(event);
        }
    }

    /// Ends the connection for all that wait, and for all that come. Readers still get the events that they have not read. Only the first
    /// cause counts.
    pub(super) fn end(&self, cause: WireError) {
        let mut state = self.state();
        if let State::Open { .. } = *state {
            *state = State::Ended(Arc::new(cause));
        }
    }

    /// The error of one who waited for `awaited` when the connection ended.
    pub(super) fn ended(&self, awaited: String) -> Error {
        let cause = match &*self.state() {
            State::Ended(cause) => Arc::clone(cause),
            // Nothing can be sent any more, only the rest be read.
            State::Open { .. } => Arc::new(WireError::Closed),
        };
        Error::Ended { awaited, cause }
    }

    /// A receiver of all events from now on; none ever come if the connection has ended.
    pub(super) fn subscribe(&self) -> broadcast::Receiver<Event> {
        match &*self.state() {
            State::Open { events, .. } => events.subscribe(),
            State::Ended(_) => broadcast::Sender::new(1).subscribe(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
