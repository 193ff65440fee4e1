//! A machine's console: the lines of its current boot, in memory for waits and in the record.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::event::{Kind, Recorder};

/// The console lines of one boot of a machine. Clones share the lines.
#[derive(Clone, Debug)]
pub struct Console {
    recorder: Recorder,
    lines: Arc<Mutex<Vec<String>>>,
    count: Arc<watch::Sender<usize>>,
}

impl Console {
    /// An empty console; `recorder` must be the machine's.
    pub fn new(recorder: Recorder) -> Self {
        Self { recorder, lines: Arc::default(), count: Arc::new(watch::Sender::new(0)) }
    }

    /// The machine's recorder.
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Adds one line without its end and records it. Waits wake up after both, so a line that was matched is also in the record.
    pub fn push(&self, line: impl Into<String>) {
        let line = line.into();
        self.recorder.record(Kind::Console { line: line.clone() });
        let count = {
            let mut lines = self.lines();
            lines.push(line);
            lines.len()
        };
        self.count.send_replace(count);
    }

    /// All lines from number `first` on, counted from 0.
    pub fn since(&self, first: usize) -> Vec<String> {
        self.lines().get(first..).unwrap_or_default().to_vec()
    }

    /// The last `count` lines, oldest first.
    pub fn last(&self, count: usize) -> Vec<String> {
        let lines = self.lines();
        lines[lines.len().saturating_sub(count)..].to_vec()
    }

    /// A receiver of the number of lines, which changes with each new line.
    pub fn watch(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }

    fn lines(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
