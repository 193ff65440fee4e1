//! One fake machine: its script, what it saw, and what it is made to do.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use netbridge::Segment;
use serde_json::Value;
use tokio::time::sleep;

use super::devices::{Devices, Pointed};
use super::guest::FakeGuest;
use super::reply::Reply;
use crate::backend::StartRequest;
use crate::console::Console;
use crate::error::MachineError;
use crate::guest::{Channel, Exit, Guest, QmpRefusal};
use crate::machine::Launch;
use crate::network::Attachment;
use crate::spec::{MachineSpec, Problem};

/// One machine of a [`FakeBackend`](super::FakeBackend). Clones are the same machine.
///
/// It can be scripted at any time. Without a script it launches and boots at once, and every command succeeds without output.
#[derive(Clone, Debug)]
pub struct FakeMachine {
    name: String,
    backend: String,
    script: Arc<Mutex<Script>>,
}

/// How a fake machine boots.
#[derive(Clone, Debug)]
pub enum Booting {
    /// It takes commands after this time.
    Takes(Duration),
    /// It never takes commands, and its boot deadline passes.
    Never,
    /// It ends after this time, before it takes commands.
    Dies(Duration, Exit),
    /// It cannot even be launched, for this reason, which shows after this time.
    Unlaunched(Duration, String),
}

#[derive(Debug)]
pub(super) struct Script {
    pub(super) booting: Booting,
    pub(super) channel: Channel,
    pub(super) cable: bool,
    pub(super) process: Option<(String, u32)>,
    /// How long it takes to power off; none if it never does.
    pub(super) power_off: Option<Duration>,
    boot_lines: Vec<String>,
    refusals: Vec<Problem>,
    /// The last one that fits counts.
    rules: Vec<(String, VecDeque<Reply>)>,
    pub(super) commands: Vec<String>,
    pub(super) unplugged: Vec<usize>,
    pub(super) devices: Devices,
    pub(super) boots_at_once: Option<usize>,
    lan: Option<(Arc<Segment>, Attachment)>,
    starts: usize,
    request: Option<StartRequest>,
    live: Weak<FakeGuest>,
}

impl FakeMachine {
    pub(super) fn new(name: &str, backend: &str) -> Self {
        let script = Script {
            booting: Booting::Takes(Duration::ZERO),
            channel: Channel { stderr_apart: true, overlap: true },
            cable: true,
            process: None,
            power_off: Some(Duration::ZERO),
            boot_lines: Vec::new(),
            refusals: Vec::new(),
            rules: Vec::new(),
            commands: Vec::new(),
            unplugged: Vec::new(),
            devices: Devices::default(),
            boots_at_once: None,
            lan: None,
            starts: 0,
            request: None,
            live: Weak::new(),
        };
        Self { name: name.into(), backend: backend.into(), script: Arc::new(Mutex::new(script)) }
    }

    /// A spec of this machine, on VLAN 1.
    pub fn spec(&self) -> MachineSpec {
        MachineSpec::new(&*self.name, &*self.backend)
    }

    /// Sets how it boots from the next start or reboot on.
    pub fn boots(&self, booting: Booting) {
        self.script().booting = booting;
    }

    /// Sets what its console says at each start.
    pub fn boot_says<L: Into<String>>(&self, lines: impl IntoIterator<Item = L>) {
        self.script().boot_lines = lines.into_iter().map(Into::into).collect();
    }

    /// Sets what its command channel can do.
    pub fn channel(&self, channel: Channel) {
        self.script().channel = channel;
    }

    /// Lets it be a process with this pid, of a kind that the log calls so.
    pub fn is_process(&self, class: &str, pid: u32) {
        self.script().process = Some((class.into(), pid));
    }

    /// Takes its power to pull network plugs away.
    pub fn without_cable(&self) {
        self.script().cable = false;
    }

    /// Gives it a screen that shows this from now on: a PNG file.
    pub fn shows(&self, png: impl Into<Vec<u8>>) {
        self.script().devices.picture = Some(png.into());
    }

    /// Gives it a keyboard with keys of these names, besides those that type a character of ASCII.
    pub fn has_keyboard<K: Into<String>>(&self, keys: impl IntoIterator<Item = K>) {
        self.script().devices.keys = Some(keys.into_iter().map(Into::into).collect());
    }

    /// Gives it a pointer.
    pub fn has_pointer(&self) {
        self.script().devices.has_pointer = true;
    }

    /// Lets its console take input.
    pub fn has_terminal(&self) {
        self.script().devices.has_terminal = true;
    }

    /// Gives it a QEMU monitor, whose answers are empty unless said otherwise.
    pub fn has_monitor(&self) {
        self.script().devices.has_monitor = true;
    }

    /// Sets what the monitor prints for lines that begin with some text.
    pub fn monitor_prints(&self, line: &str, text: &str) {
        self.script().devices.lines.push((line.into(), text.into()));
    }

    /// Sets what the monitor answers to a QMP command.
    pub fn qmp_answers(&self, command: &str, reply: Result<Value, QmpRefusal>) {
        self.script().devices.replies.push((command.into(), reply));
    }

    /// Plugs its first interface into a LAN, where ports can be forwarded to.
    pub fn on_lan(&self, segment: Arc<Segment>, attachment: Attachment) {
        self.script().lan = Some((segment, attachment));
    }

    /// Sets how long powering off takes; `None` is for ever.
    pub fn powers_off(&self, takes: Option<Duration>) {
        self.script().power_off = takes;
    }

    /// Lets its spec be refused by [`Backend::check`](crate::backend::Backend::check).
    pub fn refuse(&self, problem: Problem) {
        self.script().refusals.push(problem);
    }

    /// Sets what is done about commands whose script contains some text. Of several such rules, the newest counts.
    pub fn reply(&self, containing: &str, reply: Reply) {
        self.replies(containing, [reply]);
    }

    /// The same with one reply after the other; the last one is for all commands that follow.
    pub fn replies(&self, containing: &str, replies: impl IntoIterator<Item = Reply>) {
        self.script().rules.push((containing.into(), replies.into_iter().collect()));
    }

    /// Says something on its console, if it runs.
    pub fn say(&self, line: &str) {
        if let Some(guest) = self.live() {
            guest.console.push(line);
        }
    }

    /// Lets a QMP event come, if it runs: a message with the key `event`.
    pub fn emit(&self, event: Value) {
        if let Some(guest) = self.live() {
            guest.events.push(event);
        }
    }

    /// Lets it be there but never take commands any more, for this reason, if it runs.
    pub fn lose(&self, why: &str) {
        if let Some(guest) = self.live() {
            guest.lose(why);
        }
    }

    /// Lets it reboot by itself, if it runs, whether or not it may.
    pub fn reboot(&self) {
        if let Some(guest) = self.live() {
            guest.reboot_by_itself();
        }
    }

    /// Ends it, if it runs.
    pub fn die(&self, exit: Exit) {
        if let Some(guest) = self.live() {
            guest.end(exit);
        }
    }

    /// The scripts of all commands so far, in the order in which they came.
    pub fn commands(&self) -> Vec<String> {
        self.script().commands.clone()
    }

    /// The keys that were pressed.
    pub fn pressed(&self) -> Vec<String> {
        self.script().devices.pressed.clone()
    }

    /// What its pointer was told to do.
    pub fn pointed(&self) -> Vec<Pointed> {
        self.script().devices.pointed.clone()
    }

    /// What was typed into its console.
    pub fn typed(&self) -> Vec<u8> {
        self.script().devices.typed.clone()
    }

    /// The lines that its monitor was given.
    pub fn monitor_lines(&self) -> Vec<String> {
        self.script().devices.asked.clone()
    }

    /// The QMP commands that it was given, with their arguments.
    pub fn qmp_commands(&self) -> Vec<(String, Value)> {
        self.script().devices.executed.clone()
    }

    /// How often it was launched.
    pub fn starts(&self) -> usize {
        self.script().starts
    }

    /// What it was last started with by [`Backend::start`](crate::backend::Backend::start).
    pub fn request(&self) -> Option<StartRequest> {
        self.script().request.clone()
    }

    /// The attachments whose plugs are pulled.
    pub fn unplugged(&self) -> Vec<usize> {
        self.script().unplugged.clone()
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn refusals(&self) -> Vec<Problem> {
        self.script().refusals.clone()
    }

    pub(super) async fn boot(
        &self,
        request: Option<StartRequest>,
        console: Console,
    ) -> Result<Arc<dyn Guest>, MachineError> {
        let limit = request.as_ref().map_or(Duration::from_secs(300), |request| request.boot_timeout);
        let (booting, lines) = {
            let mut script = self.script();
            script.starts += 1;
            script.request = request;
            script.unplugged.clear();
            (script.booting.clone(), script.boot_lines.clone())
        };
        for line in lines {
            console.push(line);
        }
        if let Booting::Unlaunched(after, cause) = booting {
            sleep(after).await;
            return Err(MachineError::new(&self.name, "start", cause));
        }
        let guest = Arc::new(FakeGuest::new(self.clone(), console, limit));
        self.script().live = Arc::downgrade(&guest);
        Ok(guest)
    }

    /// Takes note of a command and says what to do about it.
    pub(super) fn hear(&self, command: &str) -> Reply {
        let mut script = self.script();
        script.commands.push(command.into());
        let rule = script.rules.iter_mut().rev().find(|(containing, _)| command.contains(&**containing));
        let reply = rule.and_then(
            |(_, replies)| {
                if replies.len() > 1 { replies.pop_front() } else { replies.front().cloned() }
            },
        );
        reply.unwrap_or_else(|| Reply::ok(""))
    }

    pub(super) fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn live(&self) -> Option<Arc<FakeGuest>> {
        self.script().live.upgrade()
    }
}

#[async_trait]
impl Launch for FakeMachine {
    async fn launch(&self, _allow_reboot: bool, console: Console) -> Result<Arc<dyn Guest>, MachineError> {
        self.boot(None, console).await
    }

    fn boots_at_once(&self) -> Option<usize> {
        self.script().boots_at_once
    }

    fn attachment(&self, index: usize) -> Option<(Arc<Segment>, Attachment)> {
        self.script().lan.clone().filter(|_| index == 0)
    }
}
