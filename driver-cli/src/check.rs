//! Everything that can be found out about tests before anything starts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use driver_core::backend::Backend;
use driver_core::need;
use driver_core::spec::{self, Lan, Problem, TestSpec, nearest};
use futures::future::join_all;
use futures::{StreamExt as _, stream};

use crate::args::{CheckArgs, TestArgs};
use crate::doctor;
use crate::exit::Status;
use crate::output::say;
use crate::report::Report;
use crate::script;

/// What problems of the command line are grouped under.
pub(crate) const COMMAND_LINE: &str = "command line";

/// A test whose file could be read.
pub(crate) struct Test {
    /// Its file, as the user named it.
    pub(crate) file: PathBuf,
    /// What it asks for, with what the command line changes of it.
    pub(crate) spec: TestSpec,
}

/// `tandem check`: says what is wrong, and of what nothing is.
pub(crate) async fn check(args: &CheckArgs, backends: &[Arc<dyn Backend>]) -> Result<Status, Report> {
    let mut report = Report::default();
    let tests = tests(&args.tests, backends, &mut report).await;
    if args.types {
        types(&tests, args.tests.python.as_deref(), &mut report).await;
    }
    if !report.is_empty() {
        return Err(report);
    }
    for test in tests {
        for note in driver_core::run::notes(&test.spec, backends) {
            say(format_args!("{}: {note}", test.file.display()));
        }
        say(format_args!("{}: nothing keeps it from running here", test.file.display()));
    }
    Ok(Status::Passed)
}

/// Reads and checks all tests and adds what is wrong to `report`. The tests can be run if that is nothing.
pub(crate) async fn tests(args: &TestArgs, backends: &[Arc<dyn Backend>], report: &mut Report) -> Vec<Test> {
    if let Some(problem) = args.backend.as_deref().and_then(|name| unknown(name, backends)) {
        report.add(COMMAND_LINE, [problem]);
        return Vec::new();
    }
    let mut tests = Vec::new();
    for file in &args.tests {
        let (spec, problems) = spec::examine(file);
        report.add(file.display(), problems);
        if let Some(mut spec) = spec {
            if let Some(backend) = &args.backend {
                spec.machines.iter_mut().for_each(|machine| machine.backend.clone_from(backend));
            }
            tests.push(Test { file: file.clone(), spec });
        }
    }
    names(&tests, report);
    // The interpreters look at their scripts while this process looks at the rest.
    let scripts = tests.iter().map(|test| {
        let (spec, python) = (test.spec.clone(), args.python.clone());
        tokio::spawn(async move { script::check(&spec, python.as_deref()).await })
    });
    let scripts: Vec<_> = scripts.collect();
    for test in &tests {
        report.add(test.file.display(), driver_core::run::check(&test.spec, backends));
        // Anything else makes do with what there is.
        if test.spec.lan == Lan::Bridge && test.spec.machines.iter().any(|machine| !machine.vlans.is_empty()) {
            report.add(test.file.display(), need::problems(&doctor::lan::needs(test.spec.lan).await));
        }
    }
    for (test, problems) in tests.iter().zip(join_all(scripts).await) {
        let lost = |error| vec![Problem::host("script", format!("checking it failed: {error}"), "")];
        report.add(test.file.display(), problems.unwrap_or_else(lost));
    }
    tests
}

/// Has the types of the scripts checked, of as many at a time as there are processors.
async fn types(tests: &[Test], python: Option<&Path>, report: &mut Report) {
    let at_once = std::thread::available_parallelism().map_or(1, usize::from);
    let checks = stream::iter(tests).map(|test| script::check_types(&test.spec, python)).buffered(at_once);
    let problems: Vec<_> = checks.collect().await;
    // The interpreter has told syntax errors already, in other words.
    let told = !report.is_empty();
    for (test, problems) in tests.iter().zip(problems) {
        let problems = problems.into_iter().filter(|problem| !(told && problem.message.contains(" [syntax]")));
        report.add(test.file.display(), problems);
    }
}

/// What keeps one test from running here.
pub(crate) async fn problems(spec: &TestSpec, backends: &[Arc<dyn Backend>]) -> Vec<Problem> {
    // The interpreter looks at the script while this process looks at the rest.
    let script = tokio::spawn({
        let spec = spec.clone();
        // Without a script, that is the problem.
        async move { if spec.script.as_os_str().is_empty() { Vec::new() } else { script::check(&spec, None).await } }
    });
    let mut problems = driver_core::run::check(spec, backends);
    let lost = |error| vec![Problem::host("script", format!("checking it failed: {error}"), "")];
    problems.extend(script.await.unwrap_or_else(lost));
    problems
}

/// Finds tests that would share an output directory.
fn names(tests: &[Test], report: &mut Report) {
    let mut seen = BTreeMap::new();
    for test in tests {
        if let Some(first) = seen.insert(&test.spec.name, &test.file) {
            let message = format!("the test is named `{}`, as is that of {}", test.spec.name, first.display());
            let cure = "give one of them another `name`, since each writes to a directory of its name";
            report.add(test.file.display(), [Problem::user("", message, cure)]);
        }
    }
}

/// Why `--backend` cannot be followed, if it can't.
pub(crate) fn unknown(name: &str, backends: &[Arc<dyn Backend>]) -> Option<Problem> {
    let known: Vec<_> = backends.iter().map(|backend| backend.name()).collect();
    if known.contains(&name) {
        return None;
    }
    let cure = match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known are: {}", known.join(", ")),
    };
    Some(Problem::user("--backend", format!("there is no backend `{name}`"), cure))
}
