//! What the program's exit status means.

use std::process::ExitCode;

use driver_core::event::Outcome;
use driver_core::spec::{Problem, Whose};

/// How a command ended, from the best to the worst: the worst of several tests is the program's exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Status {
    /// 0: every test passed.
    Passed,
    /// 1: a test said no.
    Failed,
    /// 4: the driver, a backend, a boot or the host broke.
    Broken,
    /// 3: this host cannot run a test. Nothing was started.
    Host,
    /// 2: the command line or a test file is wrong. Nothing was started.
    Usage,
    /// 143: a test reached its global timeout, or SIGTERM ended the program.
    Terminated,
    /// 130: Ctrl-C ended the program.
    Interrupted,
}

impl Status {
    /// The number that the caller of the program sees.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Host => 3,
            Self::Broken => 4,
            Self::Interrupted => 128 + 2,
            Self::Terminated => 128 + 15,
        }
    }

    /// What problems make of a command: they are the user's to mend before they are the host's.
    pub(crate) fn of_problems<'a>(problems: impl IntoIterator<Item = &'a Problem>) -> Self {
        let status = |problem: &Problem| match problem.whose {
            Whose::User => Self::Usage,
            Whose::Host => Self::Host,
        };
        problems.into_iter().map(status).max().unwrap_or(Self::Passed)
    }

    /// What a list of tests says of one with this status.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Broken => "broke down",
            Self::Host | Self::Usage => "not started",
            Self::Terminated => "timed out",
            Self::Interrupted => "interrupted",
        }
    }
}

impl From<Outcome> for Status {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Passed => Self::Passed,
            Outcome::Failed => Self::Failed,
            Outcome::Broken => Self::Broken,
            Outcome::Interrupted => Self::Interrupted,
            Outcome::TimedOut => Self::Terminated,
        }
    }
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        status.code().into()
    }
}

#[cfg(test)]
mod tests {
    use super::Status::{self, Broken, Failed, Host, Interrupted, Passed, Terminated, Usage};
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_manual() {
        let codes = [Passed, Failed, Usage, Host, Broken, Interrupted, Terminated].map(Status::code);
        assert_eq!(codes, [0, 1, 2, 3, 4, 130, 143]);
    }

    #[test]
    fn the_worst_of_several_wins() {
        let from_best = [Passed, Failed, Broken, Host, Usage, Terminated, Interrupted];
        assert!(from_best.is_sorted());
        assert_eq!([Passed, Broken, Failed].into_iter().max(), Some(Broken));
    }

    #[test]
    fn wrong_usage_goes_before_a_host_that_lacks_something() {
        let (user, host) = (Problem::user("", "", ""), Problem::host("", "", ""));
        assert_eq!(Status::of_problems([]), Passed);
        assert_eq!(Status::of_problems([&host]), Host);
        assert_eq!(Status::of_problems([&host, &user, &host]), Usage);
    }
}
