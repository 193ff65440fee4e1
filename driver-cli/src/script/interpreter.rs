//! A Python interpreter that checks a script and then runs it.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use driver_core::spec::{Problem, TestSpec};
use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::UnixStream;
use tokio::process::Command;
use tokio::time::timeout;

use super::output::Output;
use super::package;
use super::problem::{Verdict, unusable};
use super::process::Process;
use super::prompt::Prompt;
use super::server::Server;
use super::session::{Said, Session, Test};
use super::word::{self, Word};
use crate::repl::Foreground;

/// How long an interpreter may take to start and to check a script.
const CHECK_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a script's threads and what it registered with `atexit` may go on once it has failed.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(10);

/// The first code that the interpreter runs; its argument is where the package lies. Any Python understands it.
const BEGINNING: &str = "\
import sys
if sys.version_info < (3, 11):
    sys.exit('it is Python %d.%d' % sys.version_info[:2])
sys.path[:] = [sys.argv.pop(1)] + [place for place in sys.path if place]
from test_driver.bootstrap import main
main()
";

/// What an interpreter is started for.
#[derive(Clone, Debug)]
pub struct Options {
    /// The script, as an absolute path.
    pub script: PathBuf,
    /// PEP 723's `requires-python`.
    pub requires_python: Option<String>,
    /// PEP 723's `dependencies`.
    pub dependencies: Vec<String>,
    /// The interpreter that the user named instead of `python3`.
    pub python: Option<PathBuf>,
    /// A directory that only this user can enter. The package and the socket go there; the caller removes it.
    pub directory: PathBuf,
    /// A pidfd of the run's init. In its namespaces, all that the script starts ends with the run, however that ends. Without it, processes
    /// that the script put into a session of their own outlive it.
    pub init: Option<Arc<OwnedFd>>,
    /// Turns breakpoints on, where a failure is one: the command by which a person comes to one, or nothing (see the Python module `debug`).
    pub debug_hook: Option<String>,
}

impl Options {
    /// Options for a test, with no init.
    pub fn new(spec: &TestSpec, python: Option<&Path>, directory: impl Into<PathBuf>) -> Self {
        Self {
            script: spec.script.clone(),
            requires_python: spec.requires_python.clone(),
            dependencies: spec.dependencies.clone(),
            python: python.map(Path::to_owned),
            directory: directory.into(),
            init: None,
            debug_hook: None,
        }
    }

    fn program(&self) -> &Path {
        self.python.as_deref().unwrap_or(Path::new("python3"))
    }

    fn unusable(&self, why: &str) -> Problem {
        unusable(self.program(), self.python.is_some(), why)
    }
}

/// How a script ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScriptOutcome {
    /// It ran to its end.
    Passed,
    /// It ended in another way. The report, of several lines, is what people are told; it is in the record.
    Failed(String),
    /// A machine, its backend or the host broke, and the script did not catch that. The report is in the record, too.
    MachineFailed(String),
    /// Its interpreter was killed. The report is in the record, too.
    Crashed(String),
    /// There was a prompt instead, and whoever was there ended it with Ctrl-\ or by closing the terminal.
    Left,
}

/// A Python interpreter that has a script and does not run it yet. Dropping it kills it.
#[derive(Debug)]
pub struct Interpreter {
    options: Options,
    process: Process,
    channel: BufReader<UnixStream>,
    output: Arc<Output>,
}

impl Interpreter {
    /// Starts the interpreter, which begins to check the script. Does not wait for that.
    pub async fn start(options: Options) -> Result<Self, Problem> {
        Self::start_with(options, &["-u", "-B"]).await
    }

    /// The same for an interpreter that is not going to run the script. It need not see installed packages unless the script asks for some,
    /// and to look for them takes as long as all the rest.
    pub(super) async fn start_for_check(options: Options) -> Result<Self, Problem> {
        let arguments: &[_] = if options.dependencies.is_empty() { &["-u", "-B", "-S"] } else { &["-u", "-B"] };
        Self::start_with(options, arguments).await
    }

    async fn start_with(options: Options, arguments: &[&str]) -> Result<Self, Problem> {
        match Self::try_start(&options, arguments).await {
            Ok((process, channel, output)) => Ok(Self { options, process, channel, output: Arc::new(output) }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(options.unusable("there is no such program")),
            Err(error) => Err(options.unusable(&format!("cannot be started: {error}"))),
        }
    }

    async fn try_start(options: &Options, arguments: &[&str]) -> io::Result<(Process, BufReader<UnixStream>, Output)> {
        package::unpack(&options.directory)?;
        let (output, printed) = Output::pipe()?;
        let (channel, its_channel) = std::os::unix::net::UnixStream::pair()?;
        channel.set_nonblocking(true)?;
        let channel = BufReader::new(UnixStream::from_std(channel)?);
        let mut command = Command::new(options.program());
        command.args(arguments).args(["-c", BEGINNING]).arg(&options.directory);
        command
            .arg(&options.script)
            .arg(options.requires_python.as_deref().unwrap_or_default())
            .args(&options.dependencies);
        command.stdin(OwnedFd::from(its_channel)).stdout(printed.try_clone()?).stderr(printed);
        let process = Process::start(command, options.init.clone()).await?;
        Ok((process, channel, output))
    }

    /// What is wrong with the script, and what the interpreter lacks for it.
    pub async fn problems(&mut self) -> Vec<Problem> {
        let why = match timeout(CHECK_TIMEOUT, self.verdict()).await {
            Ok(Ok(verdict)) => return verdict.problems(&self.options.script, self.options.program()),
            Ok(Err(why)) => why,
            Err(_) => format!("it did not look at the script within {} s", CHECK_TIMEOUT.as_secs()),
        };
        vec![self.options.unusable(&why)]
    }

    /// What the interpreter says of the script, or why it says nothing.
    async fn verdict(&mut self) -> Result<Verdict, String> {
        let mut line = String::new();
        match self.channel.read_line(&mut line).await {
            Ok(length) if length > 0 => serde_json::from_str(&line)
                .map_err(|error| format!("it says something that none of its kind says: {error}")),
            _ => Err(self.last_words().await),
        }
    }

    /// Why an interpreter ended that should have checked a script.
    async fn last_words(&mut self) -> String {
        let ended = self.process.wait().await.map_or_else(|error| error.to_string(), |status| status.to_string());
        let mut last = None;
        self.output.drain_all(|line| last = Some(line).filter(|line| !line.trim().is_empty()).or(last.take()));
        last.unwrap_or_else(|| format!("it ended at once with {ended}"))
    }

    /// Runs the script; call it after [`problems`](Self::problems) found none. Dropping the future kills the script and all that it started.
    pub async fn run(mut self, test: Test) -> io::Result<ScriptOutcome> {
        let session = Arc::new(Session::new(test, Some(self.output.clone())));
        let (_server, address) = self.serve(&session)?;
        // If it is gone already, its exit status tells how.
        let _ = self.say_the_word(&address, None).await;
        // A script that has failed may have a thread that never ends; or it waits for a person to look at it.
        let attended = self.options.debug_hook.is_some();
        let overdue = async {
            session.failed().await;
            if attended {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(LEAVE_TIMEOUT).await;
        };
        let status = tokio::select! {
            status = self.process.wait() => Some(status?),
            () = overdue => None,
            never = self.output.pump(|line| session.print(line)) => match never {},
        };
        self.output.drain_all(|line| session.print(line));
        let outcome = outcome(session.said(), status.unwrap_or_default());
        if let (ScriptOutcome::Failed(report) | ScriptOutcome::Crashed(report), None | Some(Said::Success)) =
            (&outcome, session.said())
        {
            session.say(Said::Failure(report.clone()));
        }
        Ok(outcome)
    }

    /// Does not run the script but asks at standard input what to do, with the script at hand; else as [`run`](Self::run). While the prompt is
    /// there the terminal is the interpreter's: its foreground, its modes.
    pub async fn converse(mut self, test: Test, prompt: &Prompt) -> io::Result<ScriptOutcome> {
        let session = Arc::new(Session::at_a_prompt(test, Some(self.output.clone())));
        let (_server, address) = self.serve(&session)?;
        let terminal = Foreground::of_stdin()?;
        let lent = terminal.as_ref().zip(self.process.group());
        if let Some((terminal, group)) = lent {
            terminal.lend(group);
        }
        let stops = async {
            match lent {
                Some((terminal, group)) => terminal.stop_with(group).await,
                None => std::future::pending().await,
            }
        };
        let _ = self.say_the_word(&address, Some(prompt)).await;
        let status = tokio::select! {
            status = self.process.wait() => status?,
            never = self.output.pump(|line| session.print(line)) => match never {},
            never = stops => match never {},
        };
        drop(terminal);
        let leaves = [Signal::QUIT, Signal::HUP, Signal::TERM].map(Signal::as_raw);
        if status.signal().is_some_and(|signal| leaves.contains(&signal)) {
            return Ok(ScriptOutcome::Left);
        }
        let outcome = outcome(session.said(), status);
        if let (ScriptOutcome::Failed(report) | ScriptOutcome::Crashed(report), None | Some(Said::Success)) =
            (&outcome, session.said())
        {
            session.say(Said::Failure(report.clone()));
        }
        Ok(outcome)
    }

    fn serve(&self, session: &Arc<Session>) -> io::Result<(Server, PathBuf)> {
        let socket = self.options.directory.join("driver.socket");
        Ok((Server::serve(&socket, session.clone())?, socket))
    }

    async fn say_the_word(&mut self, address: &Path, prompt: Option<&Prompt>) -> io::Result<()> {
        let debug_hook = self.options.debug_hook.as_deref();
        let history = prompt.map(|prompt| prompt.history.as_path());
        word::say(self.channel.get_mut(), &Word { address, debug_hook, history }).await?;
        if prompt.is_some() { word::hand_over_terminal(self.channel.get_ref()).await } else { Ok(()) }
    }
}

fn outcome(said: Option<Said>, status: ExitStatus) -> ScriptOutcome {
    match (said, status.code()) {
        (Some(Said::Failure(report)), _) => ScriptOutcome::Failed(report),
        (Some(Said::MachineFailure(report)), _) => ScriptOutcome::MachineFailed(report),
        (Some(Said::Success), Some(0)) => ScriptOutcome::Passed,
        (Some(Said::Success), Some(status)) => ScriptOutcome::Failed(format!(
            "the script came to its end, but then the interpreter ended with status {status}"
        )),
        (None, Some(status)) => ScriptOutcome::Failed(format!(
            "the interpreter ended with status {status} before the script came to its end, as os._exit() does"
        )),
        (_, None) => ScriptOutcome::Crashed(format!("the interpreter was killed by {status}")),
    }
}
