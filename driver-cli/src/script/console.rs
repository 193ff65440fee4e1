//! Streaming a machine's console to a client that searches it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use driver_core::MachineError;
use driver_core::console::Console;
use driver_core::machine::Machine;
use futures::Stream;
use futures::stream::unfold;
use tokio::time::{Instant, sleep_until};
use zlink::Reply;

use super::failure::{Failure, told};
use super::reply::{Excerpt, PART};
use super::session::Session;
use super::verb::PULSE;

/// How long a launch may take that somebody else began.
const LAUNCH: Duration = Duration::from_secs(10);

/// A client's place in a machine's console.
pub(super) struct Follower {
    session: Arc<Session>,
    machine: Machine,
    boot: u64,
    /// The number of the next line to send.
    line: usize,
    /// Lines of the console from there on that were taken from it.
    taken: VecDeque<String>,
    /// What had come of the line after them.
    unfinished: String,
    deadline: Option<Instant>,
    /// Whether the machine has been seen running, and until when it may not be before it counts as gone.
    was_up: bool,
    patience: Option<Instant>,
    over: bool,
}

impl Follower {
    /// Follows the console from a line of a boot on; of another boot than the current one, from the beginning of the current one.
    pub(super) fn new(session: Arc<Session>, machine: Machine, (boot, line): (u64, usize)) -> Self {
        Self {
            session,
            machine,
            boot,
            line,
            taken: VecDeque::new(),
            unfinished: String::new(),
            deadline: None,
            was_up: false,
            patience: None,
            over: false,
        }
    }

    /// The lines that are there, or as many of them as go into one reply.
    pub(super) fn now(mut self) -> Reply<Excerpt> {
        let console = self.console();
        self.take(&console);
        let lines = self.batch();
        self.reply(lines, false)
    }

    /// The lines that are there and those that come, until the machine is gone or the time is up. Starts a machine that never ran.
    pub(super) fn stream(self, timeout: Option<Duration>) -> impl Stream<Item = Result<Reply<Excerpt>, Failure>> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        unfold(Self { deadline, ..self }, |mut follower| async {
            if follower.over {
                return None;
            }
            let reply = follower.next().await;
            follower.over |= reply.is_err();
            Some((reply, follower))
        })
    }

    async fn next(&mut self) -> Result<Reply<Excerpt>, Failure> {
        let pulse = Instant::now() + PULSE;
        loop {
            if !self.taken.is_empty() {
                let lines = self.batch();
                return Ok(self.reply(lines, true));
            }
            // In this order: what a machine says before its end must not be missed.
            let gone = self.gone().await?;
            let console = self.console();
            let mut changes = console.watch();
            if self.take(&console) {
                let lines = self.batch();
                return Ok(self.reply(lines, true));
            }
            if self.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                self.over = true;
                return Ok(self.reply(Vec::new(), false));
            }
            if gone {
                let cause = "it is not running any more, and its console never said that";
                let error = MachineError::new(self.machine.name(), "wait_for_console_text", cause);
                return Err(Failure::MachineFailed { message: told(&error.last_seen(console.last(30))) });
            }
            let deadline = async {
                match self.deadline {
                    Some(deadline) => sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = changes.changed() => {}
                () = deadline => {}
                () = sleep_until(pulse) => return Ok(self.reply(Vec::new(), true)),
            }
        }
    }

    /// Whether the machine is gone.
    async fn gone(&mut self) -> Result<bool, Failure> {
        if self.machine.is_up() {
            self.was_up = true;
        } else if self.was_up {
            return Ok(true);
        } else if self.console().since(0).is_empty() {
            let machine = self.machine.clone();
            let start = self.session.runtime().spawn(async move { machine.start().await });
            start.await.map_err(|error| Failure::RunFailed { message: error.to_string() })??;
            self.was_up = true;
        } else {
            // Either it is being launched, or it was stopped before.
            let patience = *self.patience.get_or_insert_with(|| Instant::now() + LAUNCH);
            return Ok(patience <= Instant::now());
        }
        Ok(false)
    }

    /// Takes what is new on the console; whether there was something.
    fn take(&mut self, console: &Console) -> bool {
        let (lines, unfinished) = console.since_with_unfinished(self.line);
        let new = !lines.is_empty() || (!unfinished.is_empty() && unfinished != self.unfinished);
        self.taken = lines.into();
        self.unfinished = unfinished;
        new
    }

    /// As many of the taken lines as go into one reply, at least one.
    fn batch(&mut self) -> Vec<String> {
        let mut size = 0;
        let mut fits = |line: &String| {
            size += line.len();
            size <= PART
        };
        let count = self.taken.iter().take_while(|line| fits(line)).count();
        self.taken.drain(..count.max(1).min(self.taken.len())).collect()
    }

    /// The current console; follows the machine into a new boot.
    fn console(&mut self) -> Console {
        let (boot, console) = self.session.console(&self.machine);
        if boot != self.boot {
            (self.boot, self.line) = (boot, 0);
        }
        console
    }

    fn reply(&mut self, lines: Vec<String>, continues: bool) -> Reply<Excerpt> {
        let first = self.line;
        self.line += lines.len();
        // Other lines come before it.
        let unfinished = if self.taken.is_empty() { self.unfinished.clone() } else { String::new() };
        Reply::new(Some(Excerpt { boot: self.boot, line: first, lines, unfinished })).set_continues(Some(continues))
    }
}
