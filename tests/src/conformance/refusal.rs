//! What a backend's list says that machines cannot do must be refused, with the reason of the list.

use std::fmt::Display;
use std::time::Duration;

use driver_core::guest::Button;
use driver_core::machine::Machine;
use serde_json::Value;

use super::{Cannot, Power, SOON, Stage};
use crate::TestResult;
use crate::terminal::pseudo_terminal;

/// For each power with verbs of its own: what the check is called, and the verbs.
pub(super) const ALL: &[(Power, &str, &[&str])] = &[
    (Power::Cable, "plugs_that_cannot_be_pulled_are_refused", &["block", "unblock"]),
    (Power::Reboot, "a_reboot_is_refused", &["reboot"]),
    (
        Power::Units,
        "units_are_refused",
        &["systemctl", "start_job", "stop_job", "unit_info", "unit_property", "require_unit_state", "wait_for_unit"],
    ),
    (Power::Terminal, "typing_into_the_console_is_refused", &["send_console"]),
    (Power::Overlap, "a_shell_for_a_person_is_refused", &["shell"]),
    (Power::Screen, "screenshots_are_refused", &["screenshot"]),
    (Power::ScreenText, "reading_the_screen_is_refused", &["screen_text", "screen_text_variants", "wait_for_text"]),
    (Power::Keyboard, "keys_are_refused", &["send_key", "send_chars"]),
    (Power::Pointer, "pointing_is_refused", &["move_pointer", "click", "press_button", "release_button"]),
    (Power::Monitor, "the_monitor_is_refused", &["monitor_command"]),
    (Power::Qmp, "qmp_is_refused", &["qmp", "qmp_events", "wait_for_qmp_event"]),
];

/// The name of the check that a power is refused, and its verbs; none for powers without verbs.
pub(super) fn of(power: Power) -> Option<(&'static str, &'static [&'static str])> {
    ALL.iter().find(|(known, ..)| *known == power).map(|(_, name, verbs)| (*name, *verbs))
}

/// Checks that every verb which needs this power is refused.
pub(super) async fn check(stage: &Stage, cannot: Cannot) -> TestResult {
    let machine = stage.up().await?;
    let verdict = Refusals { machine, reason: cannot.reason };
    match cannot.power {
        Power::Cable => {
            verdict.of("block", machine.block().await)?;
            verdict.of("unblock", machine.unblock().await)
        }
        Power::Reboot => verdict.of("reboot", machine.reboot().await),
        Power::Units => units(machine, &verdict).await,
        Power::Terminal => verdict.of("send_console", machine.send_console(b"\n").await),
        Power::Screen => verdict.of("screenshot", machine.screenshot("refused").await),
        Power::ScreenText => {
            verdict.of("screen_text", machine.screen_text().await)?;
            verdict.of("screen_text_variants", machine.screen_text_variants().await.map(drop))?;
            verdict.of("wait_for_text", machine.wait_for_text("x", SOON).await)
        }
        Power::Keyboard => {
            verdict.of("send_key", machine.send_key("a", Duration::ZERO).await)?;
            verdict.of("send_chars", machine.send_chars("a", Duration::ZERO).await)
        }
        Power::Pointer => {
            verdict.of("move_pointer", machine.move_pointer(0.5, 0.5).await)?;
            verdict.of("click", machine.click(Button::Left).await)?;
            verdict.of("press_button", machine.press_button(Button::Left).await)?;
            verdict.of("release_button", machine.release_button(Button::Left).await)
        }
        Power::Monitor => verdict.of("monitor_command", machine.monitor_command("info status").await),
        Power::Qmp => {
            verdict.of("qmp", machine.qmp("query-status", Value::Null).await)?;
            verdict.of("qmp_events", machine.qmp_events().await)?;
            verdict.of("wait_for_qmp_event", machine.wait_for_qmp_event(|_| true, SOON).await)
        }
        Power::Overlap => {
            let (_master, terminal) = pseudo_terminal()?;
            verdict.of("shell", machine.shell(terminal, "dumb").await)
        }
        // No verb is about these.
        Power::StderrApart | Power::Files | Power::Profile | Power::Console | Power::Lan => Ok(()),
    }
}

async fn units(machine: &Machine, verdict: &Refusals<'_>) -> TestResult {
    const UNIT: &str = "no-such.service";
    // These report by the status and the output of systemctl itself.
    for output in [
        machine.systemctl("--no-pager list-units", None).await?,
        machine.start_job(UNIT, None).await?,
        machine.stop_job(UNIT, None).await?,
    ] {
        assert_ne!(output.status, 0, "{output:?}");
    }
    verdict.of("unit_info", machine.unit_info(UNIT, None).await)?;
    verdict.of("unit_property", machine.unit_property(UNIT, "ActiveState", None).await)?;
    verdict.of("require_unit_state", machine.require_unit_state(UNIT, "active").await)?;
    verdict.of("wait_for_unit", machine.wait_for_unit(UNIT, None, SOON).await)
}

/// What each refusal must say.
struct Refusals<'a> {
    machine: &'a Machine,
    reason: &'a str,
}

impl Refusals<'_> {
    fn of<T, E: Display>(&self, verb: &str, result: Result<T, E>) -> TestResult {
        let Err(error) = result else {
            return Err(format!("{verb} works, although the list says that it cannot: {}", self.reason).into());
        };
        let text = error.to_string();
        for part in [verb, self.machine.name(), self.reason] {
            if !text.contains(part) {
                return Err(format!("{verb} is refused without saying `{part}`: {text}").into());
            }
        }
        Ok(())
    }
}
