//! The program under upstream's name: `nixos-test-driver`, with the command line of nixpkgs' test driver, its configuration, its places and
//! its exit statuses. Whatever ran under that runs under this.
//!
//! `prefix` and `args` are the command line, `older` what it was before there were configurations; `place` is where things lie, `life` what
//! such a test says and does beside its script, `symbols` the second program, `generate-driver-symbols`.

mod args;
mod life;
mod older;
mod place;
mod prefix;
mod symbols;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use driver_core::backend::Backend;
use driver_core::log::{Junit, TerminalSettings};
use driver_core::spec::{Problem, TestSpec};

use crate::check::COMMAND_LINE;
use crate::exit::Status;
use crate::output::say;
use crate::report::Report;
use crate::script::Prompt;
use crate::session::Session;
use crate::stop::Stop;
use crate::{check, in_runtime};

use args::{Args, Mode, Stopped};
use place::Places;

pub(crate) use life::Life;
pub(crate) use place::state_root;

/// What is typed at the prompt is kept there, as upstream has it.
const HISTORY: &str = ".nixos-test-history";

/// What the suite of every test is called.
const SUITE: &str = "NixOS integration test";

/// The programs that this one is by other names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// `nixos-test-driver`.
    Driver,
    /// `generate-driver-symbols`.
    Symbols,
}

impl Program {
    /// The program that was called by this name, unless it is `tandem`.
    pub(crate) fn called(name: Option<&std::ffi::OsStr>) -> Option<Self> {
        match std::path::Path::new(name?).file_name()?.to_str()? {
            "nixos-test-driver" => Some(Self::Driver),
            "generate-driver-symbols" => Some(Self::Symbols),
            _ => None,
        }
    }

    /// Does what the process's command line says.
    pub(crate) fn main(self, backends: Vec<Arc<dyn Backend>>) -> ExitCode {
        match self {
            Self::Symbols => symbols::main(),
            Self::Driver => match args::parse(std::env::args_os(), |name| std::env::var_os(name)) {
                Err(stopped) => stopped.tell(),
                Ok(args) => {
                    let status = in_runtime(run(args, backends));
                    status_of(status).into()
                }
            },
        }
    }
}

/// Upstream's exit status: it tells apart neither a test that said no from a machine that broke, nor a wrong configuration from a host that
/// cannot run it.
fn status_of(status: Status) -> u8 {
    match status {
        Status::Passed | Status::Interrupted | Status::Terminated => status.code(),
        Status::Failed | Status::Broken | Status::Host | Status::Usage => Status::Failed.code(),
    }
}

/// Runs the test. The error is why it was not started.
async fn run(args: Args, backends: Vec<Arc<dyn Backend>>) -> Result<Status, Report> {
    args.hints.iter().for_each(say);
    let spec = checked(&args, &backends).await?;
    let mut report = Report::default();
    let (state, record, output) = match Places::claim(&args, &spec) {
        Ok(Places { state, record, output }) => (state, record, output),
        Err(problem) => {
            report.add("this host", [problem]);
            return Err(report);
        }
    };
    let stop = match Stop::listen() {
        Ok(stop) => stop,
        Err(error) => {
            say(format_args!("listening to signals failed: {error}"));
            return Ok(Status::Broken);
        }
    };
    let junit = match args.junit.as_ref().map(|path| junit(&output.join(path))).transpose() {
        Ok(junit) => junit,
        Err(problem) => {
            report.add(COMMAND_LINE, [problem]);
            return Err(report);
        }
    };
    let prompt = (args.mode == Mode::Interactive).then(|| Prompt::new(HISTORY));
    let mut session = Session {
        backends,
        python: None,
        terminal: TerminalSettings { plain_steps: true, ..TerminalSettings::of_stderr(args.log_level) },
        events: None,
        stop,
        xml: args.xml.clone(),
        junit,
        debug_hook: args.debug_hook.clone(),
        prompt,
        upstream: Some(Life { output, state }),
    };
    let status = session.run(&spec, record.directory()).await.status;
    record.finish(status);
    Ok(status)
}

/// The report that `--junit-xml` names.
fn junit(path: &Path) -> Result<Junit, Problem> {
    Junit::create(path, Some(SUITE)).map_err(|error| {
        Problem::user(format!("--junit-xml {}", path.display()), error.to_string(), "name a file that can be written")
    })
}

/// The test, if nothing keeps it from running.
async fn checked(args: &Args, backends: &[Arc<dyn Backend>]) -> Result<TestSpec, Report> {
    let (about, spec, problems) = args.test();
    let mut report = Report::default();
    report.add(&about, problems);
    if let Some(spec) = &spec {
        report.add(&about, check::problems(spec, backends).await);
    }
    match spec {
        Some(spec) if report.is_empty() => Ok(spec),
        _ => Err(report),
    }
}

impl Stopped {
    /// Says why nothing is run.
    fn tell(self) -> ExitCode {
        match self {
            Self::Help(text) => {
                crate::written(std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes())).into()
            }
            Self::Wrong(text) => {
                say(text);
                Status::Usage.into()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_told_by_its_name() {
        for (name, program) in [
            ("/nix/store/x/bin/nixos-test-driver", Some(Program::Driver)),
            ("nixos-test-driver", Some(Program::Driver)),
            ("./generate-driver-symbols", Some(Program::Symbols)),
            ("/usr/bin/tandem", None),
            ("tandem-under-test", None),
            ("nixos-test-driver/tandem", None),
            ("", None),
        ] {
            assert_eq!(Program::called(Some(name.as_ref())), program, "{name}");
        }
        assert_eq!(Program::called(None), None);
    }

    #[test]
    fn statuses_are_upstreams() {
        let all = [
            Status::Passed,
            Status::Failed,
            Status::Broken,
            Status::Host,
            Status::Usage,
            Status::Interrupted,
            Status::Terminated,
        ];
        assert_eq!(all.map(status_of), [0, 1, 1, 1, 1, 130, 143]);
    }
}
