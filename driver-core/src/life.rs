//! Where a guest stands, for backends: told in one place, asked in many.

use std::fmt::Display;
use std::time::Duration;

use netbridge::Port;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::console::Console;
use crate::error::MachineError;
use crate::guest::Exit;

/// Console lines that an error shows.
const LAST_LINES: usize = 30;

/// One guest's life from its launch to its end. What watches over the guest tells it; its verbs ask.
#[derive(Debug)]
pub struct Life {
    machine: String,
    console: Console,
    standing: watch::Sender<Standing>,
    kill: watch::Sender<bool>,
}

/// Where a guest stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It does not take commands yet.
    Booting,
    /// It takes commands.
    Ready,
    /// It is there, but will never take commands any more, for this reason.
    Lost(String),
    /// It is gone.
    Ended(Exit),
}

impl Life {
    /// The life of a guest that was just launched.
    pub fn new(machine: impl Into<String>, console: Console) -> Self {
        let (standing, kill) = (watch::Sender::new(Standing::Booting), watch::Sender::new(false));
        Self { machine: machine.into(), console, standing, kill }
    }

    /// Its console.
    pub fn console(&self) -> &Console {
        &self.console
    }

    /// Where it stands.
    pub fn standing(&self) -> Standing {
        self.standing.borrow().clone()
    }

    /// Tells where it stands now. Nothing comes after its end.
    pub fn tell(&self, now: Standing) {
        self.standing.send_if_modified(|standing| {
            let changes = !matches!(standing, Standing::Ended(_)) && *standing != now;
            if changes {
                *standing = now;
            }
            changes
        });
    }

    /// Wants it killed.
    pub fn kill(&self) {
        self.kill.send_replace(true);
    }

    /// Whether it shall be killed.
    pub fn is_to_be_killed(&self) -> bool {
        *self.kill.borrow()
    }

    /// Returns once it shall be killed.
    pub async fn to_be_killed(&self) {
        // The sender lives in `self`.
        let _ = self.kill.subscribe().wait_for(|kill| *kill).await;
    }

    /// Returns once it takes commands; fails once it never will.
    pub async fn ready(&self) -> Result<(), MachineError> {
        let began = Instant::now();
        let mut standing = self.standing.subscribe();
        let ready = match standing.wait_for(|standing| *standing != Standing::Booting).await {
            Ok(standing) => *standing == Standing::Ready,
            Err(_) => false,
        };
        if ready { Ok(()) } else { Err(self.not_there("boot").after(began.elapsed())) }
    }

    /// Returns once it will never take commands any more: it is lost or gone.
    pub async fn over(&self) {
        let over = |standing: &Standing| matches!(standing, Standing::Lost(_) | Standing::Ended(_));
        let _ = self.standing.subscribe().wait_for(over).await;
    }

    /// Returns once it is lost though it is still there, with why, for [`Guest::lost`](crate::guest::Guest::lost).
    pub async fn lost(&self) -> MachineError {
        let mut standing = self.standing.subscribe();
        let why = match standing.wait_for(|standing| matches!(standing, Standing::Lost(_))).await.as_deref() {
            Ok(Standing::Lost(why)) => Some(why.clone()),
            _ => None,
        };
        match why {
            Some(why) => self.error("boot", why),
            // The sender lives in `self`.
            None => std::future::pending().await,
        }
    }

    /// Returns once it is gone, with how it ended.
    pub async fn ended(&self) -> Exit {
        let mut standing = self.standing.subscribe();
        match standing.wait_for(|standing| matches!(standing, Standing::Ended(_))).await.as_deref() {
            Ok(Standing::Ended(exit)) => exit.clone(),
            // The sender lives in `self`.
            _ => Exit::Killed,
        }
    }

    /// How it ended, if it does so within `limit`.
    pub async fn ends_within(&self, limit: Duration) -> Option<Exit> {
        tokio::time::timeout(limit, self.ended()).await.ok()
    }

    /// An error of this machine, with its last console lines.
    pub fn error(&self, operation: &str, cause: impl Display) -> MachineError {
        MachineError::new(&*self.machine, operation, cause.to_string()).last_seen(self.console.last(LAST_LINES))
    }

    /// The error of an operation that needs the guest to take commands, which it does not.
    pub fn not_there(&self, operation: &str) -> MachineError {
        match &*self.standing.borrow() {
            Standing::Ended(exit) => self.error(operation, told(exit)).gone(),
            Standing::Lost(why) => self.error(operation, why),
            Standing::Booting | Standing::Ready => self.error(operation, "it is booting"),
        }
    }

    /// Pulls or puts back the plug of the interface with this index, for [`Cable`](crate::guest::Cable).
    pub async fn plug(&self, ports: &[Port], attachment: usize, plugged: bool) -> Result<(), MachineError> {
        let Some(port) = ports.get(attachment) else { return Err(self.no_interface(attachment, plugged)) };
        port.set_up(plugged).await.map_err(|error| self.error(plugging(plugged), &error).source(error))
    }

    /// The error of plugging an interface with an index that none has.
    pub fn no_interface(&self, attachment: usize, plugged: bool) -> MachineError {
        self.error(plugging(plugged), format!("it has no interface number {}", attachment + 1))
    }
}

/// What is done to a plug, as errors tell.
pub fn plugging(plugged: bool) -> &'static str {
    if plugged { "plug in the network" } else { "pull the network" }
}

/// How a machine ended, as people are told.
pub(crate) fn told(exit: &Exit) -> String {
    match exit {
        Exit::PoweredOff => "it powered off".into(),
        Exit::Killed => "it was killed".into(),
        Exit::Died(how) => format!("it died: {how}"),
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::event::Recorder;

    fn life() -> Life {
        let console = Console::new(Recorder::new(Vec::new()));
        console.push("hello");
        Life::new("m", console)
    }

    #[tokio::test]
    async fn everyone_learns_of_each_change() {
        let life = life();
        assert!(life.ready().now_or_never().is_none());
        assert_eq!(life.not_there("x").cause, "it is booting");
        life.tell(Standing::Ready);
        life.ready().await.unwrap();
        life.tell(Standing::Booting);
        assert!(life.ready().now_or_never().is_none());
        assert!(life.over().now_or_never().is_none());
    }

    #[tokio::test]
    async fn a_lost_guest_is_still_there() {
        let life = life();
        life.tell(Standing::Lost("it is in emergency mode".into()));
        let error = life.ready().await.unwrap_err();
        assert_eq!((&*error.cause, error.gone), ("it is in emergency mode", false));
        assert_eq!(error.last_seen, ["hello"]);
        assert_eq!(life.lost().await.cause, "it is in emergency mode");
        life.over().await;
        assert!(life.ended().now_or_never().is_none());
    }

    #[tokio::test]
    async fn the_end_is_final() {
        let life = life();
        life.tell(Standing::Ended(Exit::PoweredOff));
        life.tell(Standing::Ready);
        assert_eq!(life.ended().await, Exit::PoweredOff);
        assert!(life.lost().now_or_never().is_none());
        let error = life.ready().await.unwrap_err();
        assert_eq!((&*error.cause, error.gone), ("it powered off", true));
    }

    #[tokio::test]
    async fn a_wish_to_kill_stays() {
        let life = life();
        assert!(!life.is_to_be_killed() && life.to_be_killed().now_or_never().is_none());
        life.kill();
        life.to_be_killed().await;
        assert!(life.is_to_be_killed());
    }
}
