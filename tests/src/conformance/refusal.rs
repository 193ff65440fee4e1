//! What a backend's list says that machines cannot do must be refused, with the reason of the list.

use std::fmt::Display;

use driver_core::machine::Machine;

use super::{Cannot, Power, SOON, Stage};
use crate::TestResult;

/// For each power with verbs of its own: what the check is called, and the verbs.
pub(super) const ALL: &[(Power, &str, &[&str])] = &[
    (Power::Cable, "plugs_that_cannot_be_pulled_are_refused", &["block", "unblock"]),
    (Power::Reboot, "a_reboot_is_refused", &["reboot"]),
    (
        Power::Units,
        "units_are_refused",
        &["systemctl", "start_job", "stop_job", "unit_info", "unit_property", "require_unit_state", "wait_for_unit"],
    ),
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
        _ => Ok(()),
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
