//! QEMU's monitor: one QMP connection for the life of a VM.

use std::io;
use std::time::Duration;

use async_trait::async_trait;
use driver_core::error::MachineError;
use driver_core::event::{Level, Recorder};
use driver_core::guest::{Monitor, QmpEvents, QmpRefusal};
use driver_core::life::{Life, Standing};
use serde_json::{Value, json};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, watch};
use tokio_util::task::AbortOnDropHandle;

use crate::guest::{LAST_WORDS, Vm};
use crate::qmp::command::{Command, HumanMonitorCommand};
use crate::qmp::{self, Client, Error, Event, Limits};

/// How long QEMU may take to answer a command: savevm of a large guest takes this long.
const ANSWER: Duration = Duration::from_secs(300);

/// How many events wait for whoever sees to the VM's power. They are few: only the sender waits where there are more.
const QUEUED: usize = 64;

/// The connection, or what became of it.
#[derive(Clone, Debug)]
enum Link {
    Connecting,
    Up(Client),
    Broken(String),
}

/// QEMU's end of the conversation.
#[derive(Debug)]
pub(crate) struct Qmp {
    link: watch::Receiver<Link>,
    events: QmpEvents,
    _task: AbortOnDropHandle<()>,
}

impl Qmp {
    /// Connects in the background, for which QEMU has so long. All events that matter to the machine's power go to the receiver, which ends
    /// with the connection.
    pub(crate) fn connect(
        stream: UnixStream,
        greeting: Duration,
        recorder: Recorder,
    ) -> (Self, mpsc::Receiver<qmp::Kind>) {
        let (tell, link) = watch::channel(Link::Connecting);
        let (power, kinds) = mpsc::channel(QUEUED);
        let events = QmpEvents::default();
        let task = tokio::spawn(converse(stream, greeting, recorder, tell, events.clone(), power));
        (Self { link, events, _task: AbortOnDropHandle::new(task) }, kinds)
    }

    /// Executes a command of the driver's own.
    pub(crate) async fn execute<C: Command>(
        &self,
        life: &Life,
        operation: &str,
        command: C,
    ) -> Result<C::Ok, MachineError> {
        match self.ask(life, operation, async |client| client.execute(command).await).await? {
            Ok(done) => Ok(done),
            Err(refusal) => Err(life.error(operation, format!("QEMU refused {}: {}", C::NAME, refusal.description))),
        }
    }

    /// Has the connection's client do something. That QEMU refuses it is the inner error. Ends with the machine.
    pub(crate) async fn ask<T>(
        &self,
        life: &Life,
        operation: &str,
        ask: impl AsyncFnOnce(Client) -> Result<T, Error>,
    ) -> Result<Result<T, QmpRefusal>, MachineError> {
        let answer = async {
            match ask(self.client().await?).await {
                Ok(value) => Ok(Ok(value)),
                Err(Error::Refused { class, description, .. }) => Ok(Err(QmpRefusal { class, description })),
                Err(error) => Err(error.to_string()),
            }
        };
        let answer = tokio::select! {
            biased;
            answer = answer => answer,
            _ = life.ended() => return Err(life.not_there(operation)),
        };
        match answer {
            Ok(answer) => Ok(answer),
            Err(why) => {
                // QEMU's end, if that is the reason, follows within moments.
                life.ends_within(LAST_WORDS).await;
                Err(if matches!(life.standing(), Standing::Ended(_)) {
                    life.not_there(operation)
                } else {
                    life.error(operation, why)
                })
            }
        }
    }
}

impl Qmp {
    /// The connection, once it is there.
    async fn client(&self) -> Result<Client, String> {
        let mut link = self.link.clone();
        let settled = link.wait_for(|link| !matches!(link, Link::Connecting)).await;
        match settled.as_deref() {
            Ok(Link::Up(client)) => Ok(client.clone()),
            Ok(Link::Broken(why)) => Err(why.clone()),
            _ => Err("the connection to QEMU is gone".to_owned()),
        }
    }
}

async fn converse(
    stream: UnixStream,
    greeting: Duration,
    recorder: Recorder,
    link: watch::Sender<Link>,
    events: QmpEvents,
    power: mpsc::Sender<qmp::Kind>,
) {
    let limits = Limits { answer: greeting, ..Limits::default() };
    let (client, mut reader) = match qmp::connect_unix(stream, limits).await {
        Ok(connected) => connected,
        Err(error) => {
            tracing::debug!(%error, "no connection to QEMU");
            link.send_replace(Link::Broken(error.to_string()));
            return;
        }
    };
    link.send_replace(Link::Up(client.within(ANSWER)));
    drop(client);
    loop {
        match reader.next().await {
            Ok(event) => {
                if let Ok(event) = serde_json::to_value(&event) {
                    events.push(event);
                }
                let kind = Event::kind(&event);
                if kind != qmp::Kind::Other && power.send(kind).await.is_err() {
                    // The machine is gone, but its last events are still of interest.
                    tracing::debug!("nobody sees to the machine any more");
                }
            }
            Err(error @ Error::Lost(_)) => recorder.message(Level::Warning, error.to_string()),
            Err(error) => {
                link.send_replace(Link::Broken(error.to_string()));
                return;
            }
        }
    }
}

/// A descriptor's file set in QEMU, for as long as a command needs it.
pub(crate) async fn lend<T>(
    client: &Client,
    descriptor: std::os::fd::OwnedFd,
    work: impl AsyncFnOnce(&Client, String) -> Result<T, Error>,
) -> Result<T, Error> {
    let added = client.send_with("add-fd", Value::Null, descriptor).await?;
    let unexpected = |source| Error::UnexpectedAnswer { command: "add-fd".into(), source };
    let set: crate::qmp::command::AddedFd = serde_json::from_value(added).map_err(unexpected)?;
    let result = work(client, format!("/dev/fdset/{}", set.fdset)).await;
    client.execute(crate::qmp::command::RemoveFd { fdset: set.fdset }).await?;
    result
}

#[async_trait]
impl Monitor for Vm {
    async fn command(&self, line: &str) -> Result<String, MachineError> {
        let shared = &self.shared;
        let result = shared.qmp.execute(&shared.life, "run a monitor command", HumanMonitorCommand::new(line)).await;
        // What this one does leaves no time for an answer.
        if matches!(line.trim(), "q" | "quit") { result.or_else(|error| gone(error, String::new())) } else { result }
    }

    async fn qmp(&self, command: &str, arguments: Value) -> Result<Result<Value, QmpRefusal>, MachineError> {
        let shared = &self.shared;
        let send = async |client: Client| client.send(command, arguments).await;
        let result = shared.qmp.ask(&shared.life, "run a QMP command", send).await;
        if command == "quit" { result.or_else(|error| gone(error, Ok(json!({})))) } else { result }
    }

    fn events(&self) -> QmpEvents {
        self.shared.qmp.events.clone()
    }
}

/// The answer of a command that ends QEMU, whose answer may not come.
fn gone<T>(error: MachineError, answer: T) -> Result<T, MachineError> {
    if error.gone { Ok(answer) } else { Err(error) }
}

/// An error of the host's, as one of the machine's.
pub(crate) fn broken(life: &Life, operation: &str, error: io::Error) -> MachineError {
    life.error(operation, &error).source(error)
}
