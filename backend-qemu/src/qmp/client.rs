//! A connection to QEMU's control socket.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::codec::FramedRead;
use tokio_util::task::AbortOnDropHandle;

use super::command::{Command, QmpCapabilities};
use super::error::Error;
use super::event::Events;
use super::link::{Caller, Link};
use super::wire::{self, Codec, Greeting, Message, Version, WireError};

/// How many requests wait to be written before their callers are held back.
const QUEUED: usize = 16;

/// What a connection bears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest line that is read, in bytes. A longer one ends the connection.
    pub line: usize,
    /// How long QEMU may take to greet and to answer a command; [`Client::within`] changes the latter.
    pub answer: Duration,
    /// How many events a reader may fall behind before it loses the oldest. 0 counts as 1.
    pub events: usize,
}

impl Default for Limits {
    /// Lines of 4 MiB, a minute, and 1024 events: several times what was seen of a QEMU that is well.
    fn default() -> Self {
        Self { line: 4 << 20, answer: Duration::from_secs(60), events: 1024 }
    }
}

/// Connects over `stream` and returns once QEMU takes commands, with a reader of its events from the first one on.
pub async fn connect<S>(stream: S, limits: Limits) -> Result<(Client, Events), Error>
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let (reader, writer) = tokio::io::split(stream);
    let mut messages = FramedRead::new(reader, Codec::new(limits.line));
    let link = Arc::new(Link::new(limits.events.max(1)));
    let events = Events::new(Arc::clone(&link));

    let greeting = timeout(limits.answer, greeting(&mut messages, &link))
        .await
        .map_err(|_| Error::NoAnswer { command: "the connection".into(), after: limits.answer })?
        .map_err(|cause| Error::Ended { awaited: "its greeting".into(), cause: Arc::new(cause) })?;

    let (requests, queue) = mpsc::channel(QUEUED);
    let task = tokio::spawn(converse(messages, writer, queue, Arc::clone(&link)));
    let connection = Connection { requests, link, version: greeting.version, _task: AbortOnDropHandle::new(task) };
    let client = Client { connection: Arc::new(connection), within: limits.answer };
    client.execute(QmpCapabilities).await?;
    Ok((client, events))
}

/// Sends commands. Clones share the connection, which is closed with the last one.
///
/// A call may be dropped at any time: a command whose line was begun is sent whole and its answer ignored, any other is not sent.
#[derive(Clone, Debug)]
pub struct Client {
    connection: Arc<Connection>,
    within: Duration,
}

impl Client {
    /// Executes a command and returns its answer.
    pub async fn execute<C: Command>(&self, command: C) -> Result<C::Ok, Error> {
        let name = C::NAME;
        let arguments =
            serde_json::to_value(command).map_err(|source| Error::Arguments { command: name.into(), source })?;
        let answer = self.send(name, arguments).await?;
        serde_json::from_value(answer).map_err(|source| Error::UnexpectedAnswer { command: name.into(), source })
    }

    /// Executes any command by its name, with an object of arguments or null, and returns what QEMU calls `return`.
    pub async fn send(&self, command: &str, arguments: Value) -> Result<Value, Error> {
        let ended = || self.connection.link.ended(format!("the answer to {command}"));
        let exchange = async {
            let (caller, answer) = oneshot::channel();
            let request = Request { command: command.into(), arguments, caller };
            self.connection.requests.send(request).await.map_err(|_| ended())?;
            match answer.await {
                Ok(Ok(value)) => Ok(value),
                Ok(Err(refusal)) => Err(Error::Refused {
                    command: command.into(),
                    class: refusal.class,
                    description: refusal.description,
                }),
                Err(_) => Err(ended()),
            }
        };
        timeout(self.within, exchange)
            .await
            .unwrap_or_else(|_| Err(Error::NoAnswer { command: command.into(), after: self.within }))
    }

    /// The same connection for commands that may take this long.
    #[must_use]
    pub fn within(&self, within: Duration) -> Self {
        Self { connection: Arc::clone(&self.connection), within }
    }

    /// A reader of all events from now on.
    pub fn events(&self) -> Events {
        Events::new(Arc::clone(&self.connection.link))
    }

    /// QEMU's version, as it greeted with.
    pub fn version(&self) -> &Version {
        &self.connection.version
    }
}

#[derive(Debug)]
struct Connection {
    requests: mpsc::Sender<Request>,
    link: Arc<Link>,
    version: Version,
    _task: AbortOnDropHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        // The task is aborted and can't tell the readers of events.
        self.link.end(WireError::Closed);
    }
}

#[derive(Debug)]
struct Request {
    command: String,
    arguments: Value,
    caller: Caller,
}

/// Waits for the first message that is no event: it has to be the greeting.
async fn greeting<R>(messages: &mut FramedRead<R, Codec>, link: &Link) -> Result<Greeting, WireError>
where
    R: AsyncRead + Unpin,
{
    loop {
        match messages.next().await.unwrap_or(Err(WireError::Closed))? {
            Message::Greeting(greeting) => return Ok(greeting),
            Message::Event(event) => link.announce(event),
            Message::Reply { .. } => return Err(WireError::Ungreeted),
        }
    }
}

/// Reads and writes until the connection ends. Both go on at the same time, so that a QEMU that first wants its answers to be read cannot
/// hold up both sides.
async fn converse<R, W>(
    mut messages: FramedRead<R, Codec>,
    mut writer: W,
    queue: mpsc::Receiver<Request>,
    link: Arc<Link>,
) where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let cause = tokio::select! {
        cause = receive(&mut messages, &link) => cause,
        // QEMU's last words can still be read.
        () = transmit(&mut writer, queue, &link) => receive(&mut messages, &link).await,
    };
    tracing::debug!(%cause, "the connection to QEMU ended");
    link.end(cause);
}

/// Hands out what comes until nothing comes any more.
async fn receive<R: AsyncRead + Unpin>(messages: &mut FramedRead<R, Codec>, link: &Link) -> WireError {
    loop {
        match messages.next().await.unwrap_or(Err(WireError::Closed)) {
            Ok(Message::Reply { id, outcome }) => link.answer(id, outcome),
            Ok(Message::Event(event)) => link.announce(event),
            // Said twice it means nothing.
            Ok(Message::Greeting(_)) => {}
            Err(cause) => return cause,
        }
    }
}

/// Writes requests until nobody has any more or one can't be written.
async fn transmit<W: AsyncWrite + Unpin>(writer: &mut W, mut queue: mpsc::Receiver<Request>, link: &Link) {
    let mut id = 0;
    while let Some(Request { command, arguments, caller }) = queue.recv().await {
        if caller.is_closed() {
            continue;
        }
        id += 1;
        let text = wire::request(id, &command, &arguments);
        tracing::trace!(line = text, "to QEMU");
        link.expect(id, caller);
        let written = async {
            writer.write_all(text.as_bytes()).await?;
            writer.flush().await
        };
        if let Err(error) = written.await {
            tracing::debug!(%error, "a request to QEMU could not be written");
            return link.unsent(id);
        }
    }
}

#[cfg(test)]
mod tests;
