use std::path::PathBuf;

use quick_junit::{Report, TestCase, TestCaseStatus};
use tempfile::TempDir;

use super::*;
use crate::event::{Kind, Level, Outcome, Recorder};

struct Written {
    _directory: TempDir,
    path: PathBuf,
    junit: Junit,
}

impl Written {
    fn new(suite: Option<&str>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("junit.xml");
        let junit = Junit::create(&path, suite).unwrap();
        Self { _directory: directory, path, junit }
    }

    fn begin(&self, test: &str) -> Recorder {
        let recorder = Recorder::new(vec![self.junit.sink(&WriteFaults::default())]);
        recorder.record(Kind::RunStarted { test: test.into(), version: "1".into() });
        recorder
    }

    fn report(&self) -> Report {
        Report::deserialize_from_str(&std::fs::read_to_string(&self.path).unwrap()).unwrap()
    }

    /// The cases of the only suite.
    fn cases(&self) -> Vec<TestCase> {
        let mut report = self.report();
        assert_eq!(report.test_suites.len(), 1);
        report.test_suites.remove(0).test_cases
    }

    /// Their names, each with what is wrong with it.
    fn verdicts(&self) -> Vec<(String, String)> {
        self.cases().iter().map(|case| (case.name.to_string(), verdict(case))).collect()
    }
}

fn verdict(case: &TestCase) -> String {
    match &case.status {
        TestCaseStatus::NonSuccess { kind, message, .. } => {
            format!("{kind:?}: {}", message.as_ref().map_or("", |message| message.as_str()))
        }
        _ => String::new(),
    }
}

fn finish(recorder: &Recorder, outcome: Outcome, elapsed: f64) {
    recorder.record(Kind::RunFinished { outcome, elapsed });
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(name, verdict)| ((*name).to_owned(), (*verdict).to_owned())).collect()
}

const REPORT: &str =
    "Traceback (most recent call last):\n  File \"x.py\", line 1, in <module>\n    x\n\nError: no\nmore";

#[test]
fn each_subtest_is_a_case_and_main_comes_last() {
    let written = Written::new(Some("NixOS integration test"));
    let recorder = written.begin("hello");
    let server = recorder.machine("server");
    recorder.message(Level::Info, "before");
    let outer = recorder.span("outer", true);
    outer.recorder().message(Level::Info, "in outer");
    let inner = outer.recorder().span("inner", true);
    std::thread::sleep(std::time::Duration::from_millis(100));
    server.record(Kind::Console { line: "login:\x1b[31m\u{ffff}".into() });
    let step = server.within(Some(inner.id())).span("must succeed: true", false);
    step.finish(None);
    inner.finish(None);
    outer.finish(None);
    recorder.span("inner", true).finish(None);
    recorder.message(Level::Info, "after");
    finish(&recorder, Outcome::Passed, 5.0);

    assert_eq!(written.verdicts(), pairs(&[("outer", ""), ("inner", ""), ("main", "")]));
    let report = written.report();
    let suite = &report.test_suites[0];
    assert_eq!((suite.name.as_str(), suite.tests, suite.failures, suite.errors), ("NixOS integration test", 3, 0, 0));
    let out: Vec<_> = suite.test_cases.iter().map(|case| case.system_out.as_ref().unwrap().as_str().trim()).collect();
    assert_eq!(out, ["in outer", "server # login:\nserver: must succeed: true", "before\nafter"]);
    // What is within a case is not part of its time.
    let times: Vec<_> = suite.test_cases.iter().map(|case| case.time.unwrap().as_secs_f64()).collect();
    assert!(times[0] < times[1] && times[1] >= 0.1 && times[2] > 4.0 && times[2] <= 4.9, "{times:?}");
}

#[test]
fn the_case_that_failed_says_why() {
    let written = Written::new(None);
    let recorder = written.begin("hello");
    recorder.span("good", true).finish(None);
    let caught = recorder.span("caught", true);
    caught.recorder().message(Level::Error, "Test \"caught\" failed with error: \"other\"");
    caught.finish(Some("other".into()));
    recorder.span("bad", true).finish(Some("no\nmore".into()));
    recorder.record(Kind::Failure { report: REPORT.into() });
    finish(&recorder, Outcome::Failed, 1.0);

    let expected = [("good", ""), ("caught", "Failure: other"), ("bad", "Failure: no\nmore"), ("main", "")];
    assert_eq!(written.verdicts(), pairs(&expected));
    let text = std::fs::read_to_string(&written.path).unwrap();
    assert!(text.contains("<testsuite name=\"hello\" tests=\"4\""), "{text}");
    assert!(text.contains("type=\"test case failed\">Traceback"), "{text}");
}

#[test]
fn what_fails_outside_of_subtests_fails_main() {
    let written = Written::new(None);
    let recorder = written.begin("hello");
    recorder.span("caught", true).finish(Some("other".into()));
    recorder.record(Kind::Failure { report: REPORT.into() });
    finish(&recorder, Outcome::Failed, 1.0);
    assert_eq!(written.verdicts(), pairs(&[("caught", "Failure: other"), ("main", "Failure: Error: no")]));
    assert!(written.cases()[1].system_err.as_ref().unwrap().contains("x.py"));
}

#[test]
fn an_end_that_is_no_verdict_is_an_error() {
    for (outcome, said) in [
        (Outcome::TimedOut, "timeout reached; test terminating"),
        (Outcome::Interrupted, "interrupted"),
        (Outcome::Broken, "the test broke down"),
    ] {
        let written = Written::new(None);
        let recorder = written.begin("hello");
        let open = recorder.span("open", true);
        finish(&recorder, outcome, 1.0);
        let error = format!("Error: {said}");
        assert_eq!(written.verdicts(), pairs(&[("open", &error), ("main", &error)]));
        drop(open);
    }

    let written = Written::new(None);
    let recorder = written.begin("hello");
    recorder.span("boot", true).finish(Some("machine a: boot: it died".into()));
    recorder.record(Kind::Failure { report: "T:\n\nMachineError: machine a: boot: it died\nits last lines".into() });
    finish(&recorder, Outcome::Broken, 1.0);
    assert_eq!(written.verdicts(), pairs(&[("boot", "Error: machine a: boot: it died"), ("main", "")]));
}

#[test]
fn a_driver_that_is_killed_leaves_a_report_that_says_so() {
    let written = Written::new(None);
    let recorder = written.begin("hello");
    recorder.message(Level::Info, "going on");
    assert_eq!(written.verdicts(), pairs(&[("main", "Error: the driver ended before the test did")]));
    finish(&recorder, Outcome::Passed, 1.0);
    assert_eq!(written.verdicts(), pairs(&[("main", "")]));
}

#[test]
fn tests_are_suites_of_one_report() {
    let written = Written::new(None);
    for (test, outcome) in [("one", Outcome::Passed), ("two", Outcome::Failed)] {
        finish(&written.begin(test), outcome, 1.0);
    }
    let report = written.report();
    assert_eq!((report.tests, report.failures, report.errors), (2, 1, 0));
    let names: Vec<_> = report.test_suites.iter().map(|suite| suite.name.as_str()).collect();
    assert_eq!(names, ["one", "two"]);
}

#[test]
fn whatever_is_said_the_report_is_xml() {
    let written = Written::new(Some("a\0b"));
    let recorder = written.begin("hello");
    let evil = "\0\x1b[2J]]></system-out>&\u{fffe}\u{202e}\"<";
    let span = recorder.span(evil, true);
    recorder.machine(evil).record(Kind::Console { line: evil.into() });
    span.recorder().message(Level::Error, evil);
    span.finish(Some(evil.into()));
    recorder.record(Kind::Failure { report: evil.into() });
    finish(&recorder, Outcome::Failed, 1.0);
    assert_eq!(written.cases().len(), 2);
}

#[test]
fn a_device_gets_the_report_at_the_end() {
    let faults = WriteFaults::default();
    let junit = Junit::create(Path::new("/dev/null"), None).unwrap();
    finish(&Recorder::new(vec![junit.sink(&faults)]), Outcome::Passed, 1.0);
    drop(junit);
    assert!(faults.take().is_empty());
    Junit::create(Path::new("/nonexistent/junit.xml"), None).unwrap_err();
}
