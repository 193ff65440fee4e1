//! What came of the cases.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
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
    /// It failed, for this reason.
    Failed(String),
    /// The backend's list says that its machines cannot do that, for this reason.
    Cannot(&'static str),
}

impl Report {
    pub(super) fn new(subject: &Subject) -> Self {
        Self { subject: subject.name, outcomes: Vec::new() }
    }

    /// Prints each case and the table of verbs to standard error; fails with all cases that failed.
    pub fn passed(&self) -> TestResult {
        let mut text = String::new();
        for outcome in &self.outcomes {
            let (subject, group, name) = (self.subject, outcome.group, outcome.name);
            let took = outcome.took.as_secs_f64();
            let _ = match &outcome.verdict {
                Verdict::Passed => writeln!(text, "conformance: {subject}: {group}::{name} ... ok ({took:.2} s)"),
                Verdict::Failed(_) => {
                    writeln!(text, "conformance: {subject}: {group}::{name} ... FAILED ({took:.2} s)")
                }
                Verdict::Cannot(reason) => {
                    writeln!(text, "conformance: {subject}: {group}::{name} ... cannot: {reason}")
                }
            };
        }
        let _ = writeln!(text, "{self}");
        // Not by `eprint`: the test harness shows what a test prints only if the test fails.
        std::io::stderr().write_all(text.as_bytes())?;
        let failures: Vec<String> = self.failures().collect();
        if failures.is_empty() { Ok(()) } else { Err(failures.join("\n").into()) }
    }

    fn failures(&self) -> impl Iterator<Item = String> {
        self.outcomes.iter().filter_map(|outcome| match &outcome.verdict {
            Verdict::Failed(why) => Some(format!("{}::{}: {why}", outcome.group, outcome.name)),
            _ => None,
        })
    }

    /// What became of each verb: a failure counts more than a pass, a pass more than what is on the list.
    fn verbs(&self) -> BTreeMap<&'static str, String> {
        let weight = |verdict: &Verdict| match verdict {
            Verdict::Failed(_) => 2,
            Verdict::Passed => 1,
            Verdict::Cannot(_) => 0,
        };
        let mut verbs: BTreeMap<&str, &Verdict> = BTreeMap::new();
        let mut cannot: BTreeMap<&str, &str> = BTreeMap::new();
        for outcome in &self.outcomes {
            for verb in outcome.verbs {
                if let Verdict::Cannot(reason) = outcome.verdict {
                    cannot.insert(verb, reason);
                }
                let entry = verbs.entry(verb).or_insert(&outcome.verdict);
                if weight(&outcome.verdict) > weight(entry) {
                    *entry = &outcome.verdict;
                }
            }
        }
        let told = |(verb, verdict): (&'static str, &Verdict)| {
            let told = match (verdict, cannot.get(verb)) {
                (Verdict::Failed(_), _) => "FAILED".to_owned(),
                (Verdict::Passed, Some(reason)) => format!("ok, as far as it can: {reason}"),
                (Verdict::Passed, None) => "ok".to_owned(),
                (Verdict::Cannot(reason), _) => format!("cannot: {reason}"),
            };
            (verb, told)
        };
        verbs.into_iter().map(told).collect()
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
