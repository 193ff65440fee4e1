//! What is wrong with a test file or a host, with the cure.

use serde::{Deserialize, Serialize};

/// One thing that keeps a test from starting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Whose it is to mend; this decides the exit status.
    pub whose: Whose,
    /// The thing it is about, such as ``machine `server`, key `root` ``; may be empty.
    pub subject: String,
    /// What is wrong.
    pub message: String,
    /// What to do; may be empty.
    pub cure: String,
}

/// Whose a problem is to mend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Whose {
    /// The command line or the test file is wrong.
    User,
    /// This host cannot run it.
    Host,
}

impl Problem {
    /// Something wrong in the test file or on the command line.
    pub fn user(subject: impl Into<String>, message: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { whose: Whose::User, subject: subject.into(), message: message.into(), cure: cure.into() }
    }

    /// Something that this host lacks.
    pub fn host(subject: impl Into<String>, message: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { whose: Whose::Host, subject: subject.into(), message: message.into(), cure: cure.into() }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.subject.is_empty() {
            write!(f, "{}: ", self.subject)?;
        }
        f.write_str(&self.message)?;
        if !self.cure.is_empty() {
            write!(f, "; {}", self.cure)?;
        }
        Ok(())
    }
}

/// All problems, one a line.
pub fn list(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
