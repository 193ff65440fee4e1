//! What events say in words, for each sink that writes text.

use std::borrow::Cow;

use crate::event::MachineState;
use crate::spec::VlanId;

/// As the NixOS test driver names subtests.
pub(super) fn subtest_title(title: &str, subtest: bool) -> Cow<'_, str> {
    if subtest { format!("subtest: {title}").into() } else { title.into() }
}

/// The last line of a step.
pub(super) fn end(title: &str, elapsed: f64, failure: Option<&str>) -> String {
    match failure {
        None => format!("(finished: {title}, in {elapsed:.2} seconds)"),
        Some("") => format!("(failed: {title}, after {elapsed:.2} seconds)"),
        Some(why) => format!("(failed: {title}, after {elapsed:.2} seconds: {why})"),
    }
}

/// A machine's new state.
pub(super) fn state(state: MachineState, detail: &str) -> String {
    let name = match state {
        MachineState::Starting => "starting",
        MachineState::Ready => "ready",
        MachineState::Stopping => "stopping",
        MachineState::Stopped => "stopped",
    };
    if detail.is_empty() { name.into() } else { format!("{name}: {detail}") }
}

/// A change of a LAN, or of the machine's link to it.
pub(super) fn network(machine: Option<&str>, vlan: VlanId, change: &str) -> String {
    let link = if machine.is_some() { "link to " } else { "" };
    format!("{link}vlan {vlan}: {change}")
}

/// The lines of a journal's entry.
pub(super) fn journal(message: &str, unit: Option<&str>) -> impl Iterator<Item = String> {
    let unit = unit.map(|unit| format!("{unit}: ")).unwrap_or_default();
    message.lines().map(move |line| format!("{unit}{line}"))
}

/// The lines of a text, one at least.
pub(super) fn non_empty(text: &str) -> impl Iterator<Item = &str> {
    let empty = text.is_empty().then_some("");
    empty.into_iter().chain(text.lines())
}
