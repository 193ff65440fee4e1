//! Upstream's command line.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser, ValueHint};
use driver_core::event::Level;
use driver_core::spec::{self, Problem, TestSpec};
use rustix::fs::{Access, access};

use crate::args::LogLevel;

use super::older::Older;
use super::prefix;

const USAGE: &str = "\
usage: nixos-test-driver [-h] -c PATH [-K] [-I | --no-interactive] [-o DIR] [--junit-xml PATH]
                         [--log-level {debug,info,warning,error}] [--debug-hook-attach CMD]";

const EXAMPLES: &str = "\
Examples:
  nixos-test-driver -c test.json            run the test; files that it copies go to this directory
  nixos-test-driver -c test.json -o out     the same, they go to out
  nixos-test-driver -c test.json -K         keep the state of machines, and begin with what was kept
  nixos-test-driver -c test.json -I         a Python prompt instead of the script

Options may be cut short as long as it is clear which one is meant. The last of several counts.

The state of machines lies in vm-state-NAME and shared-xchg in $XDG_RUNTIME_DIR, else in the directory for temporary files \
($TMPDIR, $TEMP, $TMP, /tmp). It is removed at the test's end, unless -K keeps it. A driver that finds it in use has its own \
in a directory beside it; with -K it is refused.

Beside it, in tandem-record, lies the record of a test that did not pass: events.jsonl, the console and the journal of each \
machine. It stays until the next test. TANDEM_RECORD names another directory for it, where it stays whatever the verdict. The \
output directory holds what the test puts there, and nothing else.

Exit status:
  0    the test passed
  1    it failed, a machine broke, or it could not be started
  2    the command line is wrong
  130  interrupted by Ctrl-C
  143  the test reached its global timeout, or SIGTERM

Environment:
  LOGFILE          where a log in XML is written
  logLevel         what --log-level is without it
  XDG_RUNTIME_DIR  where state lies, see above
  TANDEM_RECORD    where the record of the test goes, see above; may be the output directory
  NO_COLOR         no colours, if it is not empty";

/// Runs a test of NixOS': boots its machines and runs its script. This is tandem under another name; see also `tandem --help`.
#[derive(Debug, Parser)]
#[command(
    name = "nixos-test-driver", args_override_self = true, max_term_width = 120,
    override_usage = USAGE.trim_start_matches("usage: "), after_help = EXAMPLES,
)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option")]
struct Line {
    /// The test's configuration, a JSON file that nixpkgs writes. `tandem run` takes it, too.
    #[arg(short, long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    config: Option<PathBuf>,
    /// Keeps the state of machines, and begins with what is there of an earlier test.
    #[arg(short = 'K', long)]
    keep_machine_state: bool,
    #[arg(long, hide = true)]
    keep_vm_state: bool,
    /// Opens a Python prompt instead of running the script.
    #[arg(short = 'I', long, overrides_with = "no_interactive")]
    interactive: bool,
    /// Runs the script, after all.
    #[arg(long, overrides_with = "interactive")]
    no_interactive: bool,
    /// Where the files go that the test copies; must exist [default: the working directory]
    #[arg(short, long = "output_directory", value_name = "DIR", value_hint = ValueHint::DirPath)]
    output: Option<PathBuf>,
    /// Writes a report for machines to read. The path begins in the output directory.
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    junit_xml: Option<PathBuf>,
    /// Shows only what matters at least as much. Failures are always shown.
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<LogLevel>,
    /// Stops at the first failure and waits for someone to attach, by this program.
    #[arg(long, value_name = "CMD", value_hint = ValueHint::CommandName)]
    debug_hook_attach: Option<String>,
    #[command(flatten)]
    older: Older,
}

/// What the user asked for.
#[derive(Debug)]
pub(super) struct Args {
    config: Option<PathBuf>,
    older: Older,
    pub(super) keep: bool,
    pub(super) mode: Mode,
    pub(super) output: PathBuf,
    pub(super) log_level: Level,
    /// As given.
    pub(super) junit: Option<PathBuf>,
    pub(super) xml: Option<PathBuf>,
    /// Where the record goes and stays, unless that is nobody's concern.
    pub(super) record: Option<PathBuf>,
    pub(super) debug_hook: Option<String>,
    /// What the user should know of this command line although it is not wrong.
    pub(super) hints: Vec<&'static str>,
}

/// What is done with the machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// The script runs.
    Run,
    /// Somebody sits at a prompt.
    Interactive,
}

/// Why nothing is run.
#[derive(Debug)]
pub(super) enum Stopped {
    /// Help was asked for.
    Help(String),
    /// The command line is wrong.
    Wrong(String),
}

/// Reads a command line with the program's name, and the environment.
pub(super) fn parse(
    words: impl IntoIterator<Item = OsString>,
    environment: impl Fn(&str) -> Option<OsString>,
) -> Result<Args, Stopped> {
    let wrong = |message: String| Stopped::Wrong(format!("{USAGE}\nnixos-test-driver: error: {message}"));
    let words = prefix::in_full(words).map_err(wrong)?;
    let line = Line::try_parse_from(words).map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp => Stopped::Help(error.to_string()),
        _ => wrong(told(&error)),
    })?;
    // An empty variable is one that somebody wants to be none.
    let environment = |name: &str| environment(name).filter(|value| !value.is_empty());
    let (mut older, mut hints) = (line.older, Vec::new());
    if line.config.is_some() {
        older.refuse().map_err(wrong)?;
    } else {
        older.complete(&environment).map_err(wrong)?;
        if older.is_empty() {
            return Err(wrong("the following arguments are required: -c/--config".into()));
        }
        hints.push("hint: start scripts, VLANs and script are all in the file that --config names, which has replaced these options");
    }
    let log_level = match (line.log_level, environment("logLevel")) {
        (Some(level), _) => level,
        (None, Some(word)) => level(&word.to_string_lossy()).map_err(wrong)?,
        (None, None) => LogLevel::Info,
    };
    if let Some(output) = &line.output {
        writable(output).map_err(wrong)?;
    }
    if line.keep_vm_state {
        hints.push("DeprecationWarning: --keep-vm-state is deprecated. Use --keep-machine-state instead.");
    }
    let output = line.output.as_deref().unwrap_or(Path::new("."));
    Ok(Args {
        config: line.config,
        older,
        keep: line.keep_machine_state || line.keep_vm_state,
        mode: if line.interactive { Mode::Interactive } else { Mode::Run },
        output: absolute(output).map_err(|error| wrong(format!("the working directory is gone: {error}")))?,
        log_level: log_level.into(),
        junit: line.junit_xml,
        xml: environment("LOGFILE").map(PathBuf::from),
        record: environment("TANDEM_RECORD").map(PathBuf::from),
        debug_hook: line.debug_hook_attach,
        hints,
    })
}

impl Args {
    /// The test, as far as it can be read, with what is wrong with it, and what it was read from.
    pub(super) fn test(&self) -> (String, Option<TestSpec>, Vec<Problem>) {
        let Some(path) = &self.config else { return self.older.test() };
        let (spec, problems) = spec::examine_configuration(path);
        (path.display().to_string(), spec, problems)
    }
}

/// What argparse would say, from what clap does.
fn told(error: &clap::Error) -> String {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.as_str(),
        _ => "",
    };
    let (argument, value) = (context(ContextKind::InvalidArg), context(ContextKind::InvalidValue));
    match error.kind() {
        ErrorKind::UnknownArgument => format!("unrecognized arguments: {argument}"),
        ErrorKind::InvalidValue if value.is_empty() => format!("argument {}: expected one argument", names(argument)),
        ErrorKind::InvalidValue if argument.starts_with("--log-level") => level(value).err().unwrap_or_default(),
        ErrorKind::TooManyValues => format!("argument {}: ignored explicit argument '{value}'", names(argument)),
        _ => {
            let text = error.to_string();
            text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
        }
    }
}

/// All names of an option, of which clap tells one, with its value.
fn names(argument: &str) -> String {
    let long = argument.split([' ', '=']).next().unwrap_or_default();
    let command = Line::command();
    let option = command.get_arguments().find(|option| option.get_long() == long.strip_prefix("--"));
    let short = option.and_then(clap::Arg::get_short).map(|short| format!("-{short}/")).unwrap_or_default();
    format!("{short}{long}")
}

fn level(word: &str) -> Result<LogLevel, String> {
    <LogLevel as clap::ValueEnum>::from_str(word, false).map_err(|_| {
        format!("argument --log-level: invalid choice: '{word}' (choose from 'debug', 'info', 'warning', 'error')")
    })
}

/// Fails unless it is a directory that can be written to.
fn writable(path: &Path) -> Result<(), String> {
    let wrong =
        |what: &str| Err(format!("argument -o/--output_directory: {} is not a {what}directory", path.display()));
    if !path.is_dir() {
        return wrong("");
    }
    if access(path, Access::WRITE_OK | Access::EXEC_OK).is_err() {
        return wrong("writable ");
    }
    Ok(())
}

/// The path without links, as upstream makes it, or at least from the root.
fn absolute(path: &Path) -> std::io::Result<PathBuf> {
    path.canonicalize().or_else(|_| std::path::absolute(path))
}

#[cfg(test)]
mod tests;
