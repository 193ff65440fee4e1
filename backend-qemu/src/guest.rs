//! A live VM.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use driver_core::backend::{Descriptors, StartRequest};
use driver_core::console::Console;
use driver_core::error::MachineError;
use driver_core::guest::{Cable, Channel, Command, Exit, Guest, Output};
use driver_core::life::{Life, Standing};
use driver_core::log::harmless;
use netbridge::Port;
use tokio::fs::File;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::UnixStream;
use tokio::process::Child;
use tokio::sync::{Mutex, watch};
use tokio::time::timeout;

use crate::boot::{self, Boot, Tools};
use crate::qmp::{self, Event, Kind, Limits};
use crate::shell::{Ended, Patience, Request, Shell, ShellError, Sink};

/// Longest line of the console in bytes; a longer one is cut into several.
const LINE_MAX: u64 = 64 * 1024;

/// Most that a captured command may say.
const OUTPUT_MAX: usize = 256 * 1024 * 1024;

/// How long the console may take to say its last lines after QEMU has ended.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A VM from its start to its end.
pub(crate) struct Vm {
    shared: Arc<Shared>,
    /// Dropped with the last handle, which ends the VM.
    _alive: watch::Sender<()>,
}

struct Shared {
    request: StartRequest,
    life: Life,
    shell: Mutex<Option<Shell<UnixStream>>>,
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
        let broken =
            |error: io::Error| MachineError::new(&request.machine.name, "start", error.to_string()).source(error);
        let Boot { qemu, helpers, qmp, serial, shell, journal: _, ports } =
            boot::start(tools, &request, &descriptors).await.map_err(broken)?;
        let stream = |socket| UnixStream::from_std(socket).map_err(broken);
        let (qmp, serial, shell) = (stream(qmp)?, stream(serial)?, stream(shell)?);
        let life = Life::new(&*request.machine.name, console);
        let shared = Arc::new(Shared { request, life, shell: Mutex::new(None), ports });
        let (alive, gone) = watch::channel(());
        tokio::spawn(supervise(shared.clone(), Processes { qemu, helpers }, Streams { qmp, serial, shell }, gone));
        Ok(Self { shared, _alive: alive })
    }
}

struct Processes {
    qemu: Child,
    helpers: Vec<Child>,
}

struct Streams {
    qmp: UnixStream,
    serial: UnixStream,
    shell: UnixStream,
}

/// Sees a VM through to its end.
async fn supervise(shared: Arc<Shared>, mut processes: Processes, streams: Streams, mut handles: watch::Receiver<()>) {
    let lines = tokio::spawn(follow(streams.serial, shared.life.console().clone()));
    let said = tokio::spawn(last_words(processes.qemu.stderr.take()));
    let events = tokio::spawn(watch_events(streams.qmp));
    let connected = connect(&shared, streams.shell);
    tokio::pin!(connected);
    let mut asked = false;
    let exit = loop {
        tokio::select! {
            status = processes.qemu.wait() => break match status {
                _ if shared.life.is_to_be_killed() => Exit::Killed,
                Ok(status) if status.success() => Exit::PoweredOff,
                Ok(status) => Exit::Died(format!("QEMU ended with {status}")),
                Err(error) => Exit::Died(format!("QEMU cannot be waited for: {error}")),
            },
            () = shared.life.to_be_killed(), if !asked => { asked = true; let _ = processes.qemu.start_kill(); }
            _ = handles.changed(), if !asked => { asked = true; shared.life.kill(); let _ = processes.qemu.start_kill(); }
            result = &mut connected, if shared.life.standing() == Standing::Booting => match result {
                Ok(()) => { shared.life.tell(Standing::Ready); }
                Err(why) => {
                    let _ = processes.qemu.kill().await;
                    break Exit::Died(why);
                }
            },
        }
    };
    for mut helper in processes.helpers {
        let _ = helper.kill().await;
    }
    let _ = timeout(LAST_WORDS, lines).await;
    let said = timeout(LAST_WORDS, said).await.ok().and_then(Result::ok).unwrap_or_default();
    let panicked = timeout(LAST_WORDS, events).await.ok().and_then(Result::ok).unwrap_or_default();
    let exit = match exit {
        Exit::Died(why) if !said.is_empty() => Exit::Died(format!("{why}: {said}")),
        Exit::PoweredOff if panicked => Exit::Died("its kernel panicked".into()),
        exit => exit,
    };
    shared.shell.lock().await.take();
    shared.life.tell(Standing::Ended(exit));
}

/// Waits for the guest's shell.
async fn connect(shared: &Shared, stream: UnixStream) -> Result<(), String> {
    let limit = shared.request.boot_timeout;
    match Shell::connect(stream, limit, Patience::default()).await {
        Ok(shell) => {
            *shared.shell.lock().await = Some(shell);
            Ok(())
        }
        // QEMU's end follows, which tells more.
        Err(error) if error.is_final() && !matches!(error, ShellError::NoShell { .. }) => std::future::pending().await,
        Err(error) => Err(format!("{error} (`boot-timeout`)")),
    }
}

/// Reads events to their end; whether the guest's kernel panicked.
async fn watch_events(stream: UnixStream) -> bool {
    let Ok((client, mut events)) = qmp::connect(stream, Limits::default()).await else { return false };
    let mut panicked = false;
    loop {
        match events.next().await {
            Ok(event) => panicked |= Event::kind(&event) == Kind::GuestPanicked,
            Err(qmp::Error::Lost(_)) => {}
            Err(_) => break,
        }
    }
    drop(client);
    panicked
}

/// What QEMU said of itself, the last lines of it.
async fn last_words(stderr: Option<tokio::process::ChildStderr>) -> String {
    let mut text = String::new();
    if let Some(mut stderr) = stderr {
        let _ = stderr.read_to_string(&mut text).await;
    }
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(5)..].join(" | ")
}

/// Follows the serial console to its end.
async fn follow(serial: UnixStream, console: Console) {
    let mut reader = BufReader::new(serial);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut reader).take(LINE_MAX).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {
                let text = String::from_utf8_lossy(&line).trim_end().replace('\r', "");
                console.push(harmless(&text));
            }
        }
    }
}

#[async_trait]
impl Guest for Vm {
    fn channel(&self) -> Channel {
        Channel { stderr_apart: false, overlap: false }
    }

    async fn ready(&self) -> Result<(), MachineError> {
        self.shared.life.ready().await
    }

    async fn lost(&self) -> MachineError {
        self.shared.life.lost().await
    }

    async fn run(&self, command: Command) -> Result<Output, MachineError> {
        let operation = "run a command";
        let mut shell = self.shared.shell.lock().await;
        let Some(shell) = shell.as_mut() else { return Err(self.shared.life.not_there(operation)) };
        let mut input = command.stdin.map(|fd| File::from_std(fd.into()));
        let mut output = command.stdout.map(|fd| File::from_std(fd.into()));
        let request = Request {
            script: &command.script,
            timeout: command.timeout,
            input: input.as_mut().map(|file| file as _),
            output: match &mut output {
                Some(file) => Sink::Stream(file),
                None => Sink::Capture(OUTPUT_MAX),
            },
        };
        match shell.run(request).await {
            Ok(Ended { status, stdout }) => Ok(Output { status, stdout, stderr: Vec::new() }),
            Err(error) => {
                if error.is_final() {
                    // The machine's end, if that is the reason, follows within moments.
                    self.shared.life.ends_within(LAST_WORDS).await;
                }
                match self.shared.life.standing() {
                    Standing::Ended(_) | Standing::Lost(_) => Err(self.shared.life.not_there(operation)),
                    Standing::Booting | Standing::Ready => Err(self.shared.life.error(operation, &error).source(error)),
                }
            }
        }
    }

    async fn exited(&self) -> Exit {
        self.shared.life.ended().await
    }

    async fn stop(&self) -> Result<(), MachineError> {
        self.tell("power off", "systemctl --no-block poweroff").await
    }

    async fn reboot(&self) -> Result<(), MachineError> {
        Err(self.shared.life.error("reboot", "VMs cannot be rebooted yet; shut it down and start it again"))
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

impl Vm {
    async fn tell(&self, operation: &str, script: &str) -> Result<(), MachineError> {
        let command = Command::new(script).timeout(Some(Duration::from_secs(60)));
        match self.run(command).await {
            Ok(output) if output.status == 0 => Ok(()),
            Ok(output) => {
                Err(self.shared.life.error(operation, format!("`{script}` ended with status {}", output.status)))
            }
            // It went faster than the answer came.
            Err(error) if error.gone => Ok(()),
            Err(error) => Err(error),
        }
    }
}

#[async_trait]
impl Cable for Vm {
    async fn set(&self, attachment: usize, plugged: bool) -> Result<(), MachineError> {
        self.shared.life.plug(&self.shared.ports, attachment, plugged).await
    }
}
