//! What every backend promises, as one list of cases that can be run on any of them.
//!
//! A [`Subject`] is a backend with a list of what its machines cannot do. [`run`] takes it through [`CASES`]: what a machine can do must work, and
//! what the list says it cannot do must be refused with the verb, the machine's name and the reason that the list gives. So the list cannot lie in
//! either direction. A backend of someone else's is tested like this:
//!
//! ```no_run
//! # fn my_backend() -> std::sync::Arc<dyn driver_core::backend::Backend> { unimplemented!() }
//! use driver_core::spec::MachineSpec;
//! use tandem_tests::conformance::{Cannot, Power, Subject, run};
//!
//! # async fn test() -> tandem_tests::TestResult {
//! let subject = Subject {
//!     name: "mine",
//!     backend: my_backend(),
//!     machine: MachineSpec::new("", "mine"),
//!     cannot: vec![Cannot { power: Power::Screen, reason: "no screen" }],
//! };
//! run(&subject).await.passed()
//! # }
//! ```

mod case;
mod cases;
mod containers;
mod power;
mod refusal;
mod report;
mod stage;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use driver_core::backend::Backend;
use driver_core::spec::MachineSpec;
use futures::FutureExt;

use crate::TestResult;

pub use case::{CASES, Case, Group};
pub use containers::containers;
pub use power::{Cannot, Power};
pub use report::{Outcome, Report, Verdict};
pub use stage::{ONE, SOON, Stage, TWO};

/// How long one case may take, boots in an emulated machine included.
const CASE: Duration = Duration::from_secs(600);

/// A backend under test.
pub struct Subject {
    /// What reports call it.
    pub name: &'static str,
    /// The backend.
    pub backend: Arc<dyn Backend>,
    /// A machine of this backend; the suite makes two of it, with names of its own, on VLAN 1.
    pub machine: MachineSpec,
    /// What its machines cannot do, all of it.
    pub cannot: Vec<Cannot>,
}

impl Subject {
    /// Why machines of this backend cannot do this; none if they can.
    pub fn reason(&self, power: Power) -> Option<&'static str> {
        self.cannot.iter().find(|cannot| cannot.power == power).map(|cannot| cannot.reason)
    }
}

/// Runs all cases on a backend.
pub async fn run(subject: &Subject) -> Report {
    let mut report = Report::new(subject);
    for group in Group::ALL {
        report.outcomes.extend(run_group(subject, group).await.outcomes);
    }
    report
}

/// Runs the cases of one group, which share a stage, one after another. What a case finds does not keep the next from being run.
pub async fn run_group(subject: &Subject, group: Group) -> Report {
    let mut report = Report::new(subject);
    let began = Instant::now();
    let stage = match Stage::set(subject).await {
        Ok(stage) => stage,
        Err(error) => {
            report.add(failed(group, "the_stage_is_set", began, error.to_string()));
            return report;
        }
    };
    for case in CASES.iter().filter(|case| case.group == group) {
        let began = Instant::now();
        let verdict = match case.needs.iter().find_map(|power| subject.reason(*power)) {
            Some(reason) => Verdict::Cannot(reason),
            None => judged((case.check)(&stage)).await,
        };
        report.add(Outcome { group, name: case.name, verbs: case.verbs, verdict, took: began.elapsed() });
    }
    if group == Group::Running {
        for cannot in &subject.cannot {
            let Some((name, verbs)) = refusal::of(cannot.power) else { continue };
            let began = Instant::now();
            let verdict = match judged(refusal::check(&stage, *cannot)).await {
                Verdict::Passed => Verdict::Refused(cannot.reason),
                other => other,
            };
            report.add(Outcome { group, name, verbs, verdict, took: began.elapsed() });
        }
    }
    let began = Instant::now();
    match stage.finish().await {
        Ok(()) => {}
        Err(error) => report.add(failed(group, "nothing_is_left", began, error.to_string())),
    }
    report
}

fn failed(group: Group, name: &'static str, began: Instant, why: String) -> Outcome {
    Outcome { group, name, verbs: &[], verdict: Verdict::Failed(why), took: began.elapsed() }
}

/// Runs a check to its end, its panic or its deadline.
async fn judged(check: impl Future<Output = TestResult>) -> Verdict {
    let caught = AssertUnwindSafe(check).catch_unwind();
    match tokio::time::timeout(CASE, caught).await {
        Ok(Ok(Ok(()))) => Verdict::Passed,
        Ok(Ok(Err(error))) => Verdict::Failed(error.to_string()),
        Ok(Err(panic)) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            Verdict::Failed(text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked").to_owned())
        }
        Err(_) => Verdict::Failed(format!("it did not end within {} s", CASE.as_secs())),
    }
}
