//! Power: start, shutdown, crash, reboot, and the network plug.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::boot::{Boot, LAST_LINES};
use super::{GRACE, Launch, Machine, Shared};
use crate::console::Console;
use crate::error::{Error, MachineError};
use crate::event::{Kind, Level, MachineState};
use crate::guest::Exit;
use crate::wait::Wait;

/// Where a machine stands.
pub(super) struct Power {
    phase: Phase,
    /// Counts starts, to tell one from another.
    starts: u64,
    /// The console of the current boot, or of the last one.
    pub(super) console: Console,
    /// The number of its lines that waits have used up.
    pub(super) used: Arc<AtomicUsize>,
}

enum Phase {
    Down,
    Starting {
        number: u64,
        outcome: watch::Receiver<Option<Launched>>,
        /// Cancels the start with the machine.
        task: AbortOnDropHandle<()>,
    },
    /// Launched. It may have ended by itself, which no verb has taken note of yet.
    Up(Arc<Boot>),
    Released,
}

type Launched = Result<Arc<Boot>, Arc<MachineError>>;

impl Power {
    pub(super) fn new(console: Console) -> Self {
        Self { phase: Phase::Down, starts: 0, console, used: Arc::default() }
    }
}

impl Machine {
    /// Whether it runs: launched and not gone. It may still be booting.
    pub fn is_up(&self) -> bool {
        matches!(&self.power().phase, Phase::Up(boot) if boot.exit().is_none())
    }

    /// Launches the machine and returns without waiting for its boot. Does nothing if it runs.
    ///
    /// Callers at the same time share one start, which goes on when they are cancelled.
    pub async fn start(&self) -> Result<(), Error> {
        self.launched(Again::EvenAfterDeath).await.map(drop)
    }

    /// Powers the machine off and waits until it is gone. Does nothing if it is not running.
    pub async fn shutdown(&self) -> Result<(), Error> {
        let Some(boot) = self.running().await else {
            return self.take_note_of_end("shutdown");
        };
        let limit = self.shared.options.stop_timeout;
        let title = self.power_off_title();
        let wait = &Wait::new(self.name(), &title, limit);
        let ended = self.step(&*title, |machine| async move {
            machine.ready(&boot).await?;
            machine.state(MachineState::Stopping);
            match boot.race("shutdown", Some(limit), boot.guest.stop()).await {
                // Gone is what was asked for.
                Err(error) if !error.gone => return Err(error.into()),
                _ => {}
            }
            match timeout(wait.remaining(), boot.ended()).await {
                Ok(_) => Ok(boot),
                Err(_) => Err(MachineError::new(machine.name(), "shutdown", "it did not power off")
                    .after(limit)
                    .last_seen(machine.console().last(LAST_LINES))
                    .cure("crash() ends a machine that does not power off")
                    .into()),
            }
        });
        self.settle(&ended.await?);
        Ok(())
    }

    /// Ends the machine as a power cut would and waits until it is gone.
    pub async fn crash(&self) -> Result<(), Error> {
        let Some(boot) = self.running().await else {
            return Err(self.cannot("crash", "it is not running"));
        };
        self.recorder.message(Level::Info, "forced crash");
        self.kill(&boot).await?;
        self.settle(&boot);
        Ok(())
    }

    /// Asks the machine to reboot. The next verb that needs it waits until it has booted again.
    pub async fn reboot(&self) -> Result<(), Error> {
        let Some(boot) = self.running().await else {
            return Err(self.cannot("reboot", "it is not running"));
        };
        self.ready(&boot).await?;
        self.state(MachineState::Stopping);
        Ok(boot.reboot().await?)
    }

    /// Waits until the machine is gone, however it ends. Does nothing if it is not running.
    pub async fn wait_for_shutdown(&self, timeout: Option<Duration>) -> Result<(), Error> {
        let Some(boot) = self.running().await else {
            self.power().settle_ended();
            return Ok(());
        };
        let title = self.power_off_title();
        let ended = self.step(&*title, |_| async {
            let wait = Wait::new(self.name(), &title, timeout.unwrap_or(Duration::MAX));
            let ended = tokio::time::timeout(wait.remaining(), boot.ended()).await;
            ended.map_err(|_| wait.timed_out(&self.console().last(1).concat()))
        });
        ended.await?;
        self.settle(&boot);
        Ok(())
    }

    /// Ends the machine for good: cancels a start, kills what runs, and lets nothing start it again. For the end of a run.
    pub async fn release(&self) -> Result<(), Error> {
        let phase = std::mem::replace(&mut self.power().phase, Phase::Released);
        let boot = match phase {
            Phase::Down | Phase::Released => None,
            Phase::Up(boot) => Some(boot),
            Phase::Starting { task, mut outcome, .. } => {
                task.abort();
                // The task drops its sender when it has ended, with nothing sent if that was before its launch.
                outcome.wait_for(Option::is_some).await.ok().and_then(|launched| launched.clone()?.ok())
            }
        };
        match boot {
            Some(boot) if boot.exit().is_none() => self.kill(&boot).await,
            _ => Ok(()),
        }
    }

    /// Pulls the plug of the first network interface.
    pub async fn block(&self) -> Result<(), Error> {
        self.plug("block", false).await
    }

    /// Puts the plug of the first network interface back.
    pub async fn unblock(&self) -> Result<(), Error> {
        self.plug("unblock", true).await
    }

    async fn plug(&self, verb: &str, plugged: bool) -> Result<(), Error> {
        if self.spec().vlans.is_empty() {
            return Err(self.cannot(verb, "it has no network interface; give it one with the key `vlans`"));
        }
        let boot = self.launched(Again::NotAfterDeath).await?;
        let Some(cable) = boot.guest.cable() else {
            let why = format!("the network plugs of a machine of backend `{}` cannot be pulled", self.spec().backend);
            return Err(self.cannot(verb, &why));
        };
        Ok(boot.race(verb, Some(Duration::ZERO), cable.set(0, plugged)).await?)
    }

    /// The running machine that takes commands, started if need be.
    pub(super) async fn connect(&self) -> Result<Arc<Boot>, Error> {
        let boot = self.launched(Again::NotAfterDeath).await?;
        self.ready(&boot).await?;
        Ok(boot)
    }

    /// The launched machine, started if need be.
    pub(super) async fn launched(&self, again: Again) -> Result<Arc<Boot>, Error> {
        let (number, mut outcome) = {
            let mut power = self.power();
            match &power.phase {
                Phase::Released => return Err(self.cannot("start", "the run is over")),
                Phase::Starting { number, outcome, .. } => (*number, outcome.clone()),
                Phase::Up(boot) => match (boot.exit(), again) {
                    (None, _) => return Ok(boot.clone()),
                    (Some(exit), Again::NotAfterDeath) => return Err(boot.death("reach it", &exit).into()),
                    (Some(_), Again::EvenAfterDeath) => self.begin(&mut power),
                },
                Phase::Down => self.begin(&mut power),
            }
        };
        let launched = outcome.wait_for(Option::is_some).await.ok().and_then(|launched| launched.clone());
        match launched {
            Some(Ok(boot)) => Ok(boot),
            Some(Err(error)) => Err(again_as_own(&error).into()),
            None => {
                let mut power = self.power();
                if matches!(&power.phase, Phase::Starting { number: current, .. } if *current == number) {
                    power.phase = Phase::Down;
                }
                Err(MachineError::new(self.name(), "start", "the start was given up").into())
            }
        }
    }

    /// The current boot, whatever became of it; none if that was taken note of. A machine that never ran is started.
    pub(super) async fn latest(&self) -> Result<Option<Arc<Boot>>, Error> {
        {
            let power = self.power();
            match &power.phase {
                Phase::Up(boot) => return Ok(Some(boot.clone())),
                Phase::Down if power.starts > 0 => return Ok(None),
                _ => {}
            }
        }
        self.launched(Again::NotAfterDeath).await.map(Some)
    }

    /// Begins a start in a task of its own, so that it does not depend on the caller that was first.
    fn begin(&self, power: &mut Power) -> (u64, watch::Receiver<Option<Launched>>) {
        power.starts += 1;
        power.console = Console::new(self.shared.recorder.clone());
        power.used = Arc::default();
        self.state(MachineState::Starting);
        let (sender, outcome) = watch::channel(None);
        let start = start(
            Arc::downgrade(&self.shared),
            self.shared.launch.clone(),
            self.name().to_owned(),
            power.console.clone(),
            power.starts,
            sender,
        );
        let task = AbortOnDropHandle::new(tokio::spawn(start));
        power.phase = Phase::Starting { number: power.starts, outcome: outcome.clone(), task };
        (power.starts, outcome)
    }

    /// The machine, if it runs or is about to.
    async fn running(&self) -> Option<Arc<Boot>> {
        let mut outcome = match &self.power().phase {
            Phase::Down | Phase::Released => return None,
            Phase::Up(boot) => return boot.exit().is_none().then(|| boot.clone()),
            Phase::Starting { outcome, .. } => outcome.clone(),
        };
        outcome.wait_for(Option::is_some).await.ok().and_then(|launched| launched.clone()?.ok())
    }

    pub(super) async fn ready(&self, boot: &Boot) -> Result<(), Error> {
        if boot.is_ready() {
            return Ok(());
        }
        let limit = self.shared.options.boot_timeout;
        let title = format!("waiting for the {} to finish booting", self.kind());
        self.step(title, |_| async { Ok(boot.ready(limit).await?) }).await
    }

    async fn kill(&self, boot: &Boot) -> Result<(), Error> {
        let kill = async {
            boot.guest.kill().await?;
            boot.ended().await;
            Ok::<_, MachineError>(())
        };
        match timeout(GRACE, kill).await {
            Ok(killed) => Ok(killed?),
            Err(_) => Err(MachineError::new(self.name(), "kill it", "it is still there").after(GRACE).into()),
        }
    }

    /// Takes note of an end that a verb was told of or brought about: the machine may be started again.
    fn settle(&self, ended: &Arc<Boot>) {
        let mut power = self.power();
        if matches!(&power.phase, Phase::Up(boot) if Arc::ptr_eq(boot, ended)) {
            power.phase = Phase::Down;
        }
    }

    /// Takes note of an end that nobody asked for; the death of a machine is an error, once.
    fn take_note_of_end(&self, verb: &str) -> Result<(), Error> {
        match self.power().settle_ended() {
            Some((boot, exit @ Exit::Died(_))) => Err(boot.death(verb, &exit).into()),
            _ => Ok(()),
        }
    }

    fn state(&self, state: MachineState) {
        self.shared.recorder.record(Kind::Machine { state, detail: String::new() });
    }

    fn power_off_title(&self) -> String {
        format!("waiting for the {} to power off", self.kind())
    }
}

impl Power {
    fn settle_ended(&mut self) -> Option<(Arc<Boot>, Exit)> {
        let Phase::Up(boot) = &self.phase else { return None };
        let ended = (boot.clone(), boot.exit()?);
        self.phase = Phase::Down;
        Some(ended)
    }
}

/// Whether a machine that ended by itself may be started again.
#[derive(Clone, Copy)]
pub(super) enum Again {
    /// The test asked for a start.
    EvenAfterDeath,
    /// The test believes that the machine runs.
    NotAfterDeath,
}

async fn start(
    shared: Weak<Shared>,
    launch: Arc<dyn Launch>,
    machine: String,
    console: Console,
    number: u64,
    outcome: watch::Sender<Option<Launched>>,
) {
    let launched = match launch.launch(console.clone()).await {
        Ok(guest) => Ok(Arc::new(Boot::new(&machine, guest, console))),
        Err(error) => {
            console.recorder().record(Kind::Machine { state: MachineState::Stopped, detail: error.cause.clone() });
            let lines = if error.last_seen.is_empty() { console.last(LAST_LINES) } else { error.last_seen.clone() };
            Err(Arc::new(error.last_seen(lines)))
        }
    };
    if let Some(shared) = shared.upgrade() {
        let mut power = shared.power();
        if matches!(&power.phase, Phase::Starting { number: current, .. } if *current == number) {
            power.phase = launched.as_ref().map_or(Phase::Down, |boot| Phase::Up(boot.clone()));
        }
    }
    outcome.send_replace(Some(launched));
}

/// The same error for one more caller, the error below it as text.
fn again_as_own(error: &MachineError) -> MachineError {
    MachineError {
        machine: error.machine.clone(),
        operation: error.operation.clone(),
        elapsed: error.elapsed,
        cause: error.cause.clone(),
        last_seen: error.last_seen.clone(),
        cure: error.cure.clone(),
        gone: error.gone,
        source: error.source.as_ref().map(|source| source.to_string().into()),
    }
}
