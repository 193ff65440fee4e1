//! A live VM.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use async_trait::async_trait;
use driver_core::backend::{Descriptors, StartRequest};
use driver_core::console::Console;
use driver_core::error::MachineError;
use driver_core::event::Level;
use driver_core::guest::{
    Cable, Channel as Abilities, Command, Exit, Guest, Keyboard, Monitor, Output, Pointer, Screen, Terminal,
};
use driver_core::life::{Life, Standing, plugging};
use netbridge::Port;
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::time::{Instant, timeout};

use crate::boot::{self, Boot, Tools};
use crate::channel::Channel;
use crate::monitor::Qmp;
use crate::qmp::command::SetLink;
use crate::supervise::{Processes, Signals, supervise};
use crate::{console, journal};

/// How long may pass between the end of a VM and that of what it talks through, in either order.
pub(crate) const LAST_WORDS: Duration = Duration::from_secs(1);

/// How many signs on the console wait to be looked at; the first one mostly tells all.
const SIGNS: usize = 4;

/// A VM from its start to its end, reboots included.
pub(crate) struct Vm {
    pub(crate) shared: Arc<Shared>,
    /// Dropped with the last handle, which ends the VM.
    _alive: watch::Sender<()>,
}

pub(crate) struct Shared {
    pub(crate) request: StartRequest,
    pub(crate) life: Life,
    pub(crate) channel: Channel,
    pub(crate) qmp: Qmp,
    /// The serial line's input.
    pub(crate) typing: Mutex<OwnedWriteHalf>,
    /// The driver has asked for the reboot that comes.
    pub(crate) rebooting: AtomicBool,
    /// When a VM that boots must be ready.
    pub(crate) deadline: watch::Sender<Instant>,
    pid: Option<u32>,
    /// See [`Boot::netdev`].
    netdev: fn(usize) -> String,
    /// They go with the VM.
    ports: Vec<Port>,
}

impl Vm {
    /// Starts a VM and returns once QEMU runs.
    pub(crate) async fn start(
        tools: &Tools,
        request: StartRequest,
        descriptors: Descriptors,
        console: Console,
    ) -> Result<Self, MachineError> {
        let name = request.machine.name.clone();
        let broken = |error: io::Error| MachineError::new(&name, "start", error.to_string()).source(error);
        let boot = boot::start(tools, &request, &descriptors, console.recorder()).await.map_err(broken)?;
        Self::of(boot, request, console).map_err(broken)
    }

    /// The VM of a QEMU that runs.
    pub(crate) fn of(boot: Boot, request: StartRequest, console: Console) -> io::Result<Self> {
        let Boot { qemu, helpers, qmp, serial, shell, journal, ports, netdev } = boot;
        if let Some(pid) = qemu.id() {
            console.recorder().message(Level::Info, format!("QEMU running (pid {pid})"));
        }
        let (qmp, serial, shell) =
            (UnixStream::from_std(qmp)?, UnixStream::from_std(serial)?, UnixStream::from_std(shell)?);
        let (said, typing) = serial.into_split();
        if let Some(journal) = journal {
            // It ends with QEMU.
            tokio::spawn(journal::follow(UnixStream::from_std(journal)?, console.recorder().clone()));
        }
        let (tell, signs) = mpsc::channel(SIGNS);
        let lines = tokio::spawn(console::follow(said, console.clone(), tell));
        let (qmp, power) = Qmp::connect(qmp, request.boot_timeout, console.recorder().clone());
        let shared = Arc::new(Shared {
            life: Life::new(&*request.machine.name, console),
            channel: Channel::open(shell)?,
            qmp,
            typing: Mutex::new(typing),
            rebooting: AtomicBool::new(false),
            deadline: watch::Sender::new(Instant::now() + request.boot_timeout),
            pid: qemu.id(),
            netdev,
            ports,
            request,
        });
        let (alive, gone) = watch::channel(());
        let signals = Signals { signs, power, lines, handles: gone };
        tokio::spawn(supervise(shared.clone(), Processes { qemu, helpers }, signals));
        Ok(Self { shared, _alive: alive })
    }
}

impl Shared {
    /// The error of an operation whose channel broke, mostly because the machine did, which is told within moments.
    pub(crate) async fn blame(
        &self,
        operation: &str,
        error: impl std::error::Error + Send + Sync + 'static,
    ) -> MachineError {
        let _ = timeout(LAST_WORDS, self.life.over()).await;
        match self.life.standing() {
            Standing::Ended(_) | Standing::Lost(_) => self.life.not_there(operation),
            Standing::Booting | Standing::Ready => self.life.error(operation, &error).source(error),
        }
    }
}

#[async_trait]
impl Guest for Vm {
    fn channel(&self) -> Abilities {
        Abilities { stderr_apart: false, overlap: false }
    }

    async fn ready(&self) -> Result<(), MachineError> {
        self.shared.life.ready().await
    }

    async fn lost(&self) -> MachineError {
        self.shared.life.lost().await
    }

    async fn run(&self, command: Command) -> Result<Output, MachineError> {
        let operation = "run a command";
        let Shared { life, channel, .. } = &*self.shared;
        if life.standing() != Standing::Ready {
            return Err(life.not_there(operation));
        }
        let ended = tokio::select! {
            biased;
            ended = channel.run(command) => ended,
            () = life.over() => return Err(life.not_there(operation)),
        };
        match ended {
            Some(Ok(output)) => Ok(output),
            Some(Err(error)) if error.is_final() => Err(self.shared.blame(operation, error).await),
            Some(Err(error)) => Err(life.error(operation, &error).source(error)),
            None if matches!(life.standing(), Standing::Ended(_) | Standing::Lost(_)) => Err(life.not_there(operation)),
            None => Err(life.error(operation, "it rebooted before the command was over")),
        }
    }

    async fn exited(&self) -> Exit {
        self.shared.life.ended().await
    }

    async fn stop(&self) -> Result<(), MachineError> {
        self.shared.power_off().await
    }

    async fn reboot(&self) -> Result<(), MachineError> {
        self.shared.reboot().await
    }

    async fn kill(&self) -> Result<(), MachineError> {
        self.shared.life.kill();
        self.shared.life.ended().await;
        Ok(())
    }

    fn pid(&self) -> Option<u32> {
        self.shared.pid
    }

    fn class(&self) -> Option<&str> {
        Some("QemuMachine")
    }

    fn shells(&self) -> u64 {
        self.shared.channel.shells()
    }

    fn cable(&self) -> Option<&dyn Cable> {
        Some(self)
    }

    fn terminal(&self) -> Option<&dyn Terminal> {
        Some(self)
    }

    fn screen(&self) -> Option<&dyn Screen> {
        Some(self)
    }

    fn keyboard(&self) -> Option<&dyn Keyboard> {
        Some(self)
    }

    fn pointer(&self) -> Option<&dyn Pointer> {
        Some(self)
    }

    fn monitor(&self) -> Option<&dyn Monitor> {
        Some(self)
    }
}

#[async_trait]
impl Cable for Vm {
    async fn set(&self, attachment: usize, plugged: bool) -> Result<(), MachineError> {
        let Shared { life, netdev, qmp, ports, .. } = &*self.shared;
        if attachment >= ports.len() {
            return Err(life.no_interface(attachment, plugged));
        }
        // QEMU lets no frame pass from then on, and its guest sees the carrier come and go. The link to the LAN stays as it is.
        qmp.execute(life, plugging(plugged), SetLink { name: netdev(attachment), up: plugged }).await?;
        Ok(())
    }
}
