//! What came of the cases.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::time::Duration;

use super::{Group, Subject};
use crate::TestResult;

/// What came of the cases on one backend. Its display is a table of verbs.
#[derive(Debug)]
pub struct Report {
    /// The subject's name.
    pub subject: &'static str,
    /// One for each case, in the order in which they were run.
    pub outcomes: Vec<Outcome>,
}

/// What came of one case.
#[derive(Debug)]
pub struct Outcome {
    /// The case's group.
    pub group: Group,
    /// Its name.
    pub name: &'static str,
    /// The verbs that it tests.
    pub verbs: &'static [&'static str],
    /// What came of it.
    pub verdict: Verdict,
    /// How long it took.
    pub took: Duration,
}

/// What came of one case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It passed.
    Passed,
    /// What the backend's list says that its machines cannot do was refused, with this reason.
    Refused(&'static str),
    /// It failed, for this reason.
    Failed(String),
    /// The backend's list says that its machines cannot do that, for this reason.
    Cannot(&'static str),
}

impl Report {
    pub(super) fn new(subject: &Subject) -> Self {
        Self { subject: subject.name, outcomes: Vec::new() }
    }

    /// Adds what came of a case, and prints it to standard error: the test harness shows what a test prints only if the test fails.
    pub(super) fn add(&mut self, outcome: Outcome) {
        let verdict = match &outcome.verdict {
            Verdict::Passed => "ok".to_owned(),
            Verdict::Refused(reason) => format!("ok: refused, {reason}"),
            Verdict::Failed(_) => "FAILED".to_owned(),
            Verdict::Cannot(reason) => format!("cannot: {reason}"),
        };
        let (subject, group, name) = (self.subject, outcome.group, outcome.name);
        let mut line =
            format!("conformance: {subject}: {group}::{name} ... {verdict} ({:.2} s)\n", outcome.took.as_secs_f64());
        if let Verdict::Failed(why) = &outcome.verdict {
            line.extend(["  ", &why.replace('\n', "\n  "), "\n"]);
        }
        // In one piece, since others write as well.
        let _ = std::io::stderr().write_all(line.as_bytes());
        self.outcomes.push(outcome);
    }

    /// Prints the table of verbs to standard error; fails with all cases that failed.
    pub fn passed(&self) -> TestResult {
        std::io::stderr().write_all(format!("{self}\n").as_bytes())?;
        let failures: Vec<String> = self.failures().collect();
        if failures.is_empty() { Ok(()) } else { Err(failures.join("\n").into()) }
    }

    fn failures(&self) -> impl Iterator<Item = String> {
        self.outcomes.iter().filter_map(|outcome| match &outcome.verdict {
            Verdict::Failed(why) => Some(format!("{}::{}: {why}", outcome.group, outcome.name)),
            _ => None,
        })
    }

    /// What became of each verb.
    fn verbs(&self) -> BTreeMap<&'static str, String> {
        let mut verbs: BTreeMap<&str, Vec<&Verdict>> = BTreeMap::new();
        for outcome in &self.outcomes {
            for verb in outcome.verbs {
                verbs.entry(verb).or_default().push(&outcome.verdict);
            }
        }
        verbs.into_iter().map(|(verb, verdicts)| (verb, told(&verdicts))).collect()
    }
}

/// What several cases say of a verb: a failure counts more than all else.
fn told(verdicts: &[&Verdict]) -> String {
    let reason = verdicts.iter().find_map(|verdict| match verdict {
        Verdict::Refused(reason) | Verdict::Cannot(reason) => Some(*reason),
        Verdict::Passed | Verdict::Failed(_) => None,
    });
    let failed = verdicts.iter().any(|verdict| matches!(verdict, Verdict::Failed(_)));
    let passed = verdicts.contains(&&Verdict::Passed);
    let refused = verdicts.iter().any(|verdict| matches!(verdict, Verdict::Refused(_)));
    match reason {
        _ if failed => "FAILED".into(),
        None => "ok".into(),
        Some(reason) if passed => format!("ok, but not all of it: {reason}"),
        Some(reason) if refused => format!("refused: {reason}"),
        Some(reason) => format!("not asked: {reason}"),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, verb by verb:", self.subject)?;
        for (verb, told) in self.verbs() {
            writeln!(f, "  {verb:<26} {told}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_counts_more_than_all_else() {
        let failed = Verdict::Failed("why".into());
        for (verdicts, expected) in [
            (&[&Verdict::Passed][..], "ok"),
            (&[&Verdict::Passed, &failed, &Verdict::Cannot("no x")], "FAILED"),
            (&[&Verdict::Cannot("no x"), &Verdict::Passed], "ok, but not all of it: no x"),
            (&[&Verdict::Cannot("no x"), &Verdict::Refused("no x")], "refused: no x"),
            (&[&Verdict::Cannot("no x")], "not asked: no x"),
        ] {
            assert_eq!(told(verdicts), expected);
        }
    }
}
