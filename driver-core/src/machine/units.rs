//! Units of the guest's systemd.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::boot::Boot;
use super::shell::quote;
use super::{DEFAULT_TIMEOUT, Machine};
use crate::error::Error;
use crate::guest::Output;
use crate::wait::{Found, Look};

/// How long a unit must have been inactive without a job before nothing more is expected of it. What starts units (a login, a timer,
/// another unit) may not have queued its job yet, although it is on its way.
const SETTLED: Duration = Duration::from_secs(1);

impl Machine {
    /// Runs `systemctl` with the words of `query`, as shell text; with `user`, for that user's own systemd.
    pub async fn systemctl(&self, query: &str, user: Option<&str>) -> Result<Output, Error> {
        self.execute(&systemctl(query, user), Some(DEFAULT_TIMEOUT)).await
    }

    /// Starts units, given as words; whether that went well is in the status.
    pub async fn start_job(&self, job: &str, user: Option<&str>) -> Result<Output, Error> {
        self.systemctl(&format!("start {}", words(job)), user).await
    }

    /// Stops units, given as words; whether that went well is in the status.
    pub async fn stop_job(&self, job: &str, user: Option<&str>) -> Result<Output, Error> {
        self.systemctl(&format!("stop {}", words(job)), user).await
    }

    /// All properties of a unit that have a value on one line.
    pub async fn unit_info(&self, unit: &str, user: Option<&str>) -> Result<BTreeMap<String, String>, Error> {
        let output = self.systemctl(&format!("--no-pager show -- {}", quote(unit)), user).await?;
        if output.status != 0 {
            self.needs_systemd("unit_info").await?;
            return Err(self.refused(no_info(unit, user, &output)));
        }
        let text = output.text();
        let properties = text.lines().filter_map(|line| line.split_once('='));
        Ok(properties.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// One property of a unit, whose value is on one line.
    pub async fn unit_property(&self, unit: &str, property: &str, user: Option<&str>) -> Result<String, Error> {
        let output = self.systemctl(&show(unit, property), user).await?;
        if output.status != 0 {
            self.needs_systemd("unit_property").await?;
            let whose = under(user);
            let status = output.status;
            let message = format!(
                "retrieving systemctl property \"{property}\" for unit \"{unit}\"{whose} failed with exit code {status}"
            );
            return Err(self.refused(message));
        }
        value(&output, property)
            .ok_or_else(|| self.refused(format!("unit \"{unit}\" has no property \"{property}\" with one value")))
    }

    /// Checks that a unit is in a state such as `active` right now.
    pub async fn require_unit_state(&self, unit: &str, state: &str) -> Result<(), Error> {
        let step = self.step(format!("checking if unit '{unit}' has reached state '{state}'"), |machine| async move {
            let boot = machine.connect().await?;
            let found = match machine.unit_state(&boot, unit, None, DEFAULT_TIMEOUT).await? {
                Ok(found) => found,
                Err(message) => {
                    machine.needs_systemd("require_unit_state").await?;
                    return Err(machine.refused(message));
                }
            };
            if found == state {
                return Ok(());
            }
            Err(machine
                .refused(format!("Expected unit '{unit}' to to be in state '{state}' but it is in state '{found}'")))
        });
        step.await
    }

    /// Waits until a unit is active. Fails at once when it has failed, and after a second when it is inactive and no jobs are queued.
    pub async fn wait_for_unit(&self, unit: &str, user: Option<&str>, timeout: Duration) -> Result<(), Error> {
        let mut what = format!("waiting for unit {unit}");
        if let Some(user) = user {
            what.push_str(" with user ");
            what.push_str(user);
        }
        let what = &*what;
        let step = self.step(what, |machine| async move {
            let machine = &machine;
            let boot = &machine.connect().await?;
            let hopeless_since = &Mutex::new(None);
            let look = |look: Look| async move {
                let hope = machine.look_at_unit(boot, unit, user, look.limit).await?;
                let mut since = hopeless_since.lock().unwrap_or_else(PoisonError::into_inner);
                match hope {
                    Hope::Fulfilled => Ok(Found::Holds(())),
                    Hope::Failed(message) => Err(machine.refused(message)),
                    Hope::Some(state) => {
                        *since = None;
                        Ok(Found::Instead(format!("state {state}")))
                    }
                    Hope::None(message) => {
                        let began: Instant = *since.get_or_insert_with(Instant::now);
                        if began.elapsed() >= SETTLED {
                            Err(machine.refused(message))
                        } else {
                            Ok(Found::Instead(message))
                        }
                    }
                }
            };
            machine.watch(boot, what, timeout, look).await
        });
        step.await
    }

    /// Refuses a verb about units in a machine that has none, which is told as `sd_booted(3)` does.
    async fn needs_systemd(&self, verb: &str) -> Result<(), Error> {
        let boot = self.connect().await?;
        match self.quietly(&boot, "[[ -d /run/systemd/system ]]", DEFAULT_TIMEOUT).await?.status {
            1 => Err(self.cannot(verb, "there is no systemd in it, so it has no units")),
            _ => Ok(()),
        }
    }

    async fn look_at_unit(&self, boot: &Boot, unit: &str, user: Option<&str>, limit: Duration) -> Result<Hope, Error> {
        let state = match self.unit_state(boot, unit, user, limit).await? {
            Ok(state) => state,
            // A manager that is about to start, or executes itself anew, does not answer for a moment.
            Err(message) => {
                self.needs_systemd("wait_for_unit").await?;
                return Ok(Hope::None(message));
            }
        };
        Ok(match &*state {
            "active" => Hope::Fulfilled,
            "failed" => Hope::Failed(format!("unit \"{unit}\" reached state \"failed\"")),
            "inactive" if self.no_jobs(boot, user, limit).await? => {
                Hope::None(format!("unit \"{unit}\" is inactive and there are no pending jobs"))
            }
            _ => Hope::Some(state),
        })
    }

    /// A unit's `ActiveState`, or why it cannot be told.
    async fn unit_state(
        &self,
        boot: &Boot,
        unit: &str,
        user: Option<&str>,
        limit: Duration,
    ) -> Result<Result<String, String>, Error> {
        let output = self.quietly(boot, &systemctl(&show(unit, "ActiveState"), user), limit).await?;
        Ok(match value(&output, "ActiveState") {
            Some(state) if output.status == 0 => Ok(state),
            _ => Err(no_info(unit, user, &output)),
        })
    }

    async fn no_jobs(&self, boot: &Boot, user: Option<&str>, limit: Duration) -> Result<bool, Error> {
        let output = self.quietly(boot, &systemctl("--no-pager list-jobs --full", user), limit).await?;
        Ok(output.text().contains("No jobs"))
    }
}

/// What there is to hope for a unit that should become active.
enum Hope {
    Fulfilled,
    /// It is in this state.
    Some(String),
    /// Nothing that is known would make it active.
    None(String),
    Failed(String),
}

fn systemctl(query: &str, user: Option<&str>) -> String {
    let Some(user) = user else { return format!("systemctl {query}") };
    let script = format!("XDG_RUNTIME_DIR=/run/user/`id -u` systemctl --user {query}");
    format!("su -l {} --shell /bin/sh -c {}", quote(user), quote(&script))
}

fn show(unit: &str, property: &str) -> String {
    format!("--no-pager show --property={} -- {}", quote(property), quote(unit))
}

/// Quotes each word, since unit names have backslashes.
fn words(text: &str) -> String {
    text.split_whitespace().map(quote).collect::<Vec<_>>().join(" ")
}

/// The value in the one line `property=value`.
fn value(output: &Output, property: &str) -> Option<String> {
    let text = output.text();
    let mut lines = text.lines();
    let value = lines.next()?.strip_prefix(property)?.strip_prefix('=')?;
    lines.next().is_none().then(|| value.to_owned())
}

fn no_info(unit: &str, user: Option<&str>, output: &Output) -> String {
    let under = under(user);
    format!("retrieving systemctl info for unit \"{unit}\"{under} failed with exit code {}", output.status)
}

fn under(user: Option<&str>) -> String {
    user.map(|user| format!(" under user \"{user}\"")).unwrap_or_default()
}
