//! One boot of a machine: the live guest, and how it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::GRACE;
use crate::console::Console;
use crate::error::MachineError;
use crate::event::{Kind, MachineState, Recorder};
use crate::guest::{Command, Exit, Guest, Output};
use crate::life::told;

/// How many of a machine's last lines its errors show.
pub(super) const LAST_LINES: usize = 30;

/// How long a machine's end may lag behind that of its command channel.
pub(super) const LAG: Duration = Duration::from_millis(500);

/// A machine from its launch to its end. Dropping it kills what is left.
pub(super) struct Boot {
    machine: String,
    pub(super) guest: Arc<dyn Guest>,
    console: Console,
    exit: watch::Receiver<Option<Exit>>,
    live: Arc<Live>,
    _watcher: AbortOnDropHandle<()>,
}

/// What a boot shares with its watcher.
struct Live {
    recorder: Recorder,
    /// Whether the record has it that the machine is ready.
    announced: AtomicBool,
    rebooted: Notify,
}

impl Boot {
    pub(super) fn new(machine: &str, guest: Arc<dyn Guest>, console: Console) -> Self {
        let (ended, exit) = watch::channel(None);
        let recorder = console.recorder().clone();
        let live = Arc::new(Live { recorder, announced: AtomicBool::new(false), rebooted: Notify::new() });
        let watcher = AbortOnDropHandle::new(tokio::spawn(watch_over(guest.clone(), live.clone(), ended)));
        Self { machine: machine.into(), guest, console, exit, live, _watcher: watcher }
    }

    /// How it ended, if it has.
    pub(super) fn exit(&self) -> Option<Exit> {
        self.exit.borrow().clone()
    }

    /// Returns once the machine is gone, with how it ended.
    pub(super) async fn ended(&self) -> Exit {
        let mut exit = self.exit.clone();
        let ended = exit.wait_for(Option::is_some).await.ok().and_then(|exit| exit.clone());
        ended.unwrap_or_else(|| Exit::Died("nobody watches over it any more".into()))
    }

    /// Returns once the machine takes commands.
    pub(super) async fn ready(&self, limit: Duration) -> Result<(), MachineError> {
        self.race("boot", Some(limit), self.guest.ready()).await?;
        self.live.announce();
        Ok(())
    }

    /// Whether the machine takes commands right now.
    pub(super) fn is_ready(&self) -> bool {
        let ready = matches!(self.guest.ready().now_or_never(), Some(Ok(())));
        if ready {
            self.live.announce();
        } else {
            // It may have rebooted by itself.
            self.live.announced.store(false, Ordering::Relaxed);
        }
        ready
    }

    /// Whether it boots, which it also does when it reboots by itself.
    pub(super) fn is_booting(&self) -> bool {
        self.guest.ready().now_or_never().is_none()
    }

    /// The error of a machine that ends within moments: what runs in it is killed some time before it is gone itself.
    pub(super) async fn ending(&self, operation: &str) -> Option<MachineError> {
        let exit = timeout(LAG, self.ended()).await.ok()?;
        Some(self.death(operation, &exit))
    }

    /// Returns once the machine will never take commands any more, because it is gone or lost. The error of whatever waits for it.
    pub(super) async fn over(&self, operation: &str) -> MachineError {
        tokio::select! {
            biased;
            exit = self.ended() => self.death(operation, &exit),
            lost = self.guest.lost() => self.loss(operation, lost),
        }
    }

    /// Runs a command. `operation` is what errors say was tried.
    pub(super) async fn run(&self, operation: &str, command: Command) -> Result<Output, MachineError> {
        let limit = command.timeout;
        self.race(operation, limit, self.guest.run(command)).await
    }

    /// Asks for a reboot; from then on the machine is not ready until it has booted again.
    pub(super) async fn reboot(&self) -> Result<(), MachineError> {
        self.race("reboot", Some(Duration::ZERO), self.guest.reboot()).await?;
        self.live.announced.store(false, Ordering::Relaxed);
        self.live.rebooted.notify_one();
        Ok(())
    }

    /// Does what the guest should do within `limit`, but ends when the machine is gone, and some time after the limit.
    pub(super) async fn race<T>(
        &self,
        operation: &str,
        limit: Option<Duration>,
        work: impl Future<Output = Result<T, MachineError>>,
    ) -> Result<T, MachineError> {
        let late = async {
            match limit {
                Some(limit) => sleep(limit.saturating_add(GRACE)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            result = work => match result {
                Ok(value) => Ok(value),
                Err(error) => Err(self.blame(operation, error).await),
            },
            exit = self.ended() => Err(self.death(operation, &exit)),
            () = late => {
                let cause = "it hangs: no answer, long after the deadline";
                Err(self.error(operation, cause).after(limit.unwrap_or_default() + GRACE))
            }
        }
    }

    /// The error of a machine that is gone.
    pub(super) fn death(&self, operation: &str, exit: &Exit) -> MachineError {
        let error = self.error(operation, told(exit)).gone();
        match exit {
            Exit::PoweredOff => error.cure("after a power-off that the test wants, wait_for_shutdown() comes first"),
            Exit::Killed | Exit::Died(_) => error,
        }
    }

    /// The error of a machine that is there but lost.
    fn loss(&self, operation: &str, lost: MachineError) -> MachineError {
        let lines = if lost.last_seen.is_empty() { self.console.last(LAST_LINES) } else { lost.last_seen };
        self.error(operation, lost.cause).last_seen(lines).cure(lost.cure)
    }

    fn error(&self, operation: &str, cause: impl Into<String>) -> MachineError {
        MachineError::new(&*self.machine, operation, cause).last_seen(self.console.last(LAST_LINES))
    }

    /// A channel that broke may be all that is seen yet of a machine that ends.
    async fn blame(&self, operation: &str, error: MachineError) -> MachineError {
        if let Some(lost) = self.guest.lost().now_or_never() {
            return self.loss(operation, lost).source(error);
        }
        match timeout(LAG, self.ended()).await {
            Ok(exit) => self.death(operation, &exit).source(error),
            Err(_) if error.last_seen.is_empty() => error.last_seen(self.console.last(LAST_LINES)),
            Err(_) => error,
        }
    }
}

impl Live {
    /// Records that the machine is ready, once a boot, before any verb goes on with it.
    fn announce(&self) {
        if !self.announced.swap(true, Ordering::Relaxed) {
            self.recorder.record(Kind::Machine { state: MachineState::Ready, detail: String::new() });
        }
    }
}

/// Records what becomes of a guest, and tells everyone when it is gone.
async fn watch_over(guest: Arc<dyn Guest>, live: Arc<Live>, ended: watch::Sender<Option<Exit>>) {
    let boots = async {
        loop {
            if guest.ready().await.is_ok() {
                live.announce();
            }
            live.rebooted.notified().await;
        }
    };
    let exit = tokio::select! {
        biased;
        exit = guest.exited() => exit,
        () = boots => return,
    };
    live.recorder.record(Kind::Machine { state: MachineState::Stopped, detail: told(&exit) });
    ended.send_replace(Some(exit));
}
