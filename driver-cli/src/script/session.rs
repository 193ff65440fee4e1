//! What all connections of one server share: the test, the spans that the script has open, how the script ended.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use driver_core::console::Console;
use driver_core::event::{Kind, Level, Recorder, Span, SpanId};
use driver_core::lan::Vlan;
use driver_core::machine::Machine;
use driver_core::run::Maker;
use driver_core::spec::python_name;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::capture::Captures;
use super::failure::Failure;
use super::output::Output;
use super::reply::{Description, MachineDescription};
use super::timer::Timer;

/// A test that is going on, for a script to drive.
#[derive(Debug)]
pub struct Test {
    /// Its name.
    pub name: String,
    /// The output directory, as an absolute path.
    pub output: PathBuf,
    /// How long the whole run may take; the caller sees to it.
    pub global_timeout: Duration,
    /// How long each boot may take; the machines see to it.
    pub boot_timeout: Duration,
    /// The machines, sorted by name.
    pub machines: Vec<Machine>,
    /// The LANs, sorted by number.
    pub vlans: Vec<Vlan>,
    /// Where the script's own words are recorded.
    pub recorder: Recorder,
    /// Whether standard output gets the names that the script finds defined, as upstream's driver prints them.
    pub announces: bool,
    /// Whether the terminal shows the consoles of machines. The script can switch it.
    pub consoles_shown: Arc<AtomicBool>,
    /// Where captures are that the script begins. The caller finishes those that are left.
    pub captures: Captures,
    /// The clock of the global timeout, which the script can stop. The caller starts it, unless there is a prompt, and sees to its end.
    pub timer: Timer,
    /// Makes more machines, if the run can have them.
    pub maker: Option<Maker>,
}

/// How the script said that it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Success,
    Failure(String),
    /// A machine broke.
    MachineFailure(String),
}

/// A test with the state that a server keeps of it.
#[derive(Debug)]
pub(super) struct Session {
    test: Test,
    runtime: Handle,
    output: Option<Arc<Output>>,
    prompt: bool,
    state: Mutex<State>,
    failed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// The spans that the script has open, in the order in which they began.
    spans: Vec<Span>,
    /// The console of each machine's last known boot, with the boot's number.
    boots: Vec<(String, u64, Console)>,
    /// Commands that nobody waits for.
    detached: JoinSet<()>,
    said: Option<Said>,
    /// The machines that the script made.
    made: Vec<Machine>,
}

impl Session {
    /// A session over `test`; verbs run on the current runtime. What the script prints comes from `output`.
    pub(super) fn new(test: Test, output: Option<Arc<Output>>) -> Self {
        Self { test, runtime: Handle::current(), output, prompt: false, state: Mutex::default(), failed: Notify::new() }
    }

    /// The same for a prompt, which starts and stops the clock.
    pub(super) fn at_a_prompt(test: Test, output: Option<Arc<Output>>) -> Self {
        Self { prompt: true, ..Self::new(test, output) }
    }

    /// Starts the clock of the global timeout, or stops it. That of a script runs by itself.
    pub(super) fn start_timer(&self, on: bool) {
        if self.prompt {
            self.test.timer.set(on.then_some(self.test.global_timeout));
        }
    }

    pub(super) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    pub(super) fn machines(&self) -> &[Machine] {
        &self.test.machines
    }

    pub(super) fn machine(&self, name: &str) -> Result<Machine, Failure> {
        let state = self.state();
        let all = || self.test.machines.iter().chain(&state.made);
        all().find(|machine| machine.name() == name).cloned().ok_or_else(|| {
            let all: Vec<_> = all().map(Machine::name).collect();
            Failure::NoSuchMachine { message: format!("no machine `{name}`; there are: {}", all.join(", ")) }
        })
    }

    /// Adds a machine that the script made, in the place of an earlier one of its name.
    pub(super) fn add(&self, machine: Machine) {
        let mut state = self.state();
        state.made.retain(|other| other.name() != machine.name());
        state.made.push(machine);
    }

    pub(super) fn maker(&self) -> Option<Maker> {
        self.test.maker.clone()
    }

    pub(super) fn timer(&self) -> &Timer {
        &self.test.timer
    }

    pub(super) fn vlan(&self, number: i64) -> Result<&Vlan, Failure> {
        let found = self.test.vlans.iter().find(|vlan| i64::from(vlan.id().number()) == number);
        found.ok_or_else(|| {
            let all: Vec<_> = self.test.vlans.iter().map(|vlan| vlan.id().to_string()).collect();
            Failure::AssertionFailed { message: format!("no VLAN {number}; there are: {}", all.join(", ")) }
        })
    }

    pub(super) fn captures(&self) -> &Captures {
        &self.test.captures
    }

    pub(super) fn describe(&self) -> Description {
        let machines: Vec<_> = self.test.machines.iter().map(describe).collect();
        let vlans: BTreeSet<u8> = machines.iter().flat_map(|machine| machine.vlans.clone()).collect();
        Description {
            name: self.test.name.clone(),
            output_directory: self.test.output.to_string_lossy().into_owned(),
            global_timeout: self.test.global_timeout.as_secs_f64(),
            boot_timeout: self.test.boot_timeout.as_secs_f64(),
            announces: self.test.announces,
            machines,
            vlans: vlans.into_iter().collect(),
        }
    }

    /// Where a call that names these is recorded.
    pub(super) fn recorder(&self, machine: Option<&str>, span: Option<SpanId>) -> Recorder {
        let recorder = self.test.recorder.within(span);
        machine.map_or_else(|| recorder.clone(), |machine| recorder.machine(machine))
    }

    /// Records what the script has printed until now, before anything that it asks for is.
    pub(super) fn record_output(&self) {
        if let Some(output) = &self.output {
            output.drain(|line| self.print(line));
        }
    }

    /// Records a printed line, in the span that the script entered last.
    pub(super) fn print(&self, line: String) {
        let span = self.state().spans.last().map(Span::id);
        self.test.recorder.within(span).message(Level::Info, line);
    }

    pub(super) fn begin_span(&self, span: Span) -> SpanId {
        let id = span.id();
        self.state().spans.push(span);
        id
    }

    pub(super) fn end_span(&self, id: SpanId, failure: Option<String>) {
        let mut state = self.state();
        let Some(index) = state.spans.iter().position(|span| span.id() == id) else { return };
        let span = state.spans.remove(index);
        drop(state);
        span.finish(failure);
    }

    /// Goes on with `work` after the call that asked for it, at most until the session ends.
    pub(super) fn detach(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut state = self.state();
        while state.detached.try_join_next().is_some() {}
        state.detached.spawn_on(work, &self.runtime);
    }

    /// The console of a machine's current boot, or of its last one, with that boot's number.
    pub(super) fn console(&self, machine: &Machine) -> (u64, Console) {
        let console = machine.console();
        let mut state = self.state();
        let known = state.boots.iter_mut().find(|(name, ..)| name == machine.name());
        match known {
            Some((_, boot, of)) if of.watch().same_channel(&console.watch()) => (*boot, console),
            Some((_, boot, of)) => {
                *boot += 1;
                *of = console.clone();
                (*boot, console)
            }
            None => {
                state.boots.push((machine.name().to_owned(), 1, console.clone()));
                (1, console)
            }
        }
    }

    /// Writes a text to standard output, if the test is one that does. Nobody is left to tell if that fails.
    pub(super) fn announce(&self, text: &str) {
        if self.test.announces {
            let _ = io::stdout().write_all(text.as_bytes());
        }
    }

    pub(super) fn show_consoles(&self, shown: bool) {
        self.test.consoles_shown.store(shown, Ordering::Relaxed);
    }

    /// Takes note of how the script ended. The first word counts.
    pub(super) fn say(&self, said: Said) {
        if let Said::Failure(report) | Said::MachineFailure(report) = &said {
            self.test.recorder.record(Kind::Failure { report: report.clone() });
        }
        if self.state().said.get_or_insert(said) != &Said::Success {
            self.failed.notify_one();
        }
    }

    /// Returns once the script has said that it failed.
    pub(super) async fn failed(&self) {
        self.failed.notified().await;
    }

    pub(super) fn said(&self) -> Option<Said> {
        self.state().said.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn describe(machine: &Machine) -> MachineDescription {
    let spec = machine.spec();
    MachineDescription {
        name: spec.name.clone(),
        python_name: python_name(&spec.name),
        backend: spec.backend.clone(),
        vlans: spec.vlans.iter().map(|vlan| vlan.number()).collect(),
        ssh_command: machine.ssh_command(),
        start_script: spec.start_script.is_some(),
    }
}
