//! Powering a VM off and rebooting it, in the way of a person at the machine: the guest is asked.

use std::sync::atomic::Ordering;
use std::time::Duration;

use driver_core::error::MachineError;
use driver_core::guest::Command;
use driver_core::life::Standing;
use tokio::time::Instant;

use crate::guest::Shared;
use crate::qmp::command::{RebootAction, SetAction, SystemPowerdown};
use crate::shell::ShellError;

/// How long a guest may take to hear a request.
const HEARING: Duration = Duration::from_secs(60);

/// What became of a request to the guest.
enum Asked {
    Heard,
    Refused(String),
    /// The shell broke before it answered.
    Unanswered(ShellError),
}

impl Shared {
    /// Asks the guest to power off: its systemd, or by the power button if it has no shell that answers.
    pub(crate) async fn power_off(&self) -> Result<(), MachineError> {
        let operation = "power off";
        match self.life.standing() {
            Standing::Ended(_) => return Err(self.life.not_there(operation)),
            Standing::Ready => match self.ask("systemctl --no-block poweroff").await {
                Asked::Heard => return Ok(()),
                Asked::Refused(why) => return Err(self.life.error(operation, why)),
                Asked::Unanswered(error) => tracing::debug!(%error, "the power button is pressed instead"),
            },
            Standing::Booting | Standing::Lost(_) => {}
        }
        match self.qmp.execute(&self.life, operation, SystemPowerdown).await {
            // It went faster than the answer came.
            Err(error) if !error.gone => Err(error),
            _ => Ok(()),
        }
    }

    /// Asks the guest's systemd to reboot. That this one reboot is no end is QEMU's to know before.
    pub(crate) async fn reboot(&self) -> Result<(), MachineError> {
        let operation = "reboot";
        if self.life.standing() != Standing::Ready {
            return Err(self.life.not_there(operation));
        }
        self.qmp.execute(&self.life, operation, SetAction { reboot: RebootAction::Reset }).await?;
        self.rebooting.store(true, Ordering::SeqCst);
        let why = match self.ask("systemctl --no-block reboot").await {
            Asked::Heard => {
                // Otherwise it has begun to boot already, which was told.
                if self.rebooting.load(Ordering::SeqCst) {
                    self.life.tell(Standing::Booting);
                    self.deadline.send_replace(Instant::now() + self.request.boot_timeout);
                }
                return Ok(());
            }
            Asked::Refused(why) => self.life.error(operation, why),
            Asked::Unanswered(error) => self.blame(operation, error).await,
        };
        self.rebooting.store(false, Ordering::SeqCst);
        self.reboots_are_its_end().await;
        Err(why)
    }

    /// Makes a reboot the machine's end again, unless the test allows it.
    pub(crate) async fn reboots_are_its_end(&self) {
        if self.request.allow_reboot {
            return;
        }
        let action = SetAction { reboot: RebootAction::Shutdown };
        if let Err(error) = self.qmp.execute(&self.life, "forbid reboots", action).await {
            tracing::debug!(%error, "the machine may reboot once more");
        }
    }

    async fn ask(&self, script: &str) -> Asked {
        // The service that it runs in may be stopped before it has answered.
        let command = Command::new(format!("trap '' TERM; {script} 2>&1")).timeout(Some(HEARING));
        let answer = tokio::select! {
            biased;
            answer = self.channel.run(command) => answer,
            // What was asked for happened before the answer came, or it cannot happen any more.
            () = self.life.over() => match self.life.standing() {
                Standing::Ended(_) => None,
                _ => Some(Err(ShellError::Closed)),
            },
        };
        match answer {
            None => Asked::Heard,
            Some(Ok(output)) if output.status == 0 => Asked::Heard,
            Some(Ok(output)) => {
                let said = output.text();
                Asked::Refused(format!("`{script}` ended with status {}: {}", output.status, said.trim()))
            }
            Some(Err(error)) => Asked::Unanswered(error),
        }
    }
}
