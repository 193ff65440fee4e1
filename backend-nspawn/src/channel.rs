//! The driver's end of the door: commands in a container, several at once.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::door::{self, Profile, Reply, Request};

/// Commands in one boot of a container.
#[derive(Debug)]
pub(crate) struct Channel {
    shared: Arc<Shared>,
    reader: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    socket: AsyncFd<OwnedFd>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u32,
    starting: HashMap<u32, oneshot::Sender<Start>>,
    running: HashMap<u32, oneshot::Sender<i32>>,
    joined: Option<oneshot::Sender<io::Result<Joined>>>,
    closed: bool,
}

/// Descriptors of a door that has joined the container.
#[derive(Debug)]
pub(crate) struct Joined {
    /// A pidfd of the container's pid 1.
    pub(crate) leader: OwnedFd,
    /// A pidfd of the door.
    pub(crate) door: OwnedFd,
}

/// What became of a command that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    Started,
    Failed(i32),
    Stale(Profile),
}

/// A command was not started, because the profile it was meant for is gone; this is the one there now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stale(pub(crate) Profile);

/// A running command. Dropping it kills the command's process group.
#[derive(Debug)]
pub(crate) struct Running {
    shared: Arc<Shared>,
    id: u32,
    ended: oneshot::Receiver<i32>,
    over: bool,
}

impl Channel {
    /// Takes the driver's end of the socket pair.
    pub(crate) fn new(socket: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        // SAFETY: the descriptor is owned by the AsyncFd and never replaced while it is registered.
        let socket = unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE | Interest::WRITABLE) }?;
        let shared = Arc::new(Shared { socket, state: Mutex::default() });
        let reader = tokio::spawn(read_replies(shared.clone()));
        Ok(Self { shared, reader })
    }

    /// Sends the door into the namespaces of `leader`, a pid as systemd-nspawn sees it. Commands are born into `cgroup`, if there is one.
    pub(crate) async fn join(&self, leader: i32, cgroup: Option<OwnedFd>) -> io::Result<Joined> {
        let (sender, joined) = oneshot::channel();
        self.shared.state().joined = Some(sender);
        let fds: Vec<BorrowedFd<'_>> = cgroup.iter().map(AsFd::as_fd).collect();
        self.shared.send(&Request::Join { leader }, &fds).await?;
        joined.await.map_err(|_| gone())?
    }

    /// Starts a program with these descriptors as 0, 1, 2, ..., provided that the machine's profile is still `profile`.
    pub(crate) async fn start(
        &self,
        argv: Vec<Vec<u8>>,
        env: Vec<Vec<u8>>,
        profile: Option<Profile>,
        fds: &[BorrowedFd<'_>],
    ) -> io::Result<Result<Running, Stale>> {
        let (start_sender, start) = oneshot::channel();
        let (sender, ended) = oneshot::channel();
        let id = {
            let mut state = self.shared.state();
            if state.closed {
                return Err(gone());
            }
            state.next = state.next.wrapping_add(1);
            let id = state.next;
            state.starting.insert(id, start_sender);
            state.running.insert(id, sender);
            id
        };
        // From here on a cancelled call kills what may have been started.
        let mut running = Running { shared: self.shared.clone(), id, ended, over: false };
        self.shared.send(&Request::Run { id, profile, argv, env }, fds).await?;
        let start = start.await.map_err(|_| gone())?;
        running.over = start != Start::Started;
        match start {
            Start::Started => Ok(Ok(running)),
            Start::Stale(profile) => Ok(Err(Stale(profile))),
            // The container's pid namespace takes no new process once its pid 1 is gone (pid_namespaces(7)).
            Start::Failed(libc::ENOMEM) => Err(gone()),
            Start::Failed(errno) => Err(io::Error::from_raw_os_error(errno)),
        }
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Running {
    /// Waits for the command's end and returns its status as a shell would have it. Cancel-safe.
    pub(crate) async fn ended(&mut self) -> io::Result<i32> {
        let ended = (&mut self.ended).await;
        self.over = true;
        ended.map_err(|_| gone())
    }

    /// Sends a signal to the command's process group.
    pub(crate) fn signal(&self, signal: i32) {
        let request = Request::Signal { id: self.id, signal }.encode();
        // The socket's buffer holds many such short words; if it is full, the door is dead or the caller's own deadline follows.
        let _ = door::send(self.shared.socket.get_ref().as_fd(), &request, &[]);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.over {
            self.shared.state().forget(self.id);
            self.signal(libc::SIGKILL);
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn send(&self, request: &Request, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let bytes = request.encode();
        if bytes.len() > door::REQUEST_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the command and its environment are too long"));
        }
        loop {
            let mut ready = self.socket.writable().await?;
            match ready.try_io(|socket| door::send(socket.get_ref().as_fd(), &bytes, fds)) {
                Ok(result) => {
                    return result
                        .map_err(|error| if error.kind() == io::ErrorKind::BrokenPipe { gone() } else { error });
                }
                Err(_would_block) => {}
            }
        }
    }
}

async fn read_replies(shared: Arc<Shared>) {
    let mut buffer = [0; 64];
    while let Ok(mut ready) = shared.socket.readable().await {
        match ready.try_io(|socket| door::receive(socket.get_ref().as_fd(), &mut buffer)) {
            Err(_would_block) => {}
            Ok(Ok((length, fds))) if length > 0 => {
                if let Some(reply) = Reply::decode(&buffer[..length]) {
                    shared.state().take(reply, fds);
                }
            }
            Ok(_) => break,
        }
    }
    let mut state = shared.state();
    state.closed = true;
    // Their receivers see that nothing comes any more.
    state.starting.clear();
    state.running.clear();
    state.joined = None;
}

impl State {
    fn take(&mut self, reply: Reply, mut fds: Vec<OwnedFd>) {
        match reply {
            Reply::Joined { errno } => {
                let joined = match (errno, fds.pop(), fds.pop()) {
                    (0, Some(door), Some(leader)) => Ok(Joined { leader, door }),
                    (errno, ..) => Err(io::Error::from_raw_os_error(errno)),
                };
                if let Some(waiting) = self.joined.take() {
                    let _ = waiting.send(joined);
                }
            }
            Reply::Started { id } => self.started(id, Start::Started),
            Reply::Failed { id, errno } => self.started(id, Start::Failed(errno)),
            Reply::Stale { id, profile } => self.started(id, Start::Stale(profile)),
            Reply::Exited { id, status } => {
                if let Some(waiting) = self.running.remove(&id) {
                    let _ = waiting.send(status);
                }
            }
        }
    }

    fn started(&mut self, id: u32, start: Start) {
        if start != Start::Started {
            self.running.remove(&id);
        }
        if let Some(waiting) = self.starting.remove(&id) {
            let _ = waiting.send(start);
        }
    }

    fn forget(&mut self, id: u32) {
        self.starting.remove(&id);
        self.running.remove(&id);
    }
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the machine is gone")
}
