//! A test double: machines that exist only in memory and do what a script says.
//!
//! It is for tests of what is built on machines: the verbs, a run, a front end, another backend's expectations. It shows nothing about real
//! machines, except where a [`Reply::host`] lets the host's own bash answer. A fake machine has a screen, a keyboard, a pointer, a console that
//! takes input and a monitor once it was given them.
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//! use driver_core::event::Recorder;
//! use driver_core::fake::{FakeBackend, Reply};
//! use driver_core::machine::{Machine, Options};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), driver_core::Error> {
//! let fake = FakeBackend::new();
//! let script = fake.machine("server");
//! script.reply("uptime", Reply::ok("up 3 days\n"));
//!
//! let options = Options::new("/tmp/out");
//! let server = Machine::new(script.spec(), Arc::new(script.clone()), Recorder::new(vec![]), options);
//! assert_eq!(server.succeed("uptime", None).await?, "up 3 days\n");
//! assert_eq!(script.commands(), ["set -euo pipefail\nuptime"]);
//! # Ok(())
//! # }
//! ```

mod devices;
mod guest;
mod host;
mod lan;
mod machine;
mod reply;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use crate::backend::{Backend, Descriptors, StartRequest};
use crate::console::Console;
use crate::error::MachineError;
use crate::guest::Guest;
use crate::spec::{MachineSpec, Problem};

pub use devices::Pointed;
pub use machine::{Booting, FakeMachine};
pub use reply::Reply;

/// A backend whose machines are [`FakeMachine`]s. Clones share them.
#[derive(Clone, Debug)]
pub struct FakeBackend {
    name: String,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    machines: BTreeMap<String, FakeMachine>,
    lacks: Vec<Problem>,
    boots_at_once: Option<usize>,
}

impl FakeBackend {
    /// A backend called `fake`.
    pub fn new() -> Self {
        Self::named("fake")
    }

    /// A backend with a name of another, such as `container`.
    pub fn named(name: &str) -> Self {
        Self { name: name.into(), shared: Arc::default() }
    }

    /// The machine with this name, to script and to watch; made when first asked for.
    pub fn machine(&self, name: &str) -> FakeMachine {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let count = shared.boots_at_once;
        let machine = shared.machines.entry(name.into()).or_insert_with(|| {
            let machine = FakeMachine::new(name, &self.name);
            machine.script().boots_at_once = count;
            machine
        });
        machine.clone()
    }

    /// Sets how many machines the host has room to boot at a time; also for the [`FakeMachine`]s that are launched without the backend.
    pub fn boots_at_once(&self, count: Option<usize>) {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.boots_at_once = count;
        for machine in shared.machines.values() {
            machine.script().boots_at_once = count;
        }
    }

    /// Lets the host lack something, which [`Backend::preflight`] will report.
    pub fn lacks(&self, problem: Problem) {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).lacks.push(problem);
    }
}

impl Default for FakeBackend {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Backend for FakeBackend {
    fn name(&self) -> &str {
        &self.name
    }

    fn preflight(&self, _machines: &[&MachineSpec]) -> Vec<Problem> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).lacks.clone()
    }

    fn check(&self, machine: &MachineSpec) -> Vec<Problem> {
        self.machine(&machine.name).refusals()
    }

    fn boots_at_once(&self) -> Option<usize> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).boots_at_once
    }

    async fn start(
        &self,
        request: StartRequest,
        _descriptors: Descriptors,
        console: Console,
    ) -> Result<Arc<dyn Guest>, MachineError> {
        self.machine(&request.machine.name).boot(Some(request), console).await
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::Duration;

    use super::*;
    use crate::event::Recorder;
    use crate::guest::{Command, Exit};
    use crate::spec::Machined;

    #[tokio::test(start_paused = true)]
    async fn is_a_backend_like_any_other() {
        let fake = FakeBackend::new();
        let script = fake.machine("server");
        fake.lacks(Problem::host("", "no bus", ""));
        script.refuse(Problem::user("machine `server`", "no", ""));
        script.boots(Booting::Takes(Duration::from_secs(2)));
        script.reply("false", Reply::fail(1, ""));
        let backend: &dyn Backend = &fake;
        assert_eq!((backend.name(), backend.preflight(&[]).len(), backend.check(&script.spec()).len()), ("fake", 1, 1));

        let request = StartRequest {
            run: "run".into(),
            machine: script.spec(),
            hosts: Vec::new(),
            attachments: Vec::new(),
            state: "/nowhere".into(),
            shared: "/nowhere".into(),
            sockets: "/nowhere".into(),
            cgroups: Vec::new(),
            first_id: None,
            allow_reboot: false,
            boot_timeout: Duration::from_secs(10),
            vsock: None,
            machined: Machined::Never,
        };
        let init = Arc::new(File::open("/dev/null").unwrap().into());
        let descriptors = Descriptors { init, segments: BTreeMap::new() };
        let console = Console::new(Recorder::new(Vec::new()));
        let guest = backend.start(request, descriptors, console.clone()).await.unwrap();
        guest.ready().await.unwrap();
        script.say("hello");
        assert_eq!(console.since(0), ["hello"]);
        assert_eq!(guest.run(Command::new("false")).await.unwrap().status, 1);
        assert_eq!(script.request().unwrap().boot_timeout, Duration::from_secs(10));
        guest.kill().await.unwrap();
        assert_eq!(guest.exited().await, Exit::Killed);
        guest.run(Command::new("true")).await.unwrap_err();
        assert_eq!(script.commands(), ["false", "true"]);
    }
}
