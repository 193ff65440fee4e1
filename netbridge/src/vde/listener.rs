//! Who plugs in: clients that kept to the protocol.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Either, select};
use futures::stream::{FuturesUnordered, StreamExt};
use nix::errno::Errno;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::directory::{Directory, SocketFile, socket_for};
use super::protocol::{LONGEST, Malformed, Request, reply};

/// How many clients can be plugged in, and how many can be about to.
pub(crate) const CLIENTS: usize = 64;
/// Clients send their request with the connection.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long descriptors or memory may be short before it is tried again.
const SHORTAGE: Duration = Duration::from_millis(100);

/// A directory that VDE clients plug into. With it the directory goes, but no client.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: UnixListener,
    handshakes: FuturesUnordered<BoxFuture<'static, Result<Client, Refusal>>>,
    clients: Arc<Semaphore>,
    refused: Arc<AtomicU64>,
    // The last to be dropped: handshakes make files in it.
    directory: Directory,
}

impl Listener {
    /// Makes `directory` (mode 0700), which must not exist, and a socket `ctl` (mode 0600) in it.
    pub(crate) fn bind(directory: &Path) -> io::Result<Self> {
        let directory = Directory::create(directory)?;
        let path = directory.path().join("ctl");
        let socket = UnixListener::bind(&path).and_then(|socket| {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600))?;
            Ok(socket)
        });
        let socket = socket
            .map_err(|error| io::Error::new(error.kind(), format!("VDE control socket {}: {error}", path.display())))?;
        Ok(Self {
            socket,
            handshakes: FuturesUnordered::new(),
            clients: Arc::new(Semaphore::new(CLIENTS)),
            refused: Arc::default(),
            directory,
        })
    }

    /// The next client that keeps to the protocol. Others are turned away, and none waits for another.
    ///
    /// A call that is cancelled loses nobody. Handshakes go on only during calls.
    pub(crate) async fn accept(&mut self) -> io::Result<Client> {
        loop {
            let event = {
                let connection = pin!(connection(&self.socket));
                if self.handshakes.is_empty() {
                    Either::Right(connection.await)
                } else {
                    // In this order: connections without end must not keep those from getting on that are here.
                    match select(self.handshakes.next(), connection).await {
                        Either::Left((done, _)) => Either::Left(done),
                        Either::Right((new, _)) => Either::Right(new),
                    }
                }
            };
            match event {
                Either::Left(Some(Ok(client))) => return Ok(client),
                Either::Left(Some(Err(refusal))) => self.refuse(&refusal),
                Either::Left(None) => {}
                Either::Right(stream) => self.begin(stream?),
            }
        }
    }

    /// How many were turned away; it goes on counting.
    pub(crate) fn refused(&self) -> Arc<AtomicU64> {
        self.refused.clone()
    }

    fn begin(&mut self, stream: UnixStream) {
        if self.handshakes.len() >= CLIENTS {
            return self.refuse(&Refusal::TooMany);
        }
        let handshake = handshake(stream, self.directory.path().into(), self.clients.clone());
        self.handshakes.push(handshake.boxed());
    }

    fn refuse(&self, reason: &Refusal) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(directory = %self.directory.path().display(), %reason, "VDE client refused");
    }
}

/// Somebody who is plugged in.
#[derive(Debug)]
pub(crate) struct Client {
    /// A datagram socket that does not block, connected to the client's: each datagram is a frame. An empty one is a farewell of some.
    pub(crate) data: OwnedFd,
    /// How it ends. The socket's name goes with it.
    pub(crate) control: Control,
    /// What the client says of itself; need not be true.
    pub(crate) description: String,
}

/// The connection that lasts for as long as a client is plugged in. Dropping it tells the client to go.
#[derive(Debug)]
pub(crate) struct Control {
    stream: UnixStream,
    excess: usize,
    _file: SocketFile,
    _place: OwnedSemaphorePermit,
}

impl Control {
    /// Returns when the client has hung up, or talks on without end. Can be cancelled and called again.
    pub(crate) async fn gone(&mut self) {
        let mut bytes = [0; LONGEST];
        while self.excess <= LONGEST && self.stream.readable().await.is_ok() {
            match self.stream.try_read(&mut bytes) {
                Ok(0) => return,
                // Such as the rest of its description.
                Ok(length) => self.excess += length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }
}

/// Why a client is turned away.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("there are {CLIENTS} already")]
    TooMany,
    #[error("there was no request within {} s", PATIENCE.as_secs())]
    Silent,
    #[error("{0}")]
    Malformed(#[from] Malformed),
    #[error("the directory's path, as it sees it, is too long")]
    TooLong,
    #[error("its socket or the answer: {0}")]
    Io(#[from] io::Error),
}

async fn connection(socket: &UnixListener) -> io::Result<UnixStream> {
    loop {
        match socket.accept().await {
            Ok((stream, _)) => return Ok(stream),
            Err(error) if passes(&error) => tokio::time::sleep(SHORTAGE).await,
            Err(error) => return Err(error),
        }
    }
}

/// Whether an error of accept(2) is about one client, or may be over soon.
fn passes(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error().map(Errno::from_raw),
        Some(Errno::ECONNABORTED | Errno::EINTR | Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM)
    )
}

async fn handshake(stream: UnixStream, directory: Box<Path>, clients: Arc<Semaphore>) -> Result<Client, Refusal> {
    let request = tokio::time::timeout(PATIENCE, request(&stream)).await.map_err(|_| Refusal::Silent)??;
    let place = clients.try_acquire_owned().map_err(|_| Refusal::TooMany)?;
    let (data, file) = socket_for(&request.socket, &directory)?;
    // The client can see the directory elsewhere, by another mount.
    let answer = reply(&request.socket.with_file_name(file.name())).ok_or(Refusal::TooLong)?;
    // There is room for it: nothing was sent before.
    stream.writable().await?;
    if stream.try_write(&answer)? < answer.len() {
        return Err(Refusal::Io(io::ErrorKind::WriteZero.into()));
    }
    let control = Control { stream, excess: 0, _file: file, _place: place };
    Ok(Client { data, control, description: request.description })
}

async fn request(stream: &UnixStream) -> Result<Request, Refusal> {
    let mut bytes = [0; LONGEST];
    let mut length = 0;
    loop {
        stream.readable().await?;
        match stream.try_read(&mut bytes[length..]) {
            Ok(0) => return Err(Malformed::Incomplete.into()),
            Ok(more) => length += more,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error.into()),
        }
        match Request::parse(&bytes[..length]) {
            Err(Malformed::Incomplete) => {}
            done => return Ok(done?),
        }
    }
}
