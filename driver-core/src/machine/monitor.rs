//! QEMU's monitor and its events.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::time::sleep;

use super::Machine;
use super::boot::LAG;
use super::start::Again;
use crate::error::Error;
use crate::guest::{QmpEvents, QmpRefusal};
use crate::wait::Wait;

/// The power as refusals call it.
const MONITOR: &str = "QEMU monitor";

/// How long a command may take: some save all of a machine's memory.
const COMMAND: Duration = Duration::from_secs(300);

impl Machine {
    /// Runs a line of QEMU's human monitor protocol and returns what it prints.
    pub async fn monitor_command(&self, line: &str) -> Result<String, Error> {
        const VERB: &str = "monitor_command";
        let boot = self.launched(Again::NotAfterDeath).await?;
        let monitor = boot.guest.monitor().ok_or_else(|| self.lacks(VERB, MONITOR))?;
        Ok(boot.race(VERB, Some(COMMAND), monitor.command(line)).await?)
    }

    /// Runs a QMP command. That QEMU refuses it is the inner error.
    pub async fn qmp(&self, command: &str, arguments: Value) -> Result<Result<Value, QmpRefusal>, Error> {
        const VERB: &str = "qmp";
        let boot = self.launched(Again::NotAfterDeath).await?;
        let monitor = boot.guest.monitor().ok_or_else(|| self.lacks(VERB, MONITOR))?;
        Ok(boot.race(VERB, Some(COMMAND), monitor.qmp(command, arguments)).await?)
    }

    /// All QMP events of the current start, or of one that ended by itself. Starts a machine that never ran.
    pub async fn qmp_events(&self) -> Result<QmpEvents, Error> {
        const VERB: &str = "qmp_events";
        let boot = self.latest().await?.ok_or_else(|| self.cannot(VERB, "it is not running"))?;
        let monitor = boot.guest.monitor().ok_or_else(|| self.lacks(VERB, MONITOR))?;
        Ok(monitor.events())
    }

    /// Waits for a QMP event that is `wanted`, and returns it.
    ///
    /// All events of the current start count that no earlier call has used up; those up to the one found are used up. An event wins over
    /// the machine's end.
    pub async fn wait_for_qmp_event(
        &self,
        wanted: impl FnMut(&Value) -> bool + Send,
        timeout: Duration,
    ) -> Result<Value, Error> {
        const VERB: &str = "wait_for_qmp_event";
        let what = "waiting for a QMP event";
        let step = self.step(what, |machine| async move {
            let boot = machine.latest().await?.ok_or_else(|| machine.cannot(VERB, "it is not running"))?;
            let events = boot.guest.monitor().ok_or_else(|| machine.lacks(VERB, MONITOR))?.events();
            let used = machine.power().used_events.clone();
            let wait = Wait::new(machine.name(), what, timeout);
            let over = async {
                let error = boot.over(what).await;
                // The monitor may tell of it a moment after the console or the process did.
                sleep(LAG).await;
                error
            };
            let mut search = Search { next: used.load(Ordering::Relaxed), last: None, wanted };
            let mut changes = events.watch();
            let found = async {
                loop {
                    changes.borrow_and_update();
                    if let Some(event) = search.advance(&events, &used) {
                        return event;
                    }
                    if changes.changed().await.is_err() {
                        std::future::pending::<()>().await;
                    }
                }
            };
            let ended = tokio::select! {
                biased;
                event = found => return Ok(event),
                error = over => Some(error),
                () = sleep(wait.remaining()) => None,
            };
            Err(ended.map_or_else(|| wait.timed_out(&search.last_seen()), Error::from))
        });
        step.await
    }
}

/// A search through events as they come.
struct Search<W> {
    next: usize,
    last: Option<Value>,
    wanted: W,
}

impl<W: FnMut(&Value) -> bool> Search<W> {
    /// The next event that is wanted, if it came already; then those up to it are used up.
    fn advance(&mut self, events: &QmpEvents, used: &AtomicUsize) -> Option<Value> {
        for event in events.since(self.next) {
            self.next += 1;
            if (self.wanted)(&event) {
                used.fetch_max(self.next, Ordering::Relaxed);
                return Some(event);
            }
            self.last = Some(event);
        }
        None
    }

    fn last_seen(&self) -> String {
        self.last.as_ref().map_or_else(|| "no event".into(), |event| format!("the event {event}"))
    }
}
