//! What a host must have: each need with what it is for, what was found, and the cure.
//!
//! Whoever needs something says so in one place. `tandem doctor` shows all of it; what is [missing](Verdict::Missing) is a [`Problem`] that
//! keeps tests from starting. So both say the same.

mod cure;
mod ids;
mod kernel;
pub mod nix;
mod place;
mod program;

use serde::Serialize;

use crate::spec::Problem;

pub use cure::{Cure, Lines, Where};
pub use ids::{ids, root};
pub use kernel::{file_system, namespaces};
pub use place::Place;
pub use program::{Ask, find, program};

/// The group of what every test needs.
pub const EVERY_TEST: &str = "every test";

/// One thing that is needed of the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Need {
    /// Who needs it: [`EVERY_TEST`], or such as `containers`.
    pub group: String,
    /// What it is, in a word or two; unique in its group.
    pub name: String,
    /// What it is for.
    pub purpose: String,
    /// What was found, or what is wrong.
    pub found: String,
    /// What that means.
    pub verdict: Verdict,
    /// What to do, unless all is well.
    pub cure: Cure,
    /// What can be asked to know more than was found so far.
    #[serde(skip)]
    pub ask: Option<Ask>,
}

/// What it means that something was found, or was not; from the best to the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It is there.
    Ok,
    /// It is not needed here: nothing is lost.
    Unused,
    /// Tests run, but with less, which is told.
    Limited,
    /// Tests that need it cannot run.
    Missing,
}

impl Need {
    /// Something that is there.
    pub fn ok(group: &str, name: &str, purpose: &str, found: impl Into<String>) -> Self {
        Self::new(group, name, purpose, found.into(), Verdict::Ok, Cure::default())
    }

    /// Something that nobody asks for here.
    pub fn unused(group: &str, name: &str, purpose: &str, found: impl Into<String>) -> Self {
        Self::new(group, name, purpose, found.into(), Verdict::Unused, Cure::default())
    }

    /// Something without which less is possible.
    pub fn limited(group: &str, name: &str, purpose: &str, found: impl Into<String>, cure: Cure) -> Self {
        Self::new(group, name, purpose, found.into(), Verdict::Limited, cure)
    }

    /// Something without which nothing of the group is possible.
    pub fn missing(group: &str, name: &str, purpose: &str, found: impl Into<String>, cure: Cure) -> Self {
        Self::new(group, name, purpose, found.into(), Verdict::Missing, cure)
    }

    /// What a problem of the host says, as a need that is missing.
    pub fn of_problem(group: &str, purpose: &str, problem: Problem) -> Self {
        Self::missing(group, &problem.subject, purpose, problem.message, Cure::new(problem.cure))
    }

    fn new(group: &str, name: &str, purpose: &str, found: String, verdict: Verdict, cure: Cure) -> Self {
        Self { group: group.into(), name: name.into(), purpose: purpose.into(), found, verdict, cure, ask: None }
    }

    /// Whether tests that need it cannot run.
    pub fn is_missing(&self) -> bool {
        self.verdict == Verdict::Missing
    }

    /// The same, but if it is missing, tests run with less, which `found` tells.
    #[must_use]
    pub fn or_limited(self, found: &str) -> Self {
        if self.is_missing() { Self { verdict: Verdict::Limited, found: found.into(), ..self } } else { self }
    }

    /// What keeps tests from starting, if it is missing.
    pub fn problem(&self) -> Option<Problem> {
        let subject = format!("{}: {}", self.group, self.name);
        self.is_missing().then(|| Problem::host(subject, self.found.as_str(), self.cure.to_string()))
    }
}

/// What keeps tests from starting, of all these needs.
pub fn problems(needs: &[Need]) -> Vec<Problem> {
    needs.iter().filter_map(Need::problem).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_missing_is_a_problem_and_has_the_same_words() {
        let cure = Cure::new("install it").line(Where::NixOs, "environment.systemPackages = [ pkgs.qemu ];");
        let needs = [
            Need::ok("VMs", "QEMU", "to run", "QEMU 9"),
            Need::unused("VMs", "cards", "to play", "none"),
            Need::limited("VMs", "KVM", "to be fast", "none", Cure::default()),
            Need::missing("VMs", "QEMU", "to run", "it is not on the PATH", cure),
        ];
        let problems = problems(&needs);
        assert_eq!(problems.len(), 1);
        let told =
            "VMs: QEMU: it is not on the PATH; install it\n  NixOS   environment.systemPackages = [ pkgs.qemu ];";
        assert_eq!(problems[0].to_string(), told);
    }

    #[test]
    fn a_need_is_written_with_all_its_fields() {
        let need = Need::missing("VMs", "QEMU", "to run", "none", Cure::new("install it").line(Where::Debian, "apt"));
        let written = serde_json::to_value(&need).unwrap();
        let expected = serde_json::json!({
            "group": "VMs", "name": "QEMU", "purpose": "to run", "found": "none", "verdict": "missing",
            "cure": {"advice": "install it", "lines": [{"where": "debian", "lines": ["apt"]}]},
        });
        assert_eq!(written, expected);
    }
}
