//! A test case under construction.

use std::time::Duration;

use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus};

use super::excerpt::Excerpt;
use super::printable;

/// What a subtest that failed is called, in upstream's words.
const FAILED: &str = "test case failed";

/// A subtest, or all that is outside of subtests.
#[derive(Debug, Default)]
pub(super) struct Case {
    pub(super) name: String,
    /// Seconds, without those of the cases in it.
    pub(super) time: f64,
    pub(super) out: Excerpt,
    pub(super) err: Excerpt,
    pub(super) trouble: Option<Trouble>,
}

/// Why a case did not pass.
#[derive(Debug)]
pub(super) struct Trouble {
    /// Whether that is something else than the script's verdict.
    pub(super) broken: bool,
    pub(super) message: String,
    /// More about it; may be empty.
    pub(super) report: String,
}

impl Trouble {
    pub(super) fn failure(message: impl Into<String>) -> Self {
        Self { broken: false, message: message.into(), report: String::new() }
    }
}

impl Case {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    pub(super) fn report(&self) -> TestCase {
        let status = self.trouble.as_ref().map_or_else(TestCaseStatus::success, Trouble::report);
        let mut case = TestCase::new(printable(&self.name), status);
        case.set_time(Duration::try_from_secs_f64(self.time).unwrap_or_default());
        if let Some(out) = self.out.text() {
            case.set_system_out(printable(&out));
        }
        if let Some(err) = self.err.text() {
            case.set_system_err(printable(&err));
        }
        case
    }
}

impl Trouble {
    fn report(&self) -> TestCaseStatus {
        let kind = if self.broken { NonSuccessKind::Error } else { NonSuccessKind::Failure };
        let mut status = TestCaseStatus::non_success(kind);
        status.set_message(printable(&self.message));
        if !self.broken {
            status.set_type(FAILED);
        }
        if !self.report.is_empty() {
            status.set_description(printable(&self.report));
        }
        status
    }
}
