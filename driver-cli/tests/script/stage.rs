//! A test with fake machines, whose commands the host's bash runs, and a real interpreter.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use driver_cli::script::{Captures, Interpreter, Options, ScriptOutcome, Test, Timer};
use driver_core::event::{Event, Kind, Level, Recorder, Sink, SpanId};
use driver_core::fake::{FakeBackend, FakeMachine, Reply};
use driver_core::lan::Vlan;
use driver_core::machine::{self, Machine};
use driver_core::spec::{Lan, Machined, TestSpec};
use tempfile::TempDir;

/// Long enough for everything, short enough to wait for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone, Default)]
struct Record(Arc<Mutex<Vec<Event>>>);

impl Sink for Record {
    fn event(&mut self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}

pub(crate) struct Stage {
    directory: TempDir,
    backend: FakeBackend,
    names: Vec<String>,
    record: Record,
    recorder: Recorder,
    vlans: Vec<Vlan>,
    pub(crate) captures: Captures,
    pub(crate) consoles_shown: Arc<AtomicBool>,
}

impl Stage {
    /// A test of containers with these names, in order.
    pub(crate) fn new(names: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let backend = FakeBackend::named("container");
        for name in names {
            backend.machine(name).reply("", Reply::host(directory.path()));
        }
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let record = Record::default();
        Self {
            directory,
            backend,
            names,
            recorder: Recorder::new(vec![Box::new(record.clone())]),
            record,
            vlans: Vec::new(),
            captures: Captures::default(),
            consoles_shown: Arc::new(AtomicBool::new(true)),
        }
    }

    /// The same with a LAN, on which all of them are.
    pub(crate) fn with_lan(names: &[&str]) -> Self {
        let mut stage = Self::new(names);
        let output = stage.output();
        let vlan = stage.backend.on_one_lan(names, stage.recorder.clone(), &output).unwrap();
        stage.vlans = vec![vlan];
        stage
    }

    /// The output directory.
    pub(crate) fn output(&self) -> PathBuf {
        self.path().join("out")
    }

    /// The directory in which commands run and the script lies.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn script_path(&self) -> PathBuf {
        self.path().join("test.py")
    }

    pub(crate) fn fake(&self, name: &str) -> FakeMachine {
        self.backend.machine(name)
    }

    pub(crate) fn write(&self, script: &str) {
        std::fs::write(self.script_path(), script).unwrap();
    }

    pub(crate) fn spec(&self) -> TestSpec {
        TestSpec {
            name: "stage".into(),
            script: self.script_path(),
            requires_python: None,
            dependencies: Vec::new(),
            global_timeout: Duration::from_secs(3600),
            boot_timeout: Duration::from_secs(300),
            machined: Machined::Never,
            ssh_backdoor: false,
            lan: Lan::Auto,
            machines: self.names.iter().map(|name| self.fake(name).spec()).collect(),
            notes: Vec::new(),
        }
    }

    pub(crate) fn options(&self) -> Options {
        let private = self.path().join("private");
        std::fs::create_dir_all(&private).unwrap();
        Options::new(&self.spec(), None, private)
    }

    pub(crate) fn test(&self) -> Test {
        let recorder = self.recorder.clone();
        let output = self.output();
        std::fs::create_dir_all(&output).unwrap();
        let options = machine::Options::new(&output);
        let machine = |name: &String| {
            let fake = self.fake(name);
            Machine::new(fake.spec(), Arc::new(fake.clone()), recorder.clone(), options.clone())
        };
        Test {
            name: "stage".into(),
            output,
            global_timeout: Duration::from_secs(3600),
            boot_timeout: Duration::from_secs(300),
            machines: self.names.iter().map(machine).collect(),
            vlans: self.vlans.clone(),
            recorder: recorder.clone(),
            announces: false,
            consoles_shown: self.consoles_shown.clone(),
            captures: self.captures.clone(),
            timer: Timer::default(),
            maker: None,
        }
    }

    pub(crate) async fn interpreter(&self, script: &str) -> Interpreter {
        self.write(script);
        let mut interpreter = Interpreter::start(self.options()).await.unwrap();
        assert_eq!(interpreter.problems().await, []);
        interpreter
    }

    /// Runs a script to its end.
    pub(crate) async fn run(&self, script: &str) -> ScriptOutcome {
        let interpreter = self.interpreter(script).await;
        let run = tokio::time::timeout(PATIENCE, interpreter.run(self.test()));
        run.await.expect("the script should have ended").unwrap()
    }

    /// Runs a script that must pass.
    pub(crate) async fn pass(&self, script: &str) {
        let outcome = self.run(script).await;
        assert_eq!(outcome, ScriptOutcome::Passed, "{:#?}", self.messages());
    }

    /// Runs a script that must fail and returns its report, the script's path replaced by `SCRIPT`.
    pub(crate) async fn fail(&self, script: &str) -> String {
        match self.run(script).await {
            ScriptOutcome::Failed(report) => self.without_path(&report),
            other => panic!("{other:?}"),
        }
    }

    /// Runs a script that must end by a machine's failure, and returns its report as [`fail`](Self::fail) does.
    pub(crate) async fn break_down(&self, script: &str) -> String {
        match self.run(script).await {
            ScriptOutcome::MachineFailed(report) => self.without_path(&report),
            other => panic!("{other:?}"),
        }
    }

    fn without_path(&self, report: &str) -> String {
        report.replace(self.script_path().to_str().unwrap(), "SCRIPT")
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.record.0.lock().unwrap().clone()
    }

    /// All messages, in order.
    pub(crate) fn messages(&self) -> Vec<String> {
        self.messages_with_place().into_iter().map(|(text, ..)| text).collect()
    }

    pub(crate) fn messages_with_place(&self) -> Vec<(String, Level, Option<SpanId>)> {
        let message = |event: Event| match event.kind {
            Kind::Message { level, text } => Some((text, level, event.span)),
            _ => None,
        };
        self.events().into_iter().filter_map(message).collect()
    }

    /// The span with this title.
    pub(crate) fn span(&self, title: &str) -> SpanId {
        let found = self.events().into_iter().find_map(|event| match event.kind {
            Kind::SpanStarted { title: own, .. } if own == title => event.span,
            _ => None,
        });
        found.unwrap_or_else(|| panic!("no span `{title}` in {:#?}", self.events()))
    }

    /// The span around the one with this title.
    pub(crate) fn parent(&self, title: &str) -> Option<SpanId> {
        self.events().into_iter().find_map(|event| match event.kind {
            Kind::SpanStarted { title: own, parent, .. } if own == title => Some(parent),
            _ => None,
        })?
    }

    /// Why the span with this title failed, if it did.
    pub(crate) fn failure(&self, title: &str) -> Option<String> {
        self.events().into_iter().find_map(|event| match event.kind {
            Kind::SpanFinished { title: own, failure, .. } if own == title => Some(failure),
            _ => None,
        })?
    }
}
