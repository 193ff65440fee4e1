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
use driver_core::guest::{Cable, Channel as Abilities, Command, Exit, Guest, Output, Terminal};
use driver_core::life::{Life, Standing};
use driver_core::process::pid_of;
use driver_core::spec::Machined;
use netbridge::Port;
use tokio::sync::watch;
use tokio::time::{Instant, interval_at, sleep_until, timeout};

use crate::boot::{self, Boot};
use crate::channel::Channel;
use crate::console::Keyboard;
use crate::exec::Shell;
use crate::journal;
use crate::notify::{self, Said};
use crate::origin::{Asked, Origin};
use crate::process::CLEAN_UP;
use crate::start_script;

/// systemd's signals for powering off and rebooting, counted from SIGRTMIN.
const POWER_OFF: i32 = 4;
const REBOOT_SIGNAL: i32 = 5;

/// How often people are told that a start script's container is not ready yet.
const STILL: Duration = Duration::from_secs(10);

/// How long a container may take to accept that it is to power off.
const POWER_OFF_LIMIT: Duration = Duration::from_secs(30);

/// How long the console may take to say its last lines after its writer is gone.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A container from its first boot to its end, reboots included.
pub(crate) struct Container {
    shared: Arc<Shared>,
    /// Dropped with the last handle, which ends the container.
    _alive: watch::Sender<()>,
}

struct Shared {
    origin: Origin,
    request: StartRequest,
    descriptors: Descriptors,
    life: Life,
    shell: Shell,
    live: Mutex<Live>,
}

/// What of the container can be used right now.
#[derive(Default)]
struct Live {
    /// systemd-nspawn's, or that of the start script that becomes it.
    pid: Option<u32>,
    channel: Option<Arc<Channel>>,
    leader: Option<Arc<OwnedFd>>,
    ports: Arc<Vec<Port>>,
    keyboard: Option<Arc<Keyboard>>,
    cursor: Option<String>,
    /// What the driver has asked for and is yet to come.
    asked: Asked,
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
        let shell = Shell::new(&[], &request.machine.env);
        Self::launch(Origin::Nspawn(program), shell, request, descriptors, console).await
    }

    /// Boots a container by its start script and returns once it takes commands.
    pub(crate) async fn start_by_script(
        request: StartRequest,
        descriptors: Descriptors,
        console: Console,
    ) -> Result<Self, MachineError> {
        let script = request.machine.start_script.clone().unwrap_or_default();
        let shell = Shell::new(&[start_script::DISPLAY], &request.machine.env);
        let container = Self::launch(Origin::Script(script), shell, request, descriptors, console).await?;
        let life = &container.shared.life;
        match (life.ready().await, life.standing()) {
            // Why it died stands for itself, as upstream has it.
            (Err(error), Standing::Ended(Exit::Died(why))) => {
                let error = MachineError { cause: why, ..error };
                Err(MachineError { operation: "start".into(), ..error })
            }
            (ready, _) => ready.map(|()| container),
        }
    }

    async fn launch(
        origin: Origin,
        shell: Shell,
        request: StartRequest,
        descriptors: Descriptors,
        console: Console,
    ) -> Result<Self, MachineError> {
        let life = Life::new(&*request.machine.name, console);
        let shared = Arc::new(Shared { origin, request, descriptors, life, shell, live: Mutex::default() });
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
        let asked = {
            let mut live = shared.live();
            let asked = live.asked;
            live.clear();
            asked
        };
        let status = match status {
            Err(exit) => break exit,
            Ok(status) => status,
        };
        if let Some(exit) = shared.origin.ended(status, asked, shared.request.allow_reboot) {
            break exit;
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
        let boot = self.origin.boot(&self.request, &self.descriptors, self.life.console()).await;
        let mut boot = boot.map_err(|error| self.life.error("start", &error).source(error))?;
        let pid = boot.process.pid();
        if let Some(pid) = pid {
            self.life.console().recorder().message(Level::Info, format!("systemd-nspawn running (pid {pid})"));
        }
        let mut live = self.live();
        live.pid = pid;
        live.ports = Arc::new(std::mem::take(&mut boot.ports));
        live.keyboard = Some(boot.keyboard.clone());
        drop(live);
        Ok(boot)
    }

    /// Returns systemd-nspawn's exit status, or how the container ended otherwise.
    async fn live_through(self: &Arc<Self>, boot: &mut Boot) -> Result<i32, Exit> {
        let deadline = Instant::now() + self.request.boot_timeout;
        let (mut ready, mut joined) = (false, false);
        let mut waiting = interval_at(Instant::now() + STILL, STILL);
        loop {
            let up = ready && joined;
            let said = tokio::select! {
                status = boot.process.wait() => {
                    return match status {
                        _ if self.life.is_to_be_killed() => Err(Exit::Killed),
                        Ok(_) if self.origin.is_script() && !up => Err(Exit::Died(start_script::ENDED_EARLY.into())),
                        Ok(status) => Ok(status),
                        Err(error) => Err(Exit::Died(format!("its process cannot be waited for: {error}"))),
                    };
                }
                () = self.life.to_be_killed() => return Err(self.end(boot, Exit::Killed).await),
                () = sleep_until(deadline), if !up => {
                    let waited = self.request.boot_timeout.as_secs_f64();
                    let exit = Exit::Died(format!("it was not ready {waited} s after its start (`boot-timeout`)"));
                    return Err(self.end(boot, exit).await);
                }
                _ = waiting.tick(), if !up && self.origin.is_script() => {
                    let name = &self.request.machine.name;
                    let text = format!("still waiting for container '{name}' to reach ready state...");
                    self.life.console().recorder().message(Level::Info, text);
                    continue;
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
                            return Err(self.end(boot, exit).await);
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

    /// Ends the container and returns once it is gone.
    async fn end(&self, boot: &mut Boot, exit: Exit) -> Exit {
        if !boot.process.end().await {
            let text = format!("its start script did not clean up within {} s, and was killed", CLEAN_UP.as_secs());
            self.life.console().recorder().message(Level::Error, text);
        }
        exit
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
        let operation = "power off";
        if !self.shared.origin.is_script() {
            return self.tell(operation, POWER_OFF);
        }
        // By a command, as upstream does: what the container's init is, only its start script knows.
        self.shared.live().asked.power_off = true;
        let command = Command::new("systemctl poweroff").timeout(Some(POWER_OFF_LIMIT));
        let failure = match self.run(command).await {
            // What it asks for may end it by a signal.
            Ok(output) if output.status == 0 || output.status > 128 => return Ok(()),
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                let cause = format!("`systemctl poweroff` failed with status {}: {}", output.status, said.trim());
                self.shared.life.error(operation, cause)
            }
            // Gone is what was asked for.
            Err(error) if error.gone => return Ok(()),
            Err(error) => error,
        };
        self.shared.live().asked.power_off = false;
        Err(failure)
    }

    async fn reboot(&self) -> Result<(), MachineError> {
        self.shared.live().asked.reboot = true;
        self.tell("reboot", REBOOT_SIGNAL)?;
        self.shared.life.tell(Standing::Booting);
        Ok(())
    }

    fn end_limit(&self) -> Duration {
        if self.shared.origin.is_script() { CLEAN_UP } else { Duration::ZERO }
    }

    async fn kill(&self) -> Result<(), MachineError> {
        self.shared.life.kill();
        self.shared.life.ended().await;
        Ok(())
    }

    fn pid(&self) -> Option<u32> {
        self.shared.live().pid
    }

    fn leader(&self) -> Option<u32> {
        let leader = self.shared.live().leader.clone()?;
        u32::try_from(pid_of(leader.as_fd()).ok()?).ok()
    }

    fn class(&self) -> Option<&str> {
        Some("NspawnMachine")
    }

    fn cable(&self) -> Option<&dyn Cable> {
        Some(self)
    }

    fn terminal(&self) -> Option<&dyn Terminal> {
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

#[async_trait]
impl Terminal for Container {
    async fn write(&self, bytes: &[u8]) -> Result<(), MachineError> {
        let operation = "type into the console";
        let keyboard = self.shared.live().keyboard.clone();
        let keyboard = keyboard.ok_or_else(|| self.shared.life.not_there(operation))?;
        keyboard.write(bytes).await.map_err(|error| self.shared.life.error(operation, &error).source(error))
    }
}
