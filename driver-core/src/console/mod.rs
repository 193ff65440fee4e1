//! A machine's console: the lines of its current boot, in memory for waits and in the record.

mod follow;

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::event::{Kind, Recorder};

pub use follow::follow;

/// The console lines of one boot of a machine. Clones share the lines.
#[derive(Clone, Debug)]
pub struct Console {
    recorder: Recorder,
    lines: Arc<Mutex<Lines>>,
    count: Arc<watch::Sender<usize>>,
}

#[derive(Debug, Default)]
struct Lines {
    whole: Vec<String>,
    unfinished: String,
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
            lines.whole.push(line);
            lines.unfinished.clear();
            lines.whole.len()
        };
        self.count.send_replace(count);
    }

    /// Shows what has come of a line that has no end yet, such as a prompt, until the next line is pushed: that is expected to be the whole
    /// line. Waits wake up; the record gets whole lines only.
    pub fn show_unfinished(&self, text: impl Into<String>) {
        self.lines().unfinished = text.into();
        self.count.send_modify(|_| {});
    }

    /// All lines from number `first` on, counted from 0.
    pub fn since(&self, first: usize) -> Vec<String> {
        self.lines().whole.get(first..).unwrap_or_default().to_vec()
    }

    /// The same, with what is shown of the line after them, which has no end yet; it may be empty.
    pub fn since_with_unfinished(&self, first: usize) -> (Vec<String>, String) {
        let lines = self.lines();
        (lines.whole.get(first..).unwrap_or_default().to_vec(), lines.unfinished.clone())
    }

    /// The last `count` lines, oldest first, the unfinished one included.
    pub fn last(&self, count: usize) -> Vec<String> {
        let lines = self.lines();
        let unfinished = (!lines.unfinished.is_empty()).then_some(&lines.unfinished);
        let mut last: Vec<String> =
            unfinished.into_iter().chain(lines.whole.iter().rev()).take(count).cloned().collect();
        last.reverse();
        last
    }

    /// A receiver of the number of lines, which changes with each new line and with what is shown of an unfinished one.
    pub fn watch(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }

    fn lines(&self) -> std::sync::MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unfinished_line_is_shown_until_it_is_whole() {
        let console = Console::new(Recorder::new(Vec::new()));
        console.push("one");
        let mut changes = console.watch();
        console.show_unfinished("login:");
        assert!(changes.has_changed().unwrap());
        changes.mark_unchanged();
        assert_eq!(console.since_with_unfinished(0), (vec!["one".to_owned()], "login:".to_owned()));
        assert_eq!((console.since(0), console.last(2)), (vec!["one".into()], vec!["one".into(), "login:".to_owned()]));
        console.push("login: root");
        assert!(changes.has_changed().unwrap());
        assert_eq!(console.since_with_unfinished(1), (vec!["login: root".to_owned()], String::new()));
        assert_eq!(console.last(1), ["login: root"]);
    }
}
