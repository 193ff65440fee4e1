//! Where a machine stands, and how it gets to run: one start at a time, shared by all who need it.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Weak};

use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::boot::{Boot, LAST_LINES};
use super::{GRACE, Launch, Machine, Shared};
use crate::console::Console;
use crate::error::{Error, MachineError};
use crate::event::{Kind, MachineState};
use crate::guest::Exit;

/// Where a machine stands.
pub(super) struct Power {
    phase: Phase,
    /// Counts starts, to tell one from another.
    starts: u64,
    /// The console of the current boot, or of the last one.
    pub(super) console: Console,
    /// The number of its lines that waits have used up.
    pub(super) used: Arc<AtomicUsize>,
    /// The number of QMP events of the current boot, or of the last one, that waits have used up.
    pub(super) used_events: Arc<AtomicUsize>,
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

/// Why a released machine refuses what would start something.
pub(super) const OVER: &str = "the run is over";

type Launched = Result<Arc<Boot>, Arc<MachineError>>;

impl Power {
    pub(super) fn new(console: Console) -> Self {
        Self { phase: Phase::Down, starts: 0, console, used: Arc::default(), used_events: Arc::default() }
    }
}

impl Machine {
    /// Whether it runs: launched and not gone. It may still be booting.
    pub fn is_up(&self) -> bool {
        matches!(&self.power().phase, Phase::Up(boot) if boot.exit().is_none())
    }

    /// Whether it runs and takes commands right now.
    pub fn takes_commands(&self) -> bool {
        matches!(&self.power().phase, Phase::Up(boot) if boot.exit().is_none() && boot.is_ready())
    }

    /// The running machine that takes commands, started if need be.
    pub(super) async fn connect(&self) -> Result<Arc<Boot>, Error> {
        let boot = self.launched(Again::NotAfterDeath).await?;
        self.ready(&boot).await?;
        Ok(boot)
    }

    /// The launched machine, started if need be.
    pub(super) async fn launched(&self, again: Again) -> Result<Arc<Boot>, Error> {
        self.launched_with(again, false).await
    }

    /// The same; a start that this call begins may allow the guest to reboot by itself.
    pub(super) async fn launched_with(&self, again: Again, allow_reboot: bool) -> Result<Arc<Boot>, Error> {
        let (number, mut outcome) = {
            let mut power = self.power();
            match &power.phase {
                Phase::Released => return Err(self.cannot("start", OVER)),
                Phase::Starting { number, outcome, .. } => (*number, outcome.clone()),
                Phase::Up(boot) => match (boot.exit(), again) {
                    (None, _) => return Ok(boot.clone()),
                    (Some(exit), Again::NotAfterDeath) => return Err(boot.death("reach it", &exit).into()),
                    (Some(_), Again::EvenAfterDeath) => self.begin(&mut power, allow_reboot),
                },
                Phase::Down => self.begin(&mut power, allow_reboot),
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
    fn begin(&self, power: &mut Power, allow_reboot: bool) -> (u64, watch::Receiver<Option<Launched>>) {
        power.starts += 1;
        power.console = Console::new(self.shared.recorder.clone());
        power.used = Arc::default();
        power.used_events = Arc::default();
        self.state(MachineState::Starting);
        let (sender, outcome) = watch::channel(None);
        let start = start(
            Arc::downgrade(&self.shared),
            self.shared.launch.clone(),
            self.name().to_owned(),
            power.console.clone(),
            (power.starts, allow_reboot),
            sender,
        );
        let task = AbortOnDropHandle::new(tokio::spawn(start));
        power.phase = Phase::Starting { number: power.starts, outcome: outcome.clone(), task };
        (power.starts, outcome)
    }

    /// The machine, if it runs.
    pub(super) fn current(&self) -> Option<Arc<Boot>> {
        match &self.power().phase {
            Phase::Up(boot) if boot.exit().is_none() => Some(boot.clone()),
            _ => None,
        }
    }

    /// The machine, if it runs or is about to.
    pub(super) async fn running(&self) -> Option<Arc<Boot>> {
        let mut outcome = match &self.power().phase {
            Phase::Down | Phase::Released => return None,
            Phase::Up(boot) => return boot.exit().is_none().then(|| boot.clone()),
            Phase::Starting { outcome, .. } => outcome.clone(),
        };
        outcome.wait_for(Option::is_some).await.ok().and_then(|launched| launched.clone()?.ok())
    }

    /// How many machines of this one's backend the host has room to boot at a time; none if there is no such limit.
    pub fn boots_at_once(&self) -> Option<usize> {
        self.shared.launch.boots_at_once()
    }

    /// Returns once a boot that is going on is over, however that ends: it takes commands, or it never will.
    pub async fn boot_is_over(&self) {
        if let Some(boot) = self.running().await {
            // Whoever needs the machine is told.
            let _ = boot.ready(self.shared.options.boot_timeout).await;
        }
    }

    pub(super) async fn ready(&self, boot: &Boot) -> Result<(), Error> {
        if boot.is_ready() {
            return Ok(());
        }
        let limit = self.shared.options.boot_timeout;
        let title = format!("waiting for the {} to finish booting", self.kind());
        self.step(title, |_| async { Ok(boot.ready(limit).await?) }).await
    }

    /// Takes a machine that ended by itself as stopped, so that it may be started again; returns how it ended.
    pub(super) fn forget_the_dead(&self) -> Option<(Arc<Boot>, Exit)> {
        let mut power = self.power();
        let Phase::Up(boot) = &power.phase else { return None };
        let dead = (boot.clone(), boot.exit()?);
        power.phase = Phase::Down;
        Some(dead)
    }

    /// Takes note of an end that a verb was told of or brought about: the machine may be started again.
    pub(super) fn settle(&self, ended: &Arc<Boot>) {
        let mut power = self.power();
        if matches!(&power.phase, Phase::Up(boot) if Arc::ptr_eq(boot, ended)) {
            power.phase = Phase::Down;
        }
    }

    /// Lets nothing start the machine any more; returns what runs.
    pub(super) async fn give_up(&self) -> Option<Arc<Boot>> {
        let phase = std::mem::replace(&mut self.power().phase, Phase::Released);
        match phase {
            Phase::Down | Phase::Released => None,
            Phase::Up(boot) => Some(boot),
            Phase::Starting { task, mut outcome, .. } => {
                task.abort();
                // The task drops its sender when it has ended, with nothing sent if that was before its launch.
                let launched = timeout(GRACE, outcome.wait_for(Option::is_some)).await.ok()?.ok()?.clone();
                launched?.ok()
            }
        }
    }

    /// Whether nothing may start the machine any more.
    pub(super) fn is_released(&self) -> bool {
        matches!(self.power().phase, Phase::Released)
    }

    pub(super) fn state(&self, state: MachineState) {
        self.shared.recorder.record(Kind::Machine { state, detail: String::new() });
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
    (number, allow_reboot): (u64, bool),
    outcome: watch::Sender<Option<Launched>>,
) {
    let launched = match launch.launch(allow_reboot, console.clone()).await {
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
