//! The thread that writes to the terminal, so that a terminal that takes no text cannot hold up the run.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::spans::Wait;
use super::spinner::{Spinner, TICK};

/// How much text may lie unwritten.
const LIMIT: usize = 1 << 20;
/// How long the run waits for a terminal that is behind by that much.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long the end of a run waits for the last lines to be written.
const DRAIN: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Shared>,
    live: bool,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    text: String,
    /// The thread has taken text that is not written yet.
    writing: bool,
    /// Lines left out since the thread last took text.
    lost: usize,
    waits: Vec<Wait>,
    /// `waits` is not shown yet.
    moved: bool,
    closed: bool,
}

impl State {
    fn is_busy(&self) -> bool {
        self.writing || self.moved || !self.text.is_empty()
    }
}

impl Writer {
    /// Starts the thread, with a spinner to show what is waited for, if it is to be.
    pub(super) fn start(to: impl Write + Send + 'static, spinner: Option<Spinner>) -> io::Result<Self> {
        let live = spinner.is_some();
        let shared = Arc::new(Shared::default());
        let theirs = shared.clone();
        let thread = std::thread::Builder::new()
            .name("terminal".into())
            .stack_size(256 << 10)
            .spawn(move || work(&theirs, to, spinner))?;
        Ok(Self { shared, live, thread: Some(thread) })
    }

    /// Hands over whole lines. They are left out if the terminal takes none.
    pub(super) fn write(&self, lines: &str) {
        if lines.is_empty() {
            return;
        }
        let mut state = self.shared.lock();
        if state.text.len() > LIMIT && state.lost == 0 {
            let behind = |state: &mut State| state.text.len() > LIMIT;
            let waited = self.shared.changed.wait_timeout_while(state, PATIENCE, behind);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if state.text.len() > LIMIT {
            state.lost += lines.lines().count();
        } else {
            state.text.push_str(lines);
            self.shared.changed.notify_all();
        }
    }

    /// Hands over whole lines that are never left out.
    pub(super) fn write_always(&self, lines: &str) {
        self.shared.lock().text.push_str(lines);
        self.shared.changed.notify_all();
    }

    /// Sets what is waited for, which is shown if the writer is live.
    pub(super) fn wait_for(&self, waits: Vec<Wait>) {
        if !self.live {
            return;
        }
        let mut state = self.shared.lock();
        state.waits = waits;
        state.moved = true;
        self.shared.changed.notify_all();
    }

    /// Waits until all is written, for a while. Returns whether it is.
    pub(super) fn drain(&self) -> bool {
        let waited = self.shared.changed.wait_timeout_while(self.shared.lock(), DRAIN, |state| state.is_busy());
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Whether all is written now.
    pub(super) fn is_drained(&self) -> bool {
        !self.shared.lock().is_busy()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
        // A thread that is stuck in its terminal is left to end with the process.
        if self.drain()
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is something to do or the spinner has to move.
    fn next(&self, live: bool) -> MutexGuard<'_, State> {
        let idle = |state: &mut State| state.text.is_empty() && !state.moved && !state.closed;
        let state = self.lock();
        if live && !state.waits.is_empty() {
            self.changed.wait_timeout_while(state, TICK, idle).unwrap_or_else(PoisonError::into_inner).0
        } else {
            self.changed.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner)
        }
    }
}

fn work(shared: &Shared, mut to: impl Write, mut spinner: Option<Spinner>) {
    loop {
        let mut state = shared.next(spinner.is_some());
        let mut text = std::mem::take(&mut state.text);
        if state.lost > 0 {
            let lost = std::mem::take(&mut state.lost);
            let _ = writeln!(text, "({lost} lines not shown: the terminal did not take them)");
        }
        let (waits, closed) = (state.waits.clone(), state.closed);
        state.moved = false;
        state.writing = true;
        shared.changed.notify_all();
        drop(state);

        // What is watched by nobody any more needs no error: the files of the record have it all.
        let mut write = || {
            let _ = to.write_all(text.as_bytes()).and_then(|()| to.flush());
        };
        match &mut spinner {
            Some(spinner) => {
                if !text.is_empty() {
                    spinner.aside(write);
                }
                spinner.show(if closed { &[] } else { &waits });
            }
            None => write(),
        }

        shared.lock().writing = false;
        shared.changed.notify_all();
        if closed && text.is_empty() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// A terminal that takes text only when told to.
    struct Slow {
        go: Receiver<()>,
        taken: Sender<String>,
    }

    impl Write for Slow {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            // The sender's end is how the test lets it go for good.
            let _ = self.go.recv();
            self.taken.send(String::from_utf8(text.to_vec()).unwrap()).unwrap();
            Ok(text.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_was_written_is_there_after_the_end() {
        let (go, receiver) = channel();
        let (taken, lines) = channel();
        drop(go);
        let writer = Writer::start(Slow { go: receiver, taken }, None).unwrap();
        for number in 0..1000 {
            writer.write(&format!("{number}\n"));
        }
        drop(writer);
        let text: String = lines.iter().collect();
        assert!(text.lines().eq((0..1000).map(|number| number.to_string())), "{text}");
    }

    #[test]
    fn a_stuck_terminal_loses_lines_but_not_the_verdict() {
        let (go, receiver) = channel();
        let (taken, lines) = channel();
        let writer = Writer::start(Slow { go: receiver, taken }, None).unwrap();
        let line = "x".repeat(1 << 16) + "\n";
        for _ in 0..100 {
            writer.write(&line);
        }
        writer.write_always("verdict\n");
        drop(go);
        assert!(writer.drain());
        drop(writer);

        let text: String = lines.iter().collect();
        assert!(text.len() < 3 * LIMIT, "{}", text.len());
        assert!(text.contains("\nverdict\n"));
        assert!(text.contains(" lines not shown"), "{}", &text[text.len() - 100..]);
    }
}
