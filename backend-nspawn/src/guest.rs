//! A live container.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use driver_core::backend::{Descriptors, StartRequest};
use driver_core::console::Console;
use driver_core::error::MachineError;
use driver_core::event::Level;
use driver_core::guest::{Cable, Channel as Abilities, Command, Exit, Guest, Output};
use driver_core::life::{Life, Standing};
use driver_core::spec::Machined;
use netbridge::Port;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use crate::boot::{self, Boot};
use crate::channel::Channel;
use crate::exec::Shell;
use crate::journal;
use crate::notify::{self, Said};

/// Exit status of systemd-nspawn after the container asked for a reboot (its `--keep-unit`, as systemd-nspawn@.service relies on).
const REBOOT: i32 = 133;

/// systemd's signals for powering off and rebooting, counted from SIGRTMIN.
const POWER_OFF: i32 = 4;
const REBOOT_SIGNAL: i32 = 5;

/// How long the console may take to say its last lines after its writer is gone.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A container from its first boot to its end, reboots included.
pub(crate) struct Container {
    shared: Arc<Shared>,
    /// Dropped with the last handle, which ends the container.
    _alive: watch::Sender<()>,
}

struct Shared {
    program: PathBuf,
    request: StartRequest,
    descriptors: Descriptors,
    life: Life,
    shell: Shell,
    live: Mutex<Live>,
}

/// What of the container can be used right now.
#[derive(Default)]
struct Live {
    channel: Option<Arc<Channel>>,
    leader: Option<Arc<OwnedFd>>,
    ports: Arc<Vec<Port>>,
    cursor: Option<String>,
    /// The driver has asked for the reboot that comes.
    rebooting: bool,
}

impl Live {
    /// Forgets one boot; the journal's cursor is for the next.
    fn clear(&mut self) {
        *self = Self { cursor: self.cursor.take(), ..Self::default() };
    }
}

impl Container {
    /// Boots a container and returns once systemd-nspawn runs.
    pub(crate) async fn start(
        program: PathBuf,
        request: StartRequest,
        descriptors: Descriptors,
        console: Console,
    ) -> Result<Self, MachineError> {
        let shell = Shell::new(&request.machine.env);
        let life = Life::new(&*request.machine.name, console);
        let shared = Arc::new(Shared { program, request, descriptors, life, shell, live: Mutex::default() });
        let boot = shared.boot().await?;
        let (alive, gone) = watch::channel(());
        tokio::spawn(supervise(shared.clone(), boot, gone));
        Ok(Self { shared, _alive: alive })
    }
}

/// Sees a container through all of its boots.
async fn supervise(shared: Arc<Shared>, boot: Boot, mut handles: watch::Receiver<()>) {
    let mut boot = boot;
    let exit = loop {
        let status = tokio::select! {
            status = shared.live_through(&mut boot) => status,
            // Nobody can use the container any more.
            _ = handles.changed() => Err(Exit::Killed),
        };
        let console = boot.console.abort_handle();
        let Boot { process, console: lines, .. } = boot;
        drop(process);
        let _ = timeout(LAST_WORDS, lines).await;
        console.abort();
        let asked = std::mem::take(&mut shared.live().rebooting);
        shared.live().clear();
        match status {
            Err(exit) => break exit,
            Ok(0) => break Exit::PoweredOff,
            // Above 128, but a status of its own.
            Ok(REBOOT) if asked || shared.request.allow_reboot => {}
            Ok(REBOOT) => break Exit::PoweredOff,
            Ok(status @ 129..) => {
                let signal = status - 128;
                break Exit::Died(format!("something outside of the run killed it (systemd-nspawn, signal {signal})"));
            }
            Ok(status) => break Exit::Died(format!("systemd-nspawn ended with status {status}")),
        }
        shared.life.tell(Standing::Booting);
        match shared.boot().await {
            Ok(next) => boot = next,
            Err(error) => break Exit::Died(format!("it could not boot again: {error}")),
        }
    };
    shared.life.tell(Standing::Ended(exit));
}

impl Shared {
    async fn boot(&self) -> Result<Boot, MachineError> {
        let boot = boot::start(&self.program, &self.request, &self.descriptors, self.life.console()).await;
        let mut boot = boot.map_err(|error| self.life.error("start", &error).source(error))?;
        self.live().ports = Arc::new(std::mem::take(&mut boot.ports));
        Ok(boot)
    }

    /// Returns systemd-nspawn's exit status, or how the container ended otherwise.
    async fn live_through(self: &Arc<Self>, boot: &mut Boot) -> Result<i32, Exit> {
        let deadline = Instant::now() + self.request.boot_timeout;
        let (mut ready, mut joined) = (false, false);
        loop {
            let up = ready && joined;
            let said = tokio::select! {
                status = boot.process.wait() => {
                    return match status {
                        _ if self.life.is_to_be_killed() => Err(Exit::Killed),
                        Ok(status) => Ok(status),
                        Err(error) => Err(Exit::Died(format!("its process cannot be waited for: {error}"))),
                    };
                }
                () = self.life.to_be_killed() => return Err(end(boot, Exit::Killed).await),
                () = sleep_until(deadline), if !up => {
                    let waited = self.request.boot_timeout.as_secs_f64();
                    let exit = Exit::Died(format!("it was not ready {waited} s after its start (`boot-timeout`)"));
                    return Err(end(boot, exit).await);
                }
                said = notify::next(&boot.notify) => said.unwrap_or_default(),
            };
            for said in said {
                match said {
                    Said::Ready => ready = true,
                    Said::Leader(leader) => match self.join(boot, leader).await {
                        Ok(()) => joined = true,
                        // systemd-nspawn has ended meanwhile, which the next turn sees.
                        Err(error)
                            if error.kind() == io::ErrorKind::BrokenPipe
                                || error.raw_os_error() == Some(libc::ESRCH) => {}
                        Err(error) => {
                            let exit = Exit::Died(format!("its namespaces cannot be entered: {error}"));
                            return Err(end(boot, exit).await);
                        }
                    },
                }
            }
            // Only once: systemd says that it is ready after each re-execution, and a machine that was asked to reboot no longer is.
            if !up && ready && joined {
                self.life.tell(Standing::Ready);
            }
        }
    }

    /// Sends the door into the container; from here on commands can run.
    async fn join(self: &Arc<Self>, boot: &Boot, leader: i32) -> io::Result<()> {
        let cgroup = boot::commands_cgroup(&boot.cgroups, boot.owner);
        let joined = boot.channel.join(leader, cgroup).await?;
        boot::enter_leaf(&boot.cgroups, joined.door.as_fd())?;
        self.register(boot, joined.leader.as_fd()).await?;
        let cursor = {
            let mut live = self.live();
            live.channel = Some(boot.channel.clone());
            live.leader = Some(Arc::new(joined.leader));
            live.cursor.clone()
        };
        let (shared, channel) = (self.clone(), boot.channel.clone());
        tokio::spawn(async move {
            let last = journal::follow(&shared.shell, &channel, shared.life.console().recorder(), cursor).await;
            shared.live().cursor = last;
        });
        Ok(())
    }

    /// Registers the container with systemd-machined, where it has a scope.
    async fn register(&self, boot: &Boot, leader: BorrowedFd<'_>) -> io::Result<()> {
        let Some(scopes) = &boot.scopes else { return Ok(()) };
        match scopes.register(leader).await {
            Err(error) if self.request.machined == Machined::Require => Err(io::Error::other(error)),
            Err(error) => {
                let text = format!("not registered with systemd-machined: {error}");
                self.life.console().recorder().message(Level::Warning, text);
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn channel(&self, operation: &str) -> Result<Arc<Channel>, MachineError> {
        self.live().channel.clone().ok_or_else(|| self.life.not_there(operation))
    }

    fn leader(&self, operation: &str) -> Result<Arc<OwnedFd>, MachineError> {
        self.live().leader.clone().ok_or_else(|| self.life.not_there(operation))
    }
}

/// Kills the container and returns once it is gone.
async fn end(boot: &mut Boot, exit: Exit) -> Exit {
    boot.process.kill();
    let _ = boot.process.wait().await;
    exit
}

#[async_trait]
impl Guest for Container {
    fn channel(&self) -> Abilities {
        Abilities { stderr_apart: true, overlap: true }
    }

    fn ready_on_start(&self) -> bool {
        true
    }

    async fn ready(&self) -> Result<(), MachineError> {
        self.shared.life.ready().await
    }

    async fn lost(&self) -> MachineError {
        self.shared.life.lost().await
    }

    async fn run(&self, command: Command) -> Result<Output, MachineError> {
        let operation = "run a command";
        let channel = self.shared.channel(operation)?;
        match self.shared.shell.run(&channel, command).await {
            Ok(output) => Ok(output),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                // The reason follows within moments.
                self.shared.life.ends_within(LAST_WORDS).await;
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
        self.tell("reboot", REBOOT_SIGNAL)?;
        self.shared.life.tell(Standing::Booting);
        Ok(())
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

impl Container {
    /// Sends a signal to the container's pid 1 that systemd understands (systemd(1), "Signals").
    fn tell(&self, operation: &str, number: i32) -> Result<(), MachineError> {
        let leader = self.shared.leader(operation)?;
        boot::signal(leader.as_fd(), libc::SIGRTMIN() + number)
            .map_err(|error| self.shared.life.error(operation, &error).source(error))
    }
}

#[async_trait]
impl Cable for Container {
    async fn set(&self, attachment: usize, plugged: bool) -> Result<(), MachineError> {
        let ports = self.shared.live().ports.clone();
        self.shared.life.plug(&ports, attachment, plugged).await
    }
}
