//! One machine, from its start to its end.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use driver_core::MachineError;
use driver_core::backend::{Descriptors, StartRequest};
use driver_core::console::{self, Console};
use driver_core::guest::{Cable, Channel, Command, Exit, Guest, Output};
use driver_core::life::{Life, Standing};
use rustix::process::Signal;
use tokio::net::unix::pipe;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::boot::{self, Boot, Inside, POWER_OFF, REBOOT, REBOOTS};
use crate::command;

/// How long the console may take to say its last lines, and a machine to be gone after its commands.
const MOMENT: Duration = Duration::from_secs(1);

/// A sandbox. It ends with its last handle.
pub(crate) struct Sandboxed {
    shared: Arc<Shared>,
    _alive: watch::Sender<()>,
}

struct Shared {
    request: StartRequest,
    descriptors: Descriptors,
    life: Life,
    live: Mutex<Live>,
}

#[derive(Default)]
struct Live {
    inside: Option<Arc<Inside>>,
    /// The driver has asked for the reboot that comes.
    rebooting: bool,
}

impl Sandboxed {
    pub(crate) async fn start(
        request: StartRequest,
        descriptors: Descriptors,
        console: Console,
    ) -> Result<Self, MachineError> {
        let life = Life::new(&*request.machine.name, console);
        let shared = Arc::new(Shared { request, descriptors, life, live: Mutex::default() });
        let boot = shared.boot().await.map_err(|error| shared.life.error("start", &error).source(error))?;
        let (alive, gone) = watch::channel(());
        tokio::spawn(supervise(shared.clone(), boot, gone));
        Ok(Self { shared, _alive: alive })
    }

    fn tell(&self, operation: &str, signal: Signal) -> Result<(), MachineError> {
        let inside = self.shared.inside(operation)?;
        let sent = rustix::process::pidfd_send_signal(&inside.init, signal);
        sent.map_err(|errno| self.shared.life.error(operation, errno))
    }
}

/// Sees a machine through all of its boots.
async fn supervise(shared: Arc<Shared>, boot: Boot, mut handles: watch::Receiver<()>) {
    let mut boot = boot;
    let exit = loop {
        let Boot { mut shim, inside, console } = boot;
        let lines = tokio::spawn(follow(shared.clone(), console));
        let late = async {
            if timeout(shared.request.boot_timeout, shared.life.ready()).await.is_ok() {
                std::future::pending::<()>().await;
            }
        };
        let ended = tokio::select! {
            status = shim.wait() => Ok(status),
            () = shared.life.to_be_killed() => Err(Exit::Killed),
            _ = handles.changed() => Err(Exit::Killed),
            () = late => Err(Exit::Died("it was not up in time (`boot-timeout`)".into())),
        };
        let asked = {
            let mut live = shared.live();
            live.inside = None;
            std::mem::take(&mut live.rebooting)
        };
        let status = match ended {
            _ if shared.life.is_to_be_killed() => Err(Exit::Killed),
            Ok(status) => status.map_err(|error| Exit::Died(error.to_string())),
            Err(exit) => Err(exit),
        };
        // The shim outlives all processes of the machine.
        let _ = rustix::process::pidfd_send_signal(&inside.init, Signal::KILL);
        let _ = shim.wait().await;
        let _ = timeout(MOMENT, lines).await;
        match status {
            Err(exit) => break exit,
            Ok(REBOOTS) if asked || shared.request.allow_reboot => {}
            Ok(0 | REBOOTS) => break Exit::PoweredOff,
            Ok(status) => break Exit::Died(format!("its pid 1 ended with status {status}")),
        }
        shared.life.tell(Standing::Booting);
        match shared.boot().await {
            Ok(next) => boot = next,
            Err(error) => break Exit::Died(format!("it could not boot again: {error}")),
        }
    };
    shared.life.tell(Standing::Ended(exit));
}

/// Follows the console of one boot. Its first line says that the machine is up.
async fn follow(shared: Arc<Shared>, output: OwnedFd) -> io::Result<()> {
    let said = |_: &str| {
        if shared.life.standing() == Standing::Booting && !shared.live().rebooting {
            shared.life.tell(Standing::Ready);
        }
    };
    console::follow(pipe::Receiver::from_owned_fd(output)?, shared.life.console().clone(), said).await;
    Ok(())
}

impl Shared {
    async fn boot(&self) -> io::Result<Boot> {
        let boot = boot::start(&self.request, &self.descriptors).await?;
        self.live().inside = Some(boot.inside.clone());
        Ok(boot)
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn inside(&self, operation: &str) -> Result<Arc<Inside>, MachineError> {
        self.live().inside.clone().ok_or_else(|| self.life.not_there(operation))
    }
}

#[async_trait]
impl Guest for Sandboxed {
    fn channel(&self) -> Channel {
        Channel { stderr_apart: true, overlap: true }
    }

    fn ready_on_start(&self) -> bool {
        true
    }

    async fn ready(&self) -> Result<(), MachineError> {
        self.shared.life.ready().await
    }

    async fn run(&self, command: Command) -> Result<Output, MachineError> {
        let operation = "run a command";
        let inside = self.shared.inside(operation)?;
        let result = command::run(&inside, &self.shared.request.machine.env, command).await;
        match result {
            Ok(output) => Ok(output),
            // What is entered may be about to end.
            Err(_) if self.shared.life.ends_within(MOMENT).await.is_some() => {
                Err(self.shared.life.not_there(operation))
            }
            Err(error) => Err(self.shared.life.error(operation, &error).source(error)),
        }
    }

    async fn exited(&self) -> Exit {
        self.shared.life.ended().await
    }

    async fn stop(&self) -> Result<(), MachineError> {
        self.tell("power off", POWER_OFF)
    }

    async fn reboot(&self) -> Result<(), MachineError> {
        self.shared.live().rebooting = true;
        self.shared.life.tell(Standing::Booting);
        self.tell("reboot", REBOOT)
    }

    async fn kill(&self) -> Result<(), MachineError> {
        self.shared.life.kill();
        self.shared.life.ended().await;
        Ok(())
    }

    fn cable(&self) -> Option<&dyn Cable> {
        Some(self)
    }
}

#[async_trait]
impl Cable for Sandboxed {
    async fn set(&self, attachment: usize, plugged: bool) -> Result<(), MachineError> {
        let inside = self.shared.inside("pull or plug the network")?;
        self.shared.life.plug(&inside.ports, attachment, plugged).await
    }
}
