//! The power verbs: start, shutdown, crash, reboot, and the network plug.

use std::time::Duration;

use tokio::time::timeout;

use super::boot::{Boot, LAST_LINES};
use super::start::Again;
use super::{GRACE, Machine};
use crate::error::{Error, MachineError};
use crate::event::{Level, MachineState};
use crate::guest::Exit;
use crate::wait::Wait;

/// Why a verb of the network is refused on a machine that has none.
pub(super) const NO_NETWORK: &str = "it has no network interface; give it one with the key `vlans`";

/// How long a machine that took its last command may still take to power off.
const LAST_BREATH: Duration = GRACE;

impl Machine {
    /// Starts the machine: launches it and, if its kind boots as part of a start ([`Guest::ready_on_start`](crate::guest::Guest)), waits
    /// until it takes commands. Does nothing if it runs.
    ///
    /// Callers at the same time share one start, which goes on when they are cancelled.
    pub async fn start(&self) -> Result<(), Error> {
        self.start_with(false).await
    }

    /// The same, for a machine that may reboot by itself: it then stays up, and verbs wait until it has booted again. Otherwise its reboot
    /// ends it as a power off does.
    pub async fn start_allowing_reboot(&self) -> Result<(), Error> {
        self.start_with(true).await
    }

    async fn start_with(&self, allow_reboot: bool) -> Result<(), Error> {
        let boot = self.launched_with(Again::EvenAfterDeath, allow_reboot).await?;
        if boot.guest.ready_on_start() { self.ready(&boot).await } else { Ok(()) }
    }

    /// Powers the machine off and waits until it is gone. Does nothing if it is not running.
    pub async fn shutdown(&self) -> Result<(), Error> {
        let Some(boot) = self.running().await else {
            return match self.forget_the_dead() {
                // That a machine died must not go unsaid.
                Some((boot, exit @ Exit::Died(_))) => Err(boot.death("shutdown", &exit).into()),
                _ => Ok(()),
            };
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
            let lost = async {
                let lost = boot.over("shutdown").await;
                // What takes commands ends before the machine does.
                tokio::time::sleep(LAST_BREATH).await;
                lost
            };
            tokio::select! {
                biased;
                _ = boot.ended() => Ok(boot.clone()),
                lost = lost => Err(lost.into()),
                () = tokio::time::sleep(wait.remaining()) => Err(MachineError::new(machine.name(), "shutdown", "it did not power off")
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
            self.forget_the_dead();
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

    /// Ends the machine as a power cut would, if it runs, and waits until it is gone. It may be started again.
    pub async fn end(&self) -> Result<(), Error> {
        if let Some(boot) = self.running().await {
            self.say_killed(&boot);
            self.kill(&boot).await?;
            self.settle(&boot);
        }
        Ok(())
    }

    /// Ends the machine for good: cancels a start, kills what runs, and lets nothing start it again. For the end of a run.
    pub async fn release(&self) -> Result<(), Error> {
        let running = self.give_up().await;
        self.end_forwards();
        self.close_ssh();
        match running {
            Some(boot) if boot.exit().is_none() => {
                self.say_killed(&boot);
                self.kill(&boot).await
            }
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
            return Err(self.cannot(verb, NO_NETWORK));
        }
        let boot = self.launched(Again::NotAfterDeath).await?;
        let Some(cable) = boot.guest.cable() else {
            return Err(self.lacks(verb, "network plugs that can be pulled"));
        };
        Ok(boot.race(verb, Some(Duration::ZERO), cable.set(0, plugged)).await?)
    }

    /// Says which process is about to be killed, in upstream's words.
    fn say_killed(&self, boot: &Boot) {
        if let (Some(class), Some(pid)) = (boot.guest.class(), boot.guest.pid()) {
            self.recorder.message(Level::Info, format!("kill {class} (pid {pid})"));
        }
    }

    async fn kill(&self, boot: &Boot) -> Result<(), Error> {
        let limit = boot.guest.end_limit();
        match boot.race("kill it", Some(limit), boot.guest.kill()).await {
            Err(error) if !error.gone => return Err(error.into()),
            _ => {}
        }
        match timeout(GRACE, boot.ended()).await {
            Ok(_) => Ok(()),
            Err(_) => Err(MachineError::new(self.name(), "kill it", "it is still there").after(GRACE).into()),
        }
    }

    fn power_off_title(&self) -> String {
        format!("waiting for the {} to power off", self.kind())
    }
}
