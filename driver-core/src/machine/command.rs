//! Running commands.

use std::time::Duration;

use tokio::time::Instant;

use super::boot::Boot;
use super::shell::strict;
use super::{GRACE, Machine};
use crate::error::Error;
use crate::event::{Kind, Level};
use crate::guest::{Command, Output};
use crate::wait::{Found, Look};

impl Machine {
    /// Runs a command under `set -euo pipefail`, whatever its status. `timeout` ends it in the guest, with status 124; `None` sets no
    /// deadline but that of the run.
    pub async fn execute(&self, command: &str, timeout: Option<Duration>) -> Result<Output, Error> {
        let boot = self.connect().await?;
        let (output, elapsed) = self.timed(&boot, command, timeout).await?;
        self.record(command, &output, elapsed);
        Ok(output)
    }

    /// Runs a command that must succeed and returns its standard output.
    pub async fn succeed(&self, command: &str, timeout: Option<Duration>) -> Result<String, Error> {
        let step = self.step(format!("must succeed: {command}"), |machine| async move {
            let output = machine.execute(command, timeout).await?;
            if output.status == 0 {
                return Ok(output.text());
            }
            machine.show(&output);
            Err(machine.refused(format!("command `{command}` failed (exit code {})", output.status)))
        });
        step.await
    }

    /// Runs a command that must fail and returns its standard output.
    pub async fn fail(&self, command: &str, timeout: Option<Duration>) -> Result<String, Error> {
        let step = self.step(format!("must fail: {command}"), |machine| async move {
            let output = machine.execute(command, timeout).await?;
            if output.status != 0 {
                return Ok(output.text());
            }
            machine.show(&output);
            Err(machine.refused(format!("command `{command}` unexpectedly succeeded")))
        });
        step.await
    }

    /// Runs a command again and again until it succeeds; returns its last output. No try outlives the timeout by more than a second.
    pub async fn wait_until_succeeds(&self, command: &str, timeout: Duration) -> Result<String, Error> {
        let title = format!("waiting for success: {command}");
        self.step(&*title, |machine| machine.try_until(&title, command, timeout, |status| status == 0)).await
    }

    /// Runs a command again and again until it fails; returns its last output. No try outlives the timeout by more than a second.
    pub async fn wait_until_fails(&self, command: &str, timeout: Duration) -> Result<String, Error> {
        let title = format!("waiting for failure: {command}");
        self.step(&*title, |machine| machine.try_until(&title, command, timeout, |status| status != 0)).await
    }

    /// Lets time pass in the guest, by its clock.
    pub async fn sleep(&self, duration: Duration) -> Result<(), Error> {
        let command = format!("sleep {:?}", duration.as_secs_f64());
        self.succeed(&command, Some(duration.saturating_add(GRACE))).await.map(drop)
    }

    async fn try_until(
        self,
        what: &str,
        command: &str,
        timeout: Duration,
        wanted: fn(i32) -> bool,
    ) -> Result<String, Error> {
        let machine = &self;
        let boot = &machine.connect().await?;
        let look = |look: Look| async move {
            let (output, elapsed) = machine.timed(boot, command, Some(look.limit)).await?;
            // What the wait's own deadline cuts off has neither succeeded nor failed.
            let cut_off = output.status == 124 && elapsed >= look.limit;
            let holds = !cut_off && wanted(output.status);
            // Only the try that decides is of interest; the others would fill the record.
            if holds || look.last {
                machine.record(command, &output, elapsed);
            }
            if holds {
                return Ok(Found::Holds(output.text()));
            }
            if look.last {
                machine.show(&output);
            }
            Ok(Found::Instead(format!("exit code {}", output.status)))
        };
        machine.watch(boot, what, timeout, look).await
    }

    /// Runs a command that is the machine's own business, unrecorded.
    pub(super) async fn quietly(&self, boot: &Boot, command: &str, timeout: Duration) -> Result<Output, Error> {
        Ok(self.timed(boot, command, Some(timeout)).await?.0)
    }

    async fn timed(&self, boot: &Boot, command: &str, timeout: Option<Duration>) -> Result<(Output, Duration), Error> {
        self.ready(boot).await?;
        let began = Instant::now();
        let output = boot.run("run a command", Command::new(strict(command)).timeout(timeout)).await?;
        Ok((output, began.elapsed()))
    }

    fn record(&self, command: &str, output: &Output, elapsed: Duration) {
        self.recorder.record(Kind::Command {
            command: command.into(),
            status: output.status,
            elapsed: elapsed.as_secs_f64(),
            stdout: output.text(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        });
    }

    /// Logs what a command that ended in the wrong way has said.
    pub(super) fn show(&self, output: &Output) {
        self.recorder.message(Level::Info, format!("output: {}", output.text()));
        if !output.stderr.is_empty() {
            let stderr = String::from_utf8_lossy(&output.stderr);
            self.recorder.message(Level::Info, format!("error output: {stderr}"));
        }
    }
}
