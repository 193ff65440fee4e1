//! How an error that ends a test is told.

use std::error::Error as StdError;

use driver_core::event::{Kind, Outcome, Recorder};
use driver_core::{Error, MachineError};

/// Records why a test ended and returns what that makes of it.
pub(crate) fn record(recorder: &Recorder, error: &Error) -> Outcome {
    recorder.record(Kind::Failure { report: report(error) });
    match error {
        Error::Refused { .. } => Outcome::Failed,
        Error::Interrupted => Outcome::Interrupted,
        Error::GlobalTimeout(_) => Outcome::TimedOut,
        _ => Outcome::Broken,
    }
}

/// The error, what is below it and, for a machine, its last lines.
pub(crate) fn report(error: &Error) -> String {
    let mut report = with_causes(error);
    if let Error::Machine(machine) = error {
        report.push_str(&last_lines(machine));
    }
    report
}

/// The error's text and that of every error below it that adds something.
pub(crate) fn with_causes(error: &(dyn StdError + 'static)) -> String {
    let below = std::iter::successors(error.source(), |error| (*error).source());
    let mut text = error.to_string();
    for cause in below.map(ToString::to_string) {
        if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

fn last_lines(error: &MachineError) -> String {
    if error.last_seen.is_empty() {
        return String::new();
    }
    format!("\nthe last lines of {}:\n  {}", error.machine, error.last_seen.join("\n  "))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_dead_machine_is_told_with_its_causes_and_last_lines() {
        let error = MachineError::new("server", "boot", "the container died")
            .after(Duration::from_millis(250))
            .cure("look at its console")
            .last_seen(vec!["Welcome".into(), "Kernel panic".into()])
            .source(std::io::Error::other("exit status 1"));
        let expected = "machine server: boot (after 0.25 s): the container died; look at its console: exit status 1\n\
                        the last lines of server:\n  Welcome\n  Kernel panic";
        assert_eq!(report(&Error::Machine(error)), expected);
    }

    #[test]
    fn whose_fault_it_is_decides_the_outcome() {
        let recorder = Recorder::new(Vec::new());
        let refused = Error::Refused { machine: "a".into(), message: "no".into() };
        assert_eq!(record(&recorder, &refused), Outcome::Failed);
        assert_eq!(record(&recorder, &Error::Machine(MachineError::new("a", "boot", "dead"))), Outcome::Broken);
        assert_eq!(record(&recorder, &Error::GlobalTimeout(Duration::from_secs(1))), Outcome::TimedOut);
    }
}
