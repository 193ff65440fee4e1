//! One boot of a fake machine.

use std::future::pending;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::task::AbortOnDropHandle;

use super::host;
use super::machine::{Booting, FakeMachine};
use super::reply::{Deed, Reply};
use crate::console::Console;
use crate::error::MachineError;
use crate::guest::{
    Cable, Channel, Command, Exit, Guest, Keyboard, Monitor, Output, Pointer, QmpEvents, Screen, Terminal,
};

/// One boot of a fake machine.
#[derive(Debug)]
pub(super) struct FakeGuest {
    pub(super) machine: FakeMachine,
    /// What it is on the host, if anything.
    process: Option<(String, u32)>,
    pub(super) console: Console,
    boot_timeout: Duration,
    /// Counts its reboots by itself.
    boots: watch::Sender<u32>,
    life: watch::Sender<Option<Exit>>,
    lost: watch::Sender<Option<String>>,
    pub(super) events: QmpEvents,
    boot: Mutex<Boot>,
    /// Held by the command that runs where commands cannot overlap.
    turn: tokio::sync::Mutex<()>,
    /// What will happen by itself.
    fate: Mutex<Option<AbortOnDropHandle<()>>>,
}

#[derive(Clone, Copy, Debug)]
struct Boot {
    began: Instant,
    takes: Option<Duration>,
}

impl FakeGuest {
    pub(super) fn new(machine: FakeMachine, console: Console, boot_timeout: Duration) -> Self {
        let boot = Mutex::new(Boot { began: Instant::now(), takes: None });
        let (life, lost) = (watch::Sender::new(None), watch::Sender::new(None));
        let process = machine.script().process.clone();
        let guest = Self {
            machine,
            process,
            console,
            boot_timeout,
            boots: watch::Sender::new(0),
            life,
            lost,
            events: QmpEvents::default(),
            boot,
            turn: tokio::sync::Mutex::default(),
            fate: Mutex::default(),
        };
        guest.begin();
        guest
    }

    pub(super) fn end(&self, exit: Exit) {
        self.life.send_if_modified(|life| life.is_none() && life.replace(exit).is_none());
    }

    pub(super) fn lose(&self, why: &str) {
        self.lost.send_replace(Some(why.into()));
    }

    /// Reboots by itself: commands that run are lost, and it boots anew.
    pub(super) fn reboot_by_itself(&self) {
        self.begin();
        self.boots.send_modify(|boots| *boots += 1);
    }

    /// Begins to boot.
    fn begin(&self) {
        let booting = self.machine.script().booting.clone();
        let takes = match booting {
            Booting::Takes(time) => Some(time),
            Booting::Dies(after, exit) => {
                self.end_after(after, exit);
                None
            }
            Booting::Never | Booting::Unlaunched(..) => None,
        };
        *self.boot.lock().unwrap_or_else(PoisonError::into_inner) = Boot { began: Instant::now(), takes };
    }

    fn end_after(&self, time: Duration, exit: Exit) {
        let life = self.life.clone();
        let fate = tokio::spawn(async move {
            sleep(time).await;
            life.send_if_modified(|life| life.is_none() && life.replace(exit).is_none());
        });
        *self.fate.lock().unwrap_or_else(PoisonError::into_inner) = Some(AbortOnDropHandle::new(fate));
    }

    pub(super) fn error(&self, operation: &str, cause: impl Into<String>) -> MachineError {
        MachineError::new(self.machine.name(), operation, cause)
    }

    async fn answer(&self, reply: Reply, mut command: Command) -> Result<Output, MachineError> {
        let limit = command.timeout;
        if let Some(limit) = limit.filter(|limit| *limit < reply.after) {
            sleep(limit).await;
            return Ok(Output { status: 124, ..Output::default() });
        }
        if !reply.after.is_zero() {
            sleep(reply.after).await;
        }
        match reply.deed {
            Deed::End(output) => Ok(output),
            Deed::Hang => pending().await,
            Deed::Break(cause) => Err(self.error("run a command", cause)),
            Deed::Die(exit) => {
                self.end(exit);
                pending().await
            }
            Deed::Host(directory, script) => {
                let script = script.unwrap_or_else(|| std::mem::take(&mut command.script));
                host::run(&directory, Command { script, ..command })
                    .await
                    .map_err(|error| self.error("run a command", "the host's bash could not be run").source(error))
            }
        }
    }
}

#[async_trait]
impl Guest for FakeGuest {
    fn channel(&self) -> Channel {
        self.machine.script().channel
    }

    async fn ready(&self) -> Result<(), MachineError> {
        let Boot { began, takes } = *self.boot.lock().unwrap_or_else(PoisonError::into_inner);
        let until = |time: Duration| async move {
            if began.elapsed() < time {
                sleep_until(began + time).await;
            }
        };
        let booted = async {
            match takes {
                Some(time) => until(time).await,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            exit = self.exited() => Err(self.error("boot", format!("it ended: {exit:?}")).gone()),
            lost = self.lost() => Err(lost),
            () = booted => Ok(()),
            () = until(self.boot_timeout) => {
                Err(self.error("boot", "it never took commands").after(self.boot_timeout))
            }
        }
    }

    async fn lost(&self) -> MachineError {
        let mut lost = self.lost.subscribe();
        match lost.wait_for(Option::is_some).await.ok().and_then(|why| why.clone()) {
            Some(why) => self.error("boot", why),
            None => pending().await,
        }
    }

    async fn run(&self, command: Command) -> Result<Output, MachineError> {
        let mut boots = self.boots.subscribe();
        let reply = self.machine.hear(&command.script);
        let _turn = if self.channel().overlap { None } else { Some(self.turn.lock().await) };
        tokio::select! {
            biased;
            _ = self.exited() => Err(self.error("run a command", "the channel is closed")),
            lost = self.lost() => Err(lost),
            _ = boots.changed() => Err(self.error("run a command", "the channel is closed")),
            answer = self.answer(reply, command) => answer,
        }
    }

    async fn exited(&self) -> Exit {
        let mut life = self.life.subscribe();
        let exit = life.wait_for(Option::is_some).await.ok().and_then(|exit| exit.clone());
        exit.unwrap_or(Exit::Killed)
    }

    async fn stop(&self) -> Result<(), MachineError> {
        let takes = self.machine.script().power_off;
        if let Some(time) = takes {
            self.end_after(time, Exit::PoweredOff);
        }
        Ok(())
    }

    async fn reboot(&self) -> Result<(), MachineError> {
        self.begin();
        Ok(())
    }

    async fn kill(&self) -> Result<(), MachineError> {
        self.end(Exit::Killed);
        Ok(())
    }

    fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(|(_, pid)| *pid)
    }

    fn class(&self) -> Option<&str> {
        self.process.as_ref().map(|(class, _)| &**class)
    }

    fn cable(&self) -> Option<&dyn Cable> {
        if self.machine.script().cable { Some(self) } else { None }
    }

    fn terminal(&self) -> Option<&dyn Terminal> {
        if self.machine.script().devices.has_terminal { Some(self) } else { None }
    }

    fn screen(&self) -> Option<&dyn Screen> {
        if self.machine.script().devices.picture.is_some() { Some(self) } else { None }
    }

    fn keyboard(&self) -> Option<&dyn Keyboard> {
        if self.machine.script().devices.keys.is_some() { Some(self) } else { None }
    }

    fn pointer(&self) -> Option<&dyn Pointer> {
        if self.machine.script().devices.has_pointer { Some(self) } else { None }
    }

    fn monitor(&self) -> Option<&dyn Monitor> {
        if self.machine.script().devices.has_monitor { Some(self) } else { None }
    }
}

#[async_trait]
impl Cable for FakeGuest {
    async fn set(&self, attachment: usize, plugged: bool) -> Result<(), MachineError> {
        let mut script = self.machine.script();
        script.unplugged.retain(|index| *index != attachment);
        if !plugged {
            script.unplugged.push(attachment);
        }
        Ok(())
    }
}
