//! Streaming a machine's console to a client that searches it.

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
use super::reply::Lines;
use super::session::Session;
use super::verb::PULSE;

/// The most lines in one reply.
const BATCH: usize = 5000;

/// A client's place in a machine's console.
pub(super) struct Follower {
    session: Arc<Session>,
    machine: Machine,
    boot: u64,
    line: usize,
    deadline: Option<Instant>,
    was_up: bool,
    over: bool,
}

impl Follower {
    /// Follows the console from a line of a boot on; of another boot than the current one, from the beginning of the current one.
    pub(super) fn new(session: Arc<Session>, machine: Machine, (boot, line): (u64, usize)) -> Self {
        Self { session, machine, boot, line, deadline: None, was_up: false, over: false }
    }

    /// The lines that are there.
    pub(super) fn now(mut self) -> Reply<Lines> {
        let console = self.console();
        let lines = console.since(self.line);
        self.reply(lines, false)
    }

    /// The lines that are there and those that come, until the machine is gone or the time is up. Starts a machine that never ran.
    pub(super) fn stream(self, timeout: Option<Duration>) -> impl Stream<Item = Result<Reply<Lines>, Failure>> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        unfold(Self { deadline, ..self }, |mut follower| async {
            if follower.over {
                return None;
            }
            let reply = follower.next().await;
            Some((reply, follower))
        })
    }

    async fn next(&mut self) -> Result<Reply<Lines>, Failure> {
        let pulse = Instant::now() + PULSE;
        loop {
            // In this order: what a machine says before its end must not be missed.
            let up = self.machine.is_up();
            let console = self.console();
            let mut changes = console.watch();
            let mut lines = console.since(self.line);
            lines.truncate(BATCH);
            if !lines.is_empty() {
                return Ok(self.reply(lines, true));
            }
            if self.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                self.over = true;
                return Ok(self.reply(lines, false));
            }
            if self.was_up && !up {
                self.over = true;
                return Err(self.gone(&console));
            }
            self.was_up |= up;
            let deadline = async {
                match self.deadline {
                    Some(deadline) => sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = changes.changed() => {}
                () = deadline => {}
                () = sleep_until(pulse) => return Ok(self.reply(lines, true)),
            }
        }
    }

    /// The current console; follows the machine into a new boot.
    fn console(&mut self) -> Console {
        let (boot, console) = self.session.console(&self.machine);
        if boot != self.boot {
            (self.boot, self.line) = (boot, 0);
        }
        console
    }

    fn reply(&mut self, lines: Vec<String>, continues: bool) -> Reply<Lines> {
        let first = self.line;
        self.line += lines.len();
        Reply::new(Some(Lines { boot: self.boot, line: first, lines })).set_continues(Some(continues))
    }

    fn gone(&self, console: &Console) -> Failure {
        let cause = "it is not running any more, and its console never said that";
        let error = MachineError::new(self.machine.name(), "wait_for_console_text", cause).last_seen(console.last(30));
        Failure::MachineFailed { message: told(&error) }
    }
}
