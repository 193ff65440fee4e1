//! A connection to QEMU's control socket.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;
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
    connect_with(stream, None, limits).await
}

/// The same over a socket on which descriptors can be sent, too.
pub async fn connect_unix(stream: UnixStream, limits: Limits) -> Result<(Client, Events), Error> {
    let socket = stream.as_fd().try_clone_to_owned();
    let socket = socket
        .map_err(|error| Error::Ended { awaited: "its greeting".into(), cause: Arc::new(WireError::Io(error)) })?;
    connect_with(stream, Some(socket), limits).await
}

async fn connect_with<S>(stream: S, socket: Option<OwnedFd>, limits: Limits) -> Result<(Client, Events), Error>
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
    let task = tokio::spawn(converse(messages, Writer { stream: writer, socket }, queue, Arc::clone(&link)));
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
        self.exchange(command, arguments, None).await
    }

    /// The same for a command that takes a descriptor, such as `add-fd`, on a connection made by [`connect_unix`].
    pub async fn send_with(&self, command: &str, arguments: Value, descriptor: OwnedFd) -> Result<Value, Error> {
        self.exchange(command, arguments, Some(descriptor)).await
    }

    async fn exchange(&self, command: &str, arguments: Value, descriptor: Option<OwnedFd>) -> Result<Value, Error> {
        let ended = || self.connection.link.ended(format!("the answer to {command}"));
        let exchange = async {
            let (caller, answer) = oneshot::channel();
            let request = Request { command: command.into(), arguments, descriptor, caller };
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
    descriptor: Option<OwnedFd>,
    caller: Caller,
}

/// What requests are written to.
struct Writer<W> {
    stream: W,
    /// The socket below, if descriptors can be sent on it.
    socket: Option<OwnedFd>,
}

impl<W: AsyncWrite + Unpin> Writer<W> {
    async fn write(&mut self, text: &str, descriptor: Option<OwnedFd>) -> io::Result<()> {
        if let Some(descriptor) = descriptor {
            let socket = self.socket.as_ref().ok_or(io::ErrorKind::Unsupported)?;
            pass(socket.as_fd(), descriptor.as_fd())?;
        }
        self.stream.write_all(text.as_bytes()).await?;
        self.stream.flush().await
    }
}

/// Sends a descriptor along with a blank, which means nothing between requests (unix(7), `SCM_RIGHTS`). QEMU keeps it for the next command
/// that takes one.
fn pass(socket: BorrowedFd<'_>, descriptor: BorrowedFd<'_>) -> io::Result<()> {
    let descriptors = [descriptor];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&descriptors));
    // Requests are short and few: if there is no room for a blank, QEMU does not read any more.
    sendmsg(socket, &[io::IoSlice::new(b" ")], &mut control, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)?;
    Ok(())
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
    mut writer: Writer<W>,
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
async fn transmit<W: AsyncWrite + Unpin>(writer: &mut Writer<W>, mut queue: mpsc::Receiver<Request>, link: &Link) {
    let mut id = 0;
    while let Some(Request { command, arguments, descriptor, caller }) = queue.recv().await {
        if caller.is_closed() {
            continue;
        }
        id += 1;
        let text = wire::request(id, &command, &arguments);
        tracing::trace!(line = text, "to QEMU");
        link.expect(id, caller);
        if let Err(error) = writer.write(&text, descriptor).await {
            tracing::debug!(%error, "a request to QEMU could not be written");
            return link.unsent(id);
        }
    }
}

#[cfg(test)]
mod tests;
