//! The suite of one test, made of its events.

use std::collections::BTreeMap;

use quick_junit::TestSuite;

use super::case::{Case, Trouble};
use super::{Junit, printable};
use crate::event::{Event, Kind, Level, Outcome, Sink, SpanId};
use crate::log::words;

/// The place of the case for what is outside of all subtests. It is reported last.
const MAIN: usize = 0;
/// Why a step ended that was dropped: what it lies in was ended.
const CANCELLED: &str = "cancelled";

#[derive(Debug)]
pub(super) struct Suite {
    junit: Junit,
    test: String,
    cases: Vec<Case>,
    spans: BTreeMap<SpanId, Open>,
    /// The seconds that top-level subtests took.
    in_subtests: f64,
    /// How the script failed, if it did.
    reports: Vec<String>,
}

/// A step that goes on.
#[derive(Debug)]
struct Open {
    parent: Option<SpanId>,
    subtest: Option<Subtest>,
}

#[derive(Debug)]
struct Subtest {
    case: usize,
    began: f64,
    /// The seconds that the subtests in it took.
    inner: f64,
}

impl Suite {
    pub(super) fn new(junit: Junit) -> Self {
        let cases = vec![Case::new("main")];
        Self { junit, test: String::new(), cases, spans: BTreeMap::new(), in_subtests: 0.0, reports: Vec::new() }
    }

    /// The innermost subtest around a span, itself included.
    fn subtest_of(&self, span: Option<SpanId>) -> Option<SpanId> {
        let outwards = |id: &SpanId| self.spans.get(id).and_then(|open| open.parent);
        std::iter::successors(span, outwards).find(|id| self.spans.get(id).is_some_and(|open| open.subtest.is_some()))
    }

    /// The case that an event belongs to. What lies in no span belongs to the subtest that began last.
    fn case_of(&mut self, span: Option<SpanId>) -> &mut Case {
        let subtest = match span {
            Some(_) => self.subtest_of(span),
            None => self.spans.iter().rev().find(|(_, open)| open.subtest.is_some()).map(|(id, _)| *id),
        };
        let open = subtest.and_then(|id| self.spans.get(&id)).and_then(|open| open.subtest.as_ref());
        &mut self.cases[open.map_or(MAIN, |subtest| subtest.case)]
    }

    fn begin(&mut self, event: &Event, title: &str, is_subtest: bool, parent: Option<SpanId>) {
        let Some(id) = event.span else { return };
        let subtest = is_subtest.then(|| {
            let case = self.cases.iter().skip(1).position(|case| case.name == title).map(|index| index + 1);
            let case = case.unwrap_or_else(|| {
                self.cases.push(Case::new(title));
                self.cases.len() - 1
            });
            Subtest { case, began: event.time, inner: 0.0 }
        });
        self.spans.insert(id, Open { parent, subtest });
        if !is_subtest {
            self.case_of(Some(id)).out.add(&of(event.machine.as_deref(), title));
        }
    }

    fn end(&mut self, id: SpanId, elapsed: f64, failure: Option<&str>) {
        let Some(open) = self.spans.remove(&id) else { return };
        let Some(subtest) = open.subtest else { return };
        let around = self.subtest_of(open.parent).and_then(|id| self.spans.get_mut(&id)?.subtest.as_mut());
        *around.map_or(&mut self.in_subtests, |around| &mut around.inner) += elapsed;
        let case = &mut self.cases[subtest.case];
        case.time += (elapsed - subtest.inner).max(0.0);
        if let Some(failure) = failure {
            case.trouble = Some(Trouble::failure(failure));
        }
    }

    /// Takes note of how the run ended.
    fn finish(&mut self, outcome: Outcome, time: f64, elapsed: f64) {
        // The driver may leave without waiting for steps to end.
        let open: Vec<_> =
            self.spans.iter().rev().map(|(id, open)| (*id, open.subtest.as_ref().map(|it| it.began))).collect();
        for (id, began) in open {
            self.end(id, time - began.unwrap_or(time), Some(CANCELLED));
        }
        self.cases[MAIN].time = (elapsed - self.in_subtests).max(0.0);
        let why = match outcome {
            Outcome::Passed => return,
            Outcome::Failed => "the script failed",
            Outcome::Broken => "the test broke down",
            Outcome::Interrupted => "interrupted",
            Outcome::TimedOut => "timeout reached; test terminating",
        };
        let report = self.reports.join("\n");
        let said = if report.is_empty() { why } else { message(&report) };
        // Where the failure came from a subtest, that one tells it. What it says then is part of the report.
        let owner = self.cases.iter_mut().skip(1).filter_map(|case| case.trouble.as_mut());
        let owns = |trouble: &&mut Trouble| {
            let words = first_line(&trouble.message);
            !report.is_empty() && !words.is_empty() && words != CANCELLED && said.contains(words)
        };
        let owner = owner.filter(owns).last();
        let broken = outcome != Outcome::Failed;
        if let Some(owner) = owner {
            owner.broken = broken;
            owner.report.clone_from(&report);
        } else {
            self.cases[MAIN].trouble = Some(Trouble { broken, message: said.to_owned(), report: report.clone() });
        }
        for cancelled in self.cases.iter_mut().filter_map(|case| case.trouble.as_mut()) {
            if cancelled.message == CANCELLED {
                said.clone_into(&mut cancelled.message);
                cancelled.broken = broken;
            }
        }
    }

    fn write(&self, goes_on: bool) {
        let mut suite = TestSuite::new(printable(self.junit.suite.as_deref().unwrap_or(&self.test)));
        let (main, subtests) = self.cases.split_at(1);
        suite.add_test_cases(subtests.iter().chain(main).map(Case::report));
        let time = self.cases.iter().map(|case| case.time).sum::<f64>();
        suite.set_time(std::time::Duration::try_from_secs_f64(time).unwrap_or_default());
        self.junit.write(suite, goes_on);
    }
}

impl Sink for Suite {
    fn event(&mut self, event: &Event) {
        let machine = event.machine.as_deref();
        match &event.kind {
            Kind::RunStarted { test, .. } => {
                self.test.clone_from(test);
                let message = "the driver ended before the test did".to_owned();
                self.cases[MAIN].trouble = Some(Trouble { broken: true, message, report: String::new() });
                self.write(true);
                self.cases[MAIN].trouble = None;
            }
            Kind::RunFinished { outcome, elapsed } => {
                self.finish(*outcome, event.time, *elapsed);
                self.write(false);
            }
            Kind::SpanStarted { title, subtest, parent, .. } => self.begin(event, title, *subtest, *parent),
            Kind::SpanFinished { elapsed, failure, .. } => {
                if let Some(id) = event.span {
                    self.end(id, *elapsed, failure.as_deref());
                }
            }
            Kind::Message { level, text } => {
                let case = self.case_of(event.span);
                if *level == Level::Error {
                    case.trouble.get_or_insert_with(|| Trouble::failure(text));
                    case.err.add(&of(machine, text));
                } else {
                    case.out.add(&of(machine, text));
                }
            }
            Kind::Console { line } => self.case_of(None).out.add(&said(machine, line)),
            Kind::Journal { message, unit, .. } => {
                let case = self.case_of(None);
                words::journal(message, unit.as_deref()).for_each(|line| case.out.add(&said(machine, &line)));
            }
            Kind::Machine { state, detail } => {
                self.case_of(event.span).out.add(&of(machine, &words::state(*state, detail)));
            }
            Kind::Network { vlan, change, .. } => {
                self.case_of(event.span).out.add(&of(machine, &words::network(machine, *vlan, change)));
            }
            Kind::Failure { report } => {
                self.case_of(event.span).err.add(report);
                self.reports.push(report.clone());
            }
            Kind::Command { .. } => {}
        }
    }
}

/// What was said by us or the script about a machine.
fn of(machine: Option<&str>, text: &str) -> String {
    machine.map_or_else(|| text.to_owned(), |machine| format!("{machine}: {text}"))
}

/// What the machine itself said.
fn said(machine: Option<&str>, line: &str) -> String {
    format!("{} # {line}", machine.unwrap_or_default())
}

/// The line of a report that says what is wrong: the one after the script's lines, or else the first.
fn message(report: &str) -> &str {
    first_line(report.split_once("\n\n").map_or(report, |(_, message)| message))
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
