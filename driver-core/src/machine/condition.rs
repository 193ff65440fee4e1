//! Waits for what the guest's bash can see by builtins.

use std::future::Future;
use std::io::pipe;
use std::time::Duration;

use super::Machine;
use super::boot::Boot;
use super::shell::{Looks, NOT_YET, until_holds};
use crate::error::{Error, MachineError};
use crate::guest::Command;
use crate::wait::{Found, Look, Wait};

/// Something to wait for in a guest.
pub(super) struct Condition {
    /// What the wait is called, such as `waiting for file '/x'`.
    pub(super) what: String,
    /// Bash code that defines the function `holds`.
    pub(super) functions: String,
    /// What is the case while it does not hold.
    pub(super) otherwise: String,
    /// What a look may cost.
    pub(super) looks: Cost,
}

/// What a look may cost.
#[derive(Clone, Copy)]
pub(super) enum Cost {
    /// Next to nothing: the guest can look a hundred times a second.
    Little,
    /// It may block for so long, and if it does so to the end, that means that the condition holds or not.
    Blocks { limit: Duration, holds: bool },
}

impl Machine {
    pub(super) async fn wait_for(&self, condition: &Condition, timeout: Duration) -> Result<(), Error> {
        let what = &*condition.what;
        let step = self.step(what, |machine| async move {
            let boot = &machine.connect().await?;
            machine.watch(boot, what, timeout, |look| machine.look(boot, condition, look)).await
        });
        step.await
    }

    /// Looks by commands until a condition holds. It goes on over a reboot of the machine, and ends at once when the machine is gone or lost.
    pub(super) async fn watch<T, F>(
        &self,
        boot: &Boot,
        what: &str,
        timeout: Duration,
        mut look: impl FnMut(Look) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<Found<T>, Error>>,
    {
        let wait = Wait::new(self.name(), what, timeout);
        let gone = async { boot.over(what).await.into() };
        let patient = |moment: Look| {
            let looked = look(moment);
            async move {
                if boot.is_booting() {
                    // If it takes commands in time, the next look shows more. Otherwise the wait says why.
                    let _ = tokio::time::timeout(moment.limit, boot.guest.ready()).await;
                    return Ok(Found::Instead("it is booting".into()));
                }
                match looked.await {
                    Err(_) if boot.is_booting() => Ok(Found::Instead("it is rebooting".into())),
                    found => found,
                }
            }
        };
        wait.until(gone, patient).await
    }

    async fn look(&self, boot: &Boot, condition: &Condition, look: Look) -> Result<Found<()>, Error> {
        let (looks, limit) = match condition.looks {
            Cost::Little if look.last => (Looks::Once, look.limit),
            Cost::Little if boot.guest.channel().overlap => (Looks::Endless, look.limit),
            // Other commands get in between slices.
            Cost::Little => (Looks::Slice, look.limit),
            Cost::Blocks { limit, .. } => (Looks::Once, look.limit.min(limit)),
        };
        let mut command = Command::new(until_holds(&condition.functions, looks)).timeout(Some(limit));
        // The loop ends by itself when this end is closed, also because the wait was cancelled.
        let _other_end = if looks == Looks::Endless {
            let (reader, writer) = pipe().map_err(|error| {
                MachineError::new(self.name(), &*condition.what, "no pipe could be made").source(error)
            })?;
            command.stdin = Some(reader.into());
            Some(writer)
        } else {
            None
        };
        let output = boot.run(&condition.what, command).await?;
        match (output.status, condition.looks) {
            (0, _) => Ok(Found::Holds(())),
            (124, Cost::Blocks { limit: whole, holds: true }) if limit == whole => Ok(Found::Holds(())),
            (124 | NOT_YET, _) => Ok(Found::Instead(condition.otherwise.clone())),
            (status, _) => {
                if status > 128
                    && let Some(error) = boot.ending(&condition.what).await
                {
                    return Err(error.into());
                }
                let said = String::from_utf8_lossy(&output.stderr);
                let message = format!("{}: looking failed with exit code {status}: {}", condition.what, said.trim());
                Err(self.refused(message))
            }
        }
    }
}
