//! One test from its first event to its last.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use driver_core::backend::Backend;
use driver_core::event::{Kind, Level, Outcome, Recorder};
use driver_core::log::{Jsonl, Junit, OutputDirectory, Terminal, TerminalSettings, WriteFaults, Xml};
use driver_core::run::Run;
use driver_core::spec::TestSpec;

use crate::events::EventsFile;
use crate::exit::Status;
use crate::failure;
use crate::nixos::Life;
use crate::output::say;
use crate::script::{Captures, Interpreter, Options, Prompt, ScriptOutcome, Test, Timer};
use crate::stop::Stop;

/// What the tests of one command have in common.
pub(crate) struct Session {
    pub(crate) backends: Vec<Arc<dyn Backend>>,
    pub(crate) python: Option<PathBuf>,
    pub(crate) terminal: TerminalSettings,
    pub(crate) events: Option<EventsFile>,
    /// Where the XML file goes that the NixOS test driver writes; for one test.
    pub(crate) xml: Option<PathBuf>,
    pub(crate) junit: Option<Junit>,
    pub(crate) stop: Stop,
    /// Turns breakpoints on (see [`Options::debug_hook`]).
    pub(crate) debug_hook: Option<String>,
    /// What asks for what to do, instead of the scripts.
    pub(crate) prompt: Option<Prompt>,
    /// What is different for a test of upstream's.
    pub(crate) upstream: Option<Life>,
}

/// How a test ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    /// What its record says.
    pub(crate) outcome: Outcome,
    /// What it makes of the program's exit status.
    pub(crate) status: Status,
}

impl From<Outcome> for Ended {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, status: outcome.into() }
    }
}

impl Ended {
    /// A pass cannot stand if something else went wrong; any other end can.
    fn at_best(self, outcome: Outcome) -> Self {
        if self.outcome == Outcome::Passed { outcome.into() } else { self }
    }
}

impl Session {
    /// Runs one test, which must have passed all checks. When it returns, nothing of it is left but its output.
    pub(crate) async fn run(&mut self, spec: &TestSpec, output: &OutputDirectory) -> Ended {
        let faults = WriteFaults::default();
        // A script that switches the consoles off does so for itself only.
        let consoles = Arc::new(AtomicBool::new(true));
        let recorder = match self.recorder(spec, output, consoles.clone(), &faults) {
            Ok(recorder) => recorder,
            Err(error) => {
                say(format_args!("test {}: {error}", spec.name));
                return Outcome::Broken.into();
            }
        };
        recorder.record(Kind::RunStarted { test: spec.name.clone(), version: env!("CARGO_PKG_VERSION").into() });
        for note in driver_core::run::notes(spec, &self.backends) {
            recorder.message(Level::Info, note);
        }
        let mut ended = self.drive(spec, output, &recorder, consoles).await;
        for fault in faults.take() {
            recorder.message(Level::Error, failure::with_causes(&fault));
            ended = ended.at_best(Outcome::Broken);
        }
        recorder.record(Kind::RunFinished { outcome: ended.outcome, elapsed: recorder.elapsed().as_secs_f64() });
        // Some reports are written only now.
        for fault in faults.take() {
            say(failure::with_causes(&fault));
            ended = ended.at_best(Outcome::Broken);
        }
        ended
    }

    fn recorder(
        &self,
        spec: &TestSpec,
        output: &OutputDirectory,
        consoles: Arc<AtomicBool>,
        faults: &WriteFaults,
    ) -> Result<Recorder, String> {
        let machines = spec.machines.iter().map(|machine| machine.name.as_str());
        let mut sinks = output.sinks(machines, faults).map_err(|problem| problem.to_string())?;
        if let Some(events) = &self.events {
            let file = events.file().map_err(|error| format!("{}: {error}", events.path().display()))?;
            sinks.push(Box::new(Jsonl::new(file, events.path(), faults)));
        }
        if let Some(path) = &self.xml {
            let xml = Xml::create(path, faults).map_err(|error| format!("{}: {error}", path.display()))?;
            sinks.push(Box::new(xml));
        }
        if let Some(junit) = &self.junit {
            sinks.push(junit.sink(faults));
        }
        // The record of a test of upstream's is told of by whoever decides whether it stays.
        let shown = self.upstream.is_none().then(|| output.path().to_owned());
        let settings = TerminalSettings { consoles, output: shown, ..self.terminal.clone() };
        let settings = if self.prompt.is_some() { settings.beside_a_prompt() } else { settings };
        let terminal = Terminal::stderr(settings).map_err(|error| format!("starting a thread failed: {error}"))?;
        sinks.push(Box::new(terminal));
        Ok(Recorder::new(sinks))
    }

    /// From the run's start to its end. The first reason to end it is the one that counts, but for a signal.
    async fn drive(
        &mut self,
        spec: &TestSpec,
        output: &OutputDirectory,
        recorder: &Recorder,
        consoles: Arc<AtomicBool>,
    ) -> Ended {
        // Scripts may change their directory.
        let directory = match &self.upstream {
            Some(life) => life.output.clone(),
            None => std::path::absolute(output.path()).unwrap_or_else(|_| output.path().to_owned()),
        };
        if let Some(Err(error)) = self.upstream.as_ref().map(|life| life.begin(spec, recorder)) {
            recorder
                .record(Kind::Failure { report: format!("making the machines' state directories failed: {error}") });
            return Outcome::Broken.into();
        }
        let state = self.upstream.as_ref().map(|life| &life.state);
        // Neither start nor end takes long, and a half-made run can only be undone by blocking this thread.
        let start = Run::start_in(spec, &self.backends, recorder.clone(), &directory, state);
        let ended = match self.stop.outlast(start, recorder).await {
            Err(error) => failure::record(recorder, &error).into(),
            Ok(run) => {
                let options = Options::new(spec, self.python.as_deref(), run.directory());
                let options =
                    Options { init: Some(run.init().clone()), debug_hook: self.debug_hook.clone(), ..options };
                let captures = Captures::default();
                let test = Test {
                    name: spec.name.clone(),
                    output: directory.clone(),
                    global_timeout: spec.global_timeout,
                    boot_timeout: spec.boot_timeout,
                    machines: run.machines().to_vec(),
                    vlans: run.vlans().to_vec(),
                    recorder: recorder.clone(),
                    announces: self.upstream.is_some(),
                    consoles_shown: consoles,
                    captures: captures.clone(),
                    timer: Timer::default(),
                    maker: Some(run.maker().clone()),
                };
                let mut ended = self.script(options, test).await;
                for failure in self.stop.outlast(captures.finish(), recorder).await {
                    ended = ended.at_best(failure::record(recorder, &failure));
                }
                let failures = self.stop.outlast(run.finish(), recorder).await;
                for failure in &failures {
                    recorder.message(Level::Error, format!("cleaning up failed: {}", failure::with_causes(failure)));
                }
                if failures.is_empty() { ended } else { ended.at_best(Outcome::Broken) }
            }
        };
        match self.stop.asked() {
            Some(status) => Ended { outcome: Outcome::Interrupted, status },
            None => ended,
        }
    }

    /// Runs the script until it ends or is ended.
    async fn script(&mut self, options: Options, test: Test) -> Ended {
        if self.stop.asked().is_some() {
            return Outcome::Interrupted.into();
        }
        let (recorder, limit, timer) = (test.recorder.clone(), test.global_timeout, test.timer.clone());
        let prompt = self.prompt.clone();
        if prompt.is_none() {
            timer.set(Some(limit));
        }
        // Said before the script is cancelled, so that the record has cause and effect in their order.
        let timeout = async {
            timer.reached().await;
            // As the NixOS test driver says it.
            recorder.message(Level::Error, "timeout reached; test terminating...");
        };
        // A prompt says when its script runs.
        let upstream = self.upstream.is_some() && prompt.is_none();
        let work = async {
            if !upstream {
                return script(options, test, prompt.as_ref()).await;
            }
            Life::before_script(limit, &recorder);
            let (began, machines) = (Instant::now(), test.machines.clone());
            let outcome = script(options, test, None).await;
            if outcome == Outcome::Passed {
                Life::after_script(&machines, began, &recorder).await;
            }
            outcome
        };
        tokio::select! {
            ended = work => ended.into(),
            _ = self.stop.signal(&recorder) => Outcome::Interrupted.into(),
            () = timeout => Outcome::TimedOut.into(),
        }
    }
}

/// Runs the script to its end, or the prompt.
async fn script(options: Options, test: Test, prompt: Option<&Prompt>) -> Outcome {
    let recorder = test.recorder.clone();
    let broken = |report: String| {
        recorder.record(Kind::Failure { report });
        Outcome::Broken
    };
    let mut interpreter = match Interpreter::start(options).await {
        Ok(interpreter) => interpreter,
        Err(problem) => return broken(problem.to_string()),
    };
    // The script was checked before, but not by this interpreter, and it may have changed.
    let problems = interpreter.problems().await;
    if !problems.is_empty() {
        return broken(driver_core::spec::list(&problems));
    }
    let ended = match prompt {
        Some(prompt) => interpreter.converse(test, prompt).await,
        None => interpreter.run(test).await,
    };
    match ended {
        Ok(ScriptOutcome::Passed) => Outcome::Passed,
        Ok(ScriptOutcome::Failed(_)) => Outcome::Failed,
        Ok(ScriptOutcome::MachineFailed(_) | ScriptOutcome::Crashed(_)) => Outcome::Broken,
        Ok(ScriptOutcome::Left) => Outcome::Interrupted,
        Err(error) => broken(format!("running the script failed: {error}")),
    }
}
