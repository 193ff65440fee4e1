//! How problems are shown: grouped by what they are about, one a line, all of them at once.

use std::fmt::{self, Display};

use driver_core::spec::{Problem, Whose};

use crate::exit::Status;

/// All that keeps a command from doing its work.
#[derive(Debug, Default)]
pub(crate) struct Report {
    groups: Vec<(String, Vec<Problem>)>,
}

impl Report {
    /// Adds problems of a test file, of the command line or of the host. The same problem is told once in a group.
    pub(crate) fn add(&mut self, about: impl Display, problems: impl IntoIterator<Item = Problem>) {
        for problem in problems {
            let about = about.to_string();
            let index = self.groups.iter().position(|(name, _)| *name == about).unwrap_or_else(|| {
                self.groups.push((about, Vec::new()));
                self.groups.len() - 1
            });
            let group = &mut self.groups[index].1;
            if !group.contains(&problem) {
                group.push(problem);
            }
        }
    }

    /// What it makes of the program's exit status.
    pub(crate) fn status(&self) -> Status {
        Status::of_problems(self.problems())
    }

    /// Only those that are theirs to mend.
    pub(crate) fn only(mut self, whose: Whose) -> Self {
        for (_, problems) in &mut self.groups {
            problems.retain(|problem| problem.whose == whose);
        }
        self.groups.retain(|(_, problems)| !problems.is_empty());
        self
    }

    /// The problems of a test file, of the command line or of the host.
    pub(crate) fn problems_of(&self, about: &str) -> &[Problem] {
        self.groups.iter().find(|(name, _)| name == about).map_or(&[], |(_, problems)| problems)
    }

    /// Whether nothing is wrong.
    pub(crate) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    fn problems(&self) -> impl Iterator<Item = &Problem> {
        self.groups.iter().flat_map(|(_, problems)| problems)
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (about, problems) in &self.groups {
            writeln!(f, "{about}:")?;
            for problem in problems {
                let text = problem.to_string();
                let mut lines = text.lines();
                writeln!(f, "  {}", lines.next().unwrap_or_default())?;
                for line in lines {
                    writeln!(f, "    {line}")?;
                }
            }
        }
        match self.problems().count() {
            1 => writeln!(f, "1 problem, nothing was started"),
            count => writeln!(f, "{count} problems, nothing was started"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_grouped_and_told_once() {
        let mut report = Report::default();
        report.add("a.py", [Problem::user("key `x`", "unknown", "did you mean `y`?")]);
        report.add("this host", [Problem::host("container", "not root", "run it as root")]);
        report.add("a.py", [Problem::user("", "line 3: bad syntax\nif True", "")]);
        report.add("this host", [Problem::host("container", "not root", "run it as root")]);
        report.add("b.py", []);

        let expected = "\
a.py:
  key `x`: unknown; did you mean `y`?
  line 3: bad syntax
    if True
this host:
  container: not root; run it as root
3 problems, nothing was started
";
        assert_eq!(report.to_string(), expected);
        assert_eq!(report.status(), Status::Usage);
    }
}
