//! `tandem run`: all checks first, then one test after another.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use driver_core::backend::Backend;
use driver_core::event::Outcome;
use driver_core::log::{Junit, OutputDirectory, TerminalSettings};
use driver_core::spec::Problem;

use crate::args::RunArgs;
use crate::check::{self, COMMAND_LINE, Test};
use crate::events::EventsFile;
use crate::exit::Status;
use crate::output::say;
use crate::report::Report;
use crate::script::Prompt;
use crate::session::Session;
use crate::stop::Stop;

/// Where the output directories are, unless the user says otherwise.
pub(crate) const OUTPUT: &str = "tandem-out";

/// Runs the tests and returns the worst of their statuses. The error is why none was started.
pub(crate) async fn run(args: &RunArgs, backends: Vec<Arc<dyn Backend>>) -> Result<Status, Report> {
    with_prompt(args, backends, None).await
}

/// The same with a prompt in the place of the scripts, if there is to be one.
pub(crate) async fn with_prompt(
    args: &RunArgs,
    backends: Vec<Arc<dyn Backend>>,
    prompt: Option<Prompt>,
) -> Result<Status, Report> {
    let tests = tests(args, &backends).await?;
    let Opened { events, junit, outputs } = open(args, &tests)?;
    let terminal = TerminalSettings::of_stderr(args.log_level.into());
    let terminal = TerminalSettings { colours: terminal.colours && !args.no_color, ..terminal };
    let stop = match Stop::listen() {
        Ok(stop) => stop,
        Err(error) => {
            say(format_args!("listening to signals failed: {error}"));
            return Ok(Status::Broken);
        }
    };
    let (python, debug_hook) = (args.tests.python.clone(), args.debug_hook.clone());
    let mut session =
        Session { backends, python, terminal, events, xml: None, junit, debug_hook, prompt, upstream: None, stop };

    let mut ended = Vec::new();
    for (test, output) in tests.iter().zip(outputs) {
        let end = session.run(&test.spec, &output).await;
        ended.push((test, end.status));
        if end.outcome == Outcome::Interrupted {
            break;
        }
    }
    if tests.len() > 1 {
        summary(&tests, &ended);
    }
    Ok(ended.iter().map(|(_, status)| *status).max().unwrap_or(Status::Passed))
}

/// All tests, if every one of them can be started.
async fn tests(args: &RunArgs, backends: &[Arc<dyn Backend>]) -> Result<Vec<Test>, Report> {
    let mut report = Report::default();
    let mut tests = check::tests(&args.tests, backends, &mut report).await;
    for test in &mut tests {
        test.spec.global_timeout = args.global_timeout.unwrap_or(test.spec.global_timeout);
    }
    for path in outputs(args, &tests) {
        report.add(COMMAND_LINE, OutputDirectory::check(&path));
    }
    if report.is_empty() { Ok(tests) } else { Err(report) }
}

/// What is written to.
struct Opened {
    events: Option<EventsFile>,
    junit: Option<Junit>,
    /// In the order of the tests.
    outputs: Vec<OutputDirectory>,
}

/// Makes and opens what is written to.
fn open(args: &RunArgs, tests: &[Test]) -> Result<Opened, Report> {
    let open = || {
        let events = args.events.as_deref().map(EventsFile::open).transpose()?;
        let outputs = outputs(args, tests).into_iter().map(|path| OutputDirectory::create(&path));
        let outputs = outputs.collect::<Result<_, _>>()?;
        // It may be in an output directory.
        let junit = args.junit_xml.as_deref().map(junit).transpose()?;
        Ok(Opened { events, junit, outputs })
    };
    open().map_err(|problem| {
        let mut report = Report::default();
        report.add(COMMAND_LINE, [problem]);
        report
    })
}

/// The report that `--junit-xml` names.
fn junit(path: &Path) -> Result<Junit, Problem> {
    Junit::create(path, None).map_err(|error| {
        Problem::user(format!("--junit-xml {}", path.display()), error.to_string(), "name a file that can be written")
    })
}

/// The output directory of each test.
fn outputs(args: &RunArgs, tests: &[Test]) -> Vec<PathBuf> {
    let single = args.tests.tests.len() == 1;
    let path = |test: &Test| match &args.output {
        Some(path) if single => path.clone(),
        path => path.as_deref().unwrap_or(Path::new(OUTPUT)).join(&test.spec.name),
    };
    tests.iter().map(path).collect()
}

fn summary(tests: &[Test], ended: &[(&Test, Status)]) {
    for (test, status) in ended {
        say(format_args!("{}: {}", test.file.display(), status.word()));
    }
    for test in &tests[ended.len()..] {
        say(format_args!("{}: not started", test.file.display()));
    }
    let passed = ended.iter().filter(|(_, status)| *status == Status::Passed).count();
    say(format_args!("{passed} of {} tests passed", tests.len()));
}
