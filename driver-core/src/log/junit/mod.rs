//! The report that CI systems read: JUnit's XML.

mod case;
mod excerpt;
mod suite;
#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use quick_junit::{Report, TestSuite};

use super::file::WriteFaults;
use super::given::GivenFile;
use crate::event::Sink;
use suite::Suite;

/// A report of one suite for each test. Clones are the same report.
///
/// Each subtest is a test case; what is outside of all is the case `main`. A case's time is without that of the subtests in it. A subtest
/// that an exception left has failed, as has one in which an error was logged. How the run itself ended is told by the subtest that this came
/// from, or else by `main`; where that is not by the script's verdict, as an error.
///
/// The file is whole from the beginning: until a test has ended, it says that the test did not.
#[derive(Clone, Debug)]
pub struct Junit {
    shared: Arc<Mutex<Shared>>,
    /// What suites are called, if not as their tests.
    suite: Option<Arc<str>>,
}

#[derive(Debug)]
struct Shared {
    report: Report,
    file: GivenFile,
}

impl Junit {
    /// A report in the file at `path`, which is emptied; it may be a device or a pipe, which gets the report at its end. `suite` is what every
    /// suite is called, if not as its test.
    pub fn create(path: &Path, suite: Option<&str>) -> io::Result<Self> {
        let file = GivenFile::open(path, &WriteFaults::default())?;
        // Named as those of upstream's parser: not at all.
        let shared = Shared { report: Report::unnamed(), file };
        Ok(Self { shared: Arc::new(Mutex::new(shared)), suite: suite.map(Into::into) })
    }

    /// A sink for one test; the next test gets another one.
    pub fn sink(&self, faults: &WriteFaults) -> Box<dyn Sink> {
        self.with(|shared| shared.file.tell(faults));
        Box::new(Suite::new(self.clone()))
    }

    /// Writes the report with one more suite.
    fn write(&self, suite: TestSuite, goes_on: bool) {
        self.with(|shared| {
            let mut report = shared.report.clone();
            report.add_test_suite(suite);
            shared.file.replace(&text(&report));
            if !goes_on {
                shared.report = report;
            }
        });
    }

    fn with(&self, work: impl FnOnce(&mut Shared)) {
        work(&mut self.shared.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.file.finish(&text(&self.report));
    }
}

/// A text without those characters that XML cannot hold and that the library does not know of.
fn printable(text: &str) -> String {
    text.replace(['\u{fffe}', '\u{ffff}'], "")
}

fn text(report: &Report) -> String {
    // Memory takes all that is written to it.
    report.to_string().unwrap_or_default()
}
