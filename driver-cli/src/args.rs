//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;
use driver_core::event::Level;
use driver_core::spec::parse_duration;

use crate::attach::{self, AttachArgs};
use crate::clean::{self, CleanArgs};
use crate::ps::{self, PsArgs};

const EXAMPLES: &str = "\
Examples:
  tandem check hello.py                  find everything that would keep it from running
  tandem run hello.py                    run it; its record goes to tandem-out/hello
  tandem run -o /tmp/out a.py b.toml     run two, one after the other, in /tmp/out/a and /tmp/out/b
  tandem run --events /dev/stdout x.py | jq -c 'select(.event == \"command\")'";

const STATUSES: &str = "\
Exit status:
  0    every test passed
  1    a test said no (any exception of its script)
  2    the command line or a test file is wrong; nothing was started
  3    this host cannot run a test; nothing was started
  4    the driver, a backend, a boot or the host broke
  130  interrupted by Ctrl-C
  143  a test reached its global timeout, or SIGTERM

Environment:
  NO_COLOR    no colours, if it is not empty
  TANDEM_LOG  what the driver itself logs to standard error, such as `debug` or `driver_core=trace`";

const REPL: &str = "\
At the prompt:
  start_all()        starts the machines
  test_script()      runs the script, as it is now
  run_tests()        the same under the global timeout
  exit()             or Ctrl-D: the machines are gone
Ctrl-C stops a call, and not the machines; Ctrl-\\ ends everything.

The prompt is ptpython or IPython where Python has it. The standard one completes with TAB, and keeps what is typed in
$XDG_STATE_HOME/tandem/repl-history (~/.local/state/tandem/repl-history). Without a terminal, lines are read and run.";

const DOCTOR: &str = "\
Each thing that is needed is `ok`, `limited` (tests run, with less) or `missing`; `-` stands before what is not needed here.
Below what is limited or missing stand what it is for, and the lines to run or to write.

Examples:
  tandem doctor                                    what tests of any kind need
  tandem doctor hello.py                           what this test needs: its machines, and as many as it has
  tandem doctor --json | jq '.needs[] | select(.verdict == \"missing\")'

Exit status:
  0  the tests can run here; without a test: those of at least one backend can
  2  the command line or a test file is wrong
  3  a test cannot run here; without a test: none can

With --json, an object is written: `version` (1), `place` (host, user-namespace or nix-build), `needs`, `backends` and `tests`.
A need has `group`, `name`, `purpose`, `found`, `verdict` (ok, unused, limited or missing) and `cure`: `advice`, and `lines`, each with
`where` (shell, debian, fedora, nixos, nix-conf, derivation or kernel-command-line) and `lines`. Backends and tests have `name` and `runs`.";

/// Commands with a manual page of their own.
pub(crate) const MANUAL_PAGES: [&str; 9] =
    ["run", "repl", "check", "ps", "attach", "clean", "doctor", "completions", "man"];

/// Runs integration tests over real machines: containers and VMs on virtual networks, driven by a Python script.
#[derive(Debug, Parser)]
#[command(
    name = "tandem", version, max_term_width = 110,
    after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{STATUSES}"),
)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs tests one after another, each with machines and an output directory of its own.
    #[command(after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{STATUSES}"))]
    Run(RunArgs),
    /// Opens a Python prompt with a test's machines, of which none is started.
    #[command(after_help = REPL, after_long_help = REPL)]
    Repl(ReplArgs),
    /// Finds everything that would keep tests from running, and starts nothing.
    Check(CheckArgs),
    /// Shows the runs of this host and their machines.
    #[command(after_help = ps::HELP, after_long_help = ps::HELP)]
    Ps(PsArgs),
    /// Opens a shell in a machine of a run that goes on.
    #[command(after_help = attach::HELP, after_long_help = attach::HELP)]
    Attach(AttachArgs),
    /// Removes what runs left whose driver and keeper were both killed.
    #[command(after_help = clean::HELP, after_long_help = clean::HELP)]
    Clean(CleanArgs),
    /// Tells what this host, or the sandbox around it, has and lacks for tests, and what to do about it. Starts no machine.
    #[command(after_help = DOCTOR, after_long_help = DOCTOR)]
    Doctor(DoctorArgs),
    /// Prints the completions of a shell.
    #[command(after_help = "Example:\n  tandem completions bash > /etc/bash_completion.d/tandem")]
    Completions {
        /// The shell to write them for.
        shell: Shell,
    },
    /// Prints the manual page of tandem or of one of its commands.
    #[command(after_help = "Example:\n  tandem man run | man -l -")]
    Man {
        /// The command whose page it is.
        #[arg(value_parser = MANUAL_PAGES)]
        command: Option<String>,
    },
}

/// Which tests, and what is changed of them.
#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    /// Test files: Python with a `# /// script` block, TOML or JSON.
    #[arg(value_name = "TEST", required = true, value_hint = ValueHint::FilePath)]
    pub(crate) tests: Vec<PathBuf>,
    /// Puts every machine on this backend, whatever the test says.
    #[arg(long, value_name = "NAME")]
    pub(crate) backend: Option<String>,
    /// The Python that runs the scripts, 3.11 or newer: a path or a name on PATH [default: python3]
    #[arg(long, value_name = "P", value_hint = ValueHint::CommandName)]
    pub(crate) python: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) tests: TestArgs,
    /// Checks the types of the scripts too, by mypy, which the interpreter must have.
    #[arg(long)]
    pub(crate) types: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Test files, to which the look is limited.
    #[arg(value_name = "TEST", value_hint = ValueHint::FilePath)]
    pub(crate) tests: Vec<PathBuf>,
    /// Writes JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Looks only at what this backend needs; puts every machine of a test on it.
    #[arg(long, value_name = "NAME")]
    pub(crate) backend: Option<String>,
    /// The Python that runs the scripts, 3.11 or newer: a path or a name on PATH [default: python3]
    #[arg(long, value_name = "P", value_hint = ValueHint::CommandName)]
    pub(crate) python: Option<PathBuf>,
    /// Shows no colours.
    #[arg(long)]
    pub(crate) no_color: bool,
}

impl DoctorArgs {
    /// The same as tests to be checked.
    pub(crate) fn as_tests(&self) -> TestArgs {
        TestArgs { tests: self.tests.clone(), backend: self.backend.clone(), python: self.python.clone() }
    }
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) tests: TestArgs,
    /// Where the record and what the script copies go. With several tests, each gets a directory of its name in it [default: tandem-out/NAME]
    #[arg(short, long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) output: Option<PathBuf>,
    /// Writes the events of all tests to this file too, one JSON object a line.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) events: Option<PathBuf>,
    /// Writes a JUnit report to this file: a suite for each test, a case for each subtest and one for the rest.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) junit_xml: Option<PathBuf>,
    /// Ends each test after this time, whatever the test says: seconds, or such as `5m`.
    #[arg(long, value_name = "D", value_parser = duration)]
    pub(crate) global_timeout: Option<Duration>,
    /// Shows only what matters at least as much. Failures and verdicts are always shown, files always have everything.
    #[arg(long, value_name = "L", default_value = "info")]
    pub(crate) log_level: LogLevel,
    /// Shows no colours.
    #[arg(long)]
    pub(crate) no_color: bool,
    /// Stops at the first failure of a script and where it calls `debug.breakpoint()`, for a debugger at 127.0.0.1:4444.
    /// CMD is what the user is told to run with sudo, and with the number of a `sleep` process beside the debugger.
    #[arg(long, value_name = "CMD", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub(crate) debug_hook: Option<String>,
}

/// One test, and what is changed of it.
#[derive(Debug, Args)]
pub(crate) struct ReplArgs {
    /// The test file: Python with a `# /// script` block, TOML or JSON.
    #[arg(value_name = "TEST", value_hint = ValueHint::FilePath)]
    pub(crate) test: PathBuf,
    /// Puts every machine on this backend, whatever the test says.
    #[arg(long, value_name = "NAME")]
    pub(crate) backend: Option<String>,
    /// The Python of the prompt, 3.11 or newer: a path or a name on PATH [default: python3]
    #[arg(long, value_name = "P", value_hint = ValueHint::CommandName)]
    pub(crate) python: Option<PathBuf>,
    /// Where the record and what the script copies go [default: tandem-out/NAME]
    #[arg(short, long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) output: Option<PathBuf>,
    /// Ends a call of `run_tests()` after this time, and the prompt with it: seconds, or such as `5m`.
    #[arg(long, value_name = "D", value_parser = duration)]
    pub(crate) global_timeout: Option<Duration>,
    /// Shows only what matters at least as much. Files always have everything.
    #[arg(long, value_name = "L", default_value = "info")]
    pub(crate) log_level: LogLevel,
    /// Shows no colours.
    #[arg(long)]
    pub(crate) no_color: bool,
    /// Stops where `debug.breakpoint()` is called, as with `run`.
    #[arg(long, value_name = "CMD", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub(crate) debug_hook: Option<String>,
}

impl ReplArgs {
    /// The same as arguments of a run.
    pub(crate) fn as_run(&self) -> RunArgs {
        RunArgs {
            tests: TestArgs {
                tests: vec![self.test.clone()],
                backend: self.backend.clone(),
                python: self.python.clone(),
            },
            output: self.output.clone(),
            events: None,
            junit_xml: None,
            global_timeout: self.global_timeout,
            log_level: self.log_level,
            no_color: self.no_color,
            debug_hook: self.debug_hook.clone(),
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LogLevel {
    /// Every command with its output, too.
    Debug,
    /// Steps, consoles and journals.
    Info,
    /// Failed steps and what is odd.
    Warning,
    /// What went wrong.
    Error,
}

impl From<LogLevel> for Level {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Debug => Self::Debug,
            LogLevel::Info => Self::Info,
            LogLevel::Warning => Self::Warning,
            LogLevel::Error => Self::Error,
        }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| format!("it is {error}"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    use super::*;

    fn parse(line: &str) -> Result<Command, clap::Error> {
        CommandLine::try_parse_from(line.split_whitespace()).map(|line| line.command)
    }

    #[test]
    fn the_definition_is_sound() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn a_run_has_defaults() {
        let Ok(Command::Run(run)) = parse("tandem run a.py") else { panic!() };
        assert_eq!(run.tests.tests, [PathBuf::from("a.py")]);
        assert!(
            run.tests.python.is_none() && run.tests.backend.is_none() && run.output.is_none() && run.events.is_none()
        );
        assert!(run.junit_xml.is_none());
        assert!(run.global_timeout.is_none() && !run.no_color);
        assert_eq!(Level::from(run.log_level), Level::Info);
    }

    #[test]
    fn every_option_of_a_run_is_read() {
        let line = "tandem run a.py b.toml -o out --backend vm --events e --global-timeout 5m --python /v/bin/python \
                    --log-level error --no-color --junit-xml j.xml";
        let Ok(Command::Run(run)) = parse(line) else { panic!() };
        assert_eq!(run.tests.tests, [PathBuf::from("a.py"), PathBuf::from("b.toml")]);
        assert_eq!(run.tests.backend.as_deref(), Some("vm"));
        assert_eq!(run.tests.python, Some(PathBuf::from("/v/bin/python")));
        assert_eq!(run.output, Some(PathBuf::from("out")));
        assert_eq!(run.events, Some(PathBuf::from("e")));
        assert_eq!(run.junit_xml, Some(PathBuf::from("j.xml")));
        assert_eq!(run.global_timeout, Some(Duration::from_secs(300)));
        assert_eq!(Level::from(run.log_level), Level::Error);
        assert!(run.no_color);
    }

    #[test]
    fn a_debug_hook_may_name_a_command_and_takes_no_test() {
        for (option, hook) in
            [("", None), ("--debug-hook", Some("")), ("--debug-hook=/bin/attach", Some("/bin/attach"))]
        {
            let Ok(Command::Run(run)) = parse(&format!("tandem run {option} a.py")) else { panic!("{option}") };
            assert_eq!((run.debug_hook.as_deref(), &*run.tests.tests), (hook, &[PathBuf::from("a.py")][..]));
            let Ok(Command::Repl(repl)) = parse(&format!("tandem repl {option} a.py")) else { panic!("{option}") };
            assert_eq!((repl.as_run().debug_hook.as_deref(), repl.test), (hook, PathBuf::from("a.py")));
        }
    }

    #[test]
    fn a_doctor_needs_no_test() {
        let Ok(Command::Doctor(doctor)) = parse("tandem doctor") else { panic!() };
        assert!(doctor.tests.is_empty() && !doctor.json && !doctor.no_color);
        let Ok(Command::Doctor(doctor)) = parse("tandem doctor --json a.py b.py --backend vm --no-color") else {
            panic!()
        };
        assert!(doctor.json && doctor.no_color && doctor.as_tests().backend.as_deref() == Some("vm"));
        assert_eq!(doctor.as_tests().tests, [PathBuf::from("a.py"), PathBuf::from("b.py")]);
    }

    #[test]
    fn words_of_attach_can_be_left_out() {
        for (line, run, machine) in [("", None, None), ("ab", Some("ab"), None), ("ab m", Some("ab"), Some("m"))] {
            let Ok(Command::Attach(attach)) = parse(&format!("tandem attach {line}")) else { panic!("{line}") };
            assert_eq!((attach.run.as_deref(), attach.machine.as_deref()), (run, machine));
        }
        let Ok(Command::Clean(clean)) = parse("tandem clean --dry-run") else { panic!() };
        let Ok(Command::Ps(ps)) = parse("tandem ps --json") else { panic!() };
        assert!(clean.dry_run && ps.json);
    }

    #[test]
    fn wrong_usage_is_refused_with_its_reason() {
        for (line, kind, said) in [
            ("tandem run", ErrorKind::MissingRequiredArgument, "<TEST>..."),
            ("tandem check", ErrorKind::MissingRequiredArgument, "<TEST>..."),
            ("tandem repl", ErrorKind::MissingRequiredArgument, "<TEST>"),
            ("tandem repl a.py b.py", ErrorKind::UnknownArgument, "'b.py'"),
            ("tandem rum a.py", ErrorKind::InvalidSubcommand, "'run'"),
            ("tandem run a.py --output-dir x", ErrorKind::UnknownArgument, "'--output-dir'"),
            ("tandem run a.py --global-timeout soon", ErrorKind::ValueValidation, "not a time such as"),
            ("tandem run a.py --log-level loud", ErrorKind::InvalidValue, "warning"),
            ("tandem ps x", ErrorKind::UnknownArgument, "'x'"),
            ("tandem clean all", ErrorKind::UnknownArgument, "'all'"),
            ("tandem attach a b c", ErrorKind::UnknownArgument, "'c'"),
            ("tandem check a.py -o x", ErrorKind::UnknownArgument, "'-o'"),
        ] {
            let error = parse(line).unwrap_err();
            assert_eq!(error.kind(), kind, "{line}");
            assert!(error.to_string().contains(said), "{line}: {error}");
            assert_eq!(error.exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn help_shows_examples_and_statuses() {
        let mut command = CommandLine::command();
        assert!(command.render_help().to_string().contains("tandem run hello.py"));
        let long = command.render_long_help().to_string();
        for part in ["Examples:", "Exit status:", "143", "NO_COLOR"] {
            assert!(long.contains(part), "{part} in {long}");
        }
    }
}
