//! What lies between those who move frames and the thread that writes them.

use std::collections::HashMap;
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::section::SNAPLEN;
use crate::Direction;

/// The most frames that wait to be written, and the most bytes of them. As much again may just be written.
const FRAMES: usize = 1 << 16;
const BYTES: usize = 8 << 20;

/// Takes frames for a capture. Clones are for the same capture.
#[derive(Clone, Debug)]
pub(crate) struct Sink {
    queue: Arc<Queue>,
}

#[derive(Debug)]
pub(super) enum Entry {
    Frame(Frame),
    Comment(Comment),
}

#[derive(Debug)]
pub(super) struct Frame {
    pub(super) interface: Arc<str>,
    pub(super) direction: Option<Direction>,
    pub(super) at: SystemTime,
    pub(super) data: Box<[u8]>,
    pub(super) original_length: u32,
}

#[derive(Debug)]
pub(super) struct Comment {
    pub(super) text: String,
    pub(super) at: SystemTime,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// Told when the queue is no longer empty, and when it is closed.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    entries: Vec<Entry>,
    bytes: usize,
    /// Frames that came, whether or not there was room.
    seen: u64,
    /// Frames for which there was none, by their interface.
    dropped: HashMap<Arc<str>, u64>,
    /// Nothing comes any more.
    closed: bool,
    /// Nothing can be written any more.
    failed: bool,
}

impl Sink {
    pub(super) fn new(queue: Arc<Queue>) -> Self {
        Self { queue }
    }

    /// Captures a frame that passed the link `interface`, in no direction if it is the segment's frame. Frames that find no room are
    /// counted.
    pub(crate) fn frame(
        &self,
        interface: &Arc<str>,
        direction: Option<Direction>,
        at: SystemTime,
        data: &[u8],
        original_length: usize,
    ) {
        let data: Box<[u8]> = data[..data.len().min(SNAPLEN)].into();
        let original_length = u32::try_from(original_length.max(data.len())).unwrap_or(u32::MAX);
        let frame = Frame { interface: interface.clone(), direction, at, data, original_length };
        self.queue.push_frame(frame);
    }

    /// Captures what is done to the links: it becomes a comment of the next frame.
    pub(crate) fn comment(&self, text: impl Into<String>) {
        self.queue.push_comment(Comment { text: text.into(), at: SystemTime::now() });
    }

    #[cfg(test)]
    /// Whether the capture has ended, and the sink can be dropped.
    pub(crate) fn is_closed(&self) -> bool {
        self.queue.lock().closed
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push_frame(&self, frame: Frame) {
        let mut state = self.lock();
        if state.closed {
            return;
        }
        state.seen += 1;
        let bytes = state.bytes + frame.data.len();
        if state.failed || bytes > BYTES || state.entries.len() >= FRAMES {
            *state.dropped.entry(frame.interface).or_default() += 1;
            return;
        }
        state.bytes = bytes;
        self.push(state, Entry::Frame(frame));
    }

    /// Comments are few: there is always room for them.
    fn push_comment(&self, comment: Comment) {
        let state = self.lock();
        if !state.closed && !state.failed {
            self.push(state, Entry::Comment(comment));
        }
    }

    fn push(&self, mut state: MutexGuard<'_, State>, entry: Entry) {
        let was_empty = state.entries.is_empty();
        state.entries.push(entry);
        drop(state);
        // The writer waits only while there is nothing.
        if was_empty {
            self.changed.notify_one();
        }
    }

    /// Waits for entries and exchanges them for `empty`. Returns false once there are none and none will come.
    pub(super) fn take(&self, empty: &mut Vec<Entry>) -> bool {
        let waiting = |state: &mut State| state.entries.is_empty() && !state.closed;
        let state = self.changed.wait_while(self.lock(), waiting);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        mem::swap(&mut state.entries, empty);
        state.bytes = 0;
        !empty.is_empty()
    }

    /// Lets nothing in any more. Returns how many frames came before.
    pub(super) fn close(&self) -> u64 {
        let mut state = self.lock();
        state.closed = true;
        self.changed.notify_one();
        state.seen
    }

    /// Only counts frames from now on.
    pub(super) fn fail(&self) {
        let mut state = self.lock();
        state.failed = true;
        state.entries = Vec::new();
        state.bytes = 0;
    }

    /// Frames dropped so far for want of room, by their interface.
    pub(super) fn dropped(&self) -> HashMap<Arc<str>, u64> {
        self.lock().dropped.clone()
    }
}
