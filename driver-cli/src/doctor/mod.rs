//! `tandem doctor`: what this host has and lacks, for some tests or for any, and what to do about it.
//!
//! Runs and backends say what they need ([`driver_core::need`]); `run` and `check` stop at what is missing of that. Here all of it is shown, with
//! what takes a moment to find out: what programs say of themselves (`ask`), what the kernel makes of a LAN (`lan`), how Nix is set
//! up (`nix`), and what a sandbox lets nobody do (`sandbox`).

mod ask;
mod json;
pub(crate) mod lan;
mod nix;
mod sandbox;
mod text;

use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use driver_core::backend::Backend;
use driver_core::machine;
use driver_core::need::{EVERY_TEST, Need, Place};
use driver_core::run::{self, machines_of};
use driver_core::spec::{Lan, Problem, TestSpec, Whose};

use crate::args::DoctorArgs;
use crate::check::{self, Test};
use crate::exit::Status;
use crate::report::Report;
use crate::run::OUTPUT;
use crate::script;

/// What was found.
pub(crate) struct Diagnosis {
    place: Place,
    needs: Vec<Need>,
    /// What was asked about, and whether it can run here: the tests, or else the backends.
    can: Vec<Can>,
}

/// Whether something can run here.
pub(crate) struct Can {
    kind: Kind,
    /// The test's file or the backend's name.
    name: String,
    run: bool,
}

/// What can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Test,
    Backend,
}

/// Looks at this host and shows what it finds. The error is a test file that is wrong.
pub(crate) async fn doctor(args: &DoctorArgs, backends: &[Arc<dyn Backend>]) -> Result<Status, Report> {
    let unknown = args.backend.as_deref().and_then(|name| check::unknown(name, backends));
    if let Some(problem) = unknown {
        let mut report = Report::default();
        report.add(check::COMMAND_LINE, [problem]);
        return Err(report);
    }
    let mut diagnosis = if args.tests.is_empty() {
        any(args, backends).await
    } else {
        let mut report = Report::default();
        let tests = check::tests(&args.as_tests(), backends, &mut report).await;
        if report.status() == Status::Usage {
            return Err(report.only(Whose::User));
        }
        of_tests(args, backends, &tests, &report).await
    };
    ask::all(&mut diagnosis.needs).await;
    let colours = !args.no_color && colours();
    let shown = if args.json { json::write(&diagnosis) } else { text::write(&diagnosis, colours) };
    let written = io::stdout().lock().write_all(shown.as_bytes());
    if let Err(error) = written
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        crate::output::say(format_args!("writing to standard output failed: {error}"));
        return Ok(Status::Broken);
    }
    Ok(diagnosis.status())
}

/// What tests of every kind need.
async fn any(args: &DoctorArgs, backends: &[Arc<dyn Backend>]) -> Diagnosis {
    let mut needs = Needs::default();
    needs.add(run::needs(None));
    needs.add([run::disk(Path::new(OUTPUT)), script::python(args.python.as_deref()).await]);
    let all_missing = needs.0.iter().any(Need::is_missing);
    let mut can = Vec::new();
    for backend in backends.iter().filter(|backend| args.backend.as_deref().is_none_or(|name| name == backend.name())) {
        let own = backend.needs(&[]);
        let run = !all_missing && !own.iter().any(Need::is_missing);
        can.push(Can { kind: Kind::Backend, name: backend.name().to_owned(), run });
        needs.add(own);
    }
    needs.add([machine::tesseract(SCREENS)]);
    needs.add(lan::needs(Lan::Auto).await);
    let place = Place::current();
    if place != Place::Host {
        needs.add(sandbox::needs(place).await);
    }
    if place != Place::NixBuild {
        needs.add(nix::needs().await);
    }
    Diagnosis { place, needs: needs.0, can }
}

/// What these tests need, of which a check has reported what is wrong.
async fn of_tests(args: &DoctorArgs, backends: &[Arc<dyn Backend>], tests: &[Test], report: &Report) -> Diagnosis {
    let mut needs = Needs::default();
    let mut can = Vec::new();
    for test in tests {
        let name = test.file.display().to_string();
        let mut own = Needs::default();
        own.add(of_test(&test.spec, backends).await);
        let mut told: Vec<Problem> = driver_core::need::problems(&own.0);
        for backend in backends {
            let machines = machines_of(backend.as_ref(), &test.spec);
            if !machines.is_empty() {
                told.extend(backend.preflight(&machines));
            }
        }
        own.add([script::python(args.python.as_deref()).await]);
        told.extend(own.0.iter().filter_map(Need::problem));
        let others = report.problems_of(&name).iter().filter(|problem| !told.contains(problem));
        needs.add(own.0);
        needs.add(others.map(|problem| Need::of_problem(&name, "this test asks for it", problem.clone())));
        can.push(Can { kind: Kind::Test, run: report.problems_of(&name).is_empty(), name });
    }
    let place = Place::current();
    if place != Place::Host {
        needs.add(sandbox::needs(place).await);
    }
    Diagnosis { place, needs: needs.0, can }
}

async fn of_test(spec: &TestSpec, backends: &[Arc<dyn Backend>]) -> Vec<Need> {
    let mut needs = run::needs(Some(spec));
    needs.push(run::disk(Path::new(OUTPUT)));
    for backend in backends {
        let machines = machines_of(backend.as_ref(), spec);
        if !machines.is_empty() {
            needs.extend(backend.needs(&machines));
        }
    }
    if !spec.machines.is_empty() {
        needs.push(machine::tesseract(SCREENS));
    }
    if spec.machines.iter().any(|machine| !machine.vlans.is_empty()) {
        needs.extend(lan::needs(spec.lan).await);
    }
    needs
}

/// The group of what has to do with screens.
const SCREENS: &str = "screens";

impl Diagnosis {
    /// With tests: whether all of them can run. Without: whether any can.
    fn status(&self) -> Status {
        let tests = self.can.iter().any(|can| can.kind == Kind::Test);
        let fine = if tests { self.can.iter().all(|can| can.run) } else { self.can.iter().any(|can| can.run) };
        if fine { Status::Passed } else { Status::Host }
    }
}

/// Needs, each once: of those that several have, the worst.
#[derive(Default)]
struct Needs(Vec<Need>);

impl Needs {
    fn add(&mut self, needs: impl IntoIterator<Item = Need>) {
        for need in needs {
            match self.0.iter_mut().find(|there| there.group == need.group && there.name == need.name) {
                Some(there) if there.verdict < need.verdict => *there = need,
                Some(_) => {}
                None => self.0.push(need),
            }
        }
        // What every test needs comes first; the rest stays as it came.
        self.0.sort_by_key(|need| need.group != EVERY_TEST);
    }
}

fn colours() -> bool {
    let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    io::stdout().is_terminal() && !dumb && !no_color
}

#[cfg(test)]
mod tests {
    use driver_core::need::{Cure, Verdict};

    use super::*;

    #[test]
    fn of_needs_that_several_have_the_worst_is_told() {
        let mut needs = Needs::default();
        needs.add([Need::ok("VMs", "memory", "", "1"), Need::ok("VMs", "QEMU", "", "")]);
        needs.add([Need::limited("VMs", "memory", "", "2", Cure::default()), Need::ok(EVERY_TEST, "root", "", "")]);
        needs.add([Need::unused("VMs", "memory", "", "3")]);
        let told: Vec<_> = needs.0.iter().map(|need| (need.name.as_str(), need.verdict, need.found.as_str())).collect();
        assert_eq!(told, [("root", Verdict::Ok, ""), ("memory", Verdict::Limited, "2"), ("QEMU", Verdict::Ok, "")]);
    }

    #[test]
    fn all_tests_must_run_but_one_backend_is_enough() {
        let status = |kind, runs: &[bool]| {
            let can = runs.iter().map(|run| Can { kind, name: String::new(), run: *run }).collect();
            Diagnosis { place: Place::Host, needs: Vec::new(), can }.status()
        };
        assert_eq!(status(Kind::Test, &[true, true]), Status::Passed);
        assert_eq!(status(Kind::Test, &[true, false]), Status::Host);
        assert_eq!(status(Kind::Backend, &[true, false]), Status::Passed);
        assert_eq!(status(Kind::Backend, &[false, false]), Status::Host);
    }
}
