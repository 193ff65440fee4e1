//! A switch and nothing else: frames straight into one socket of it, and out of another one.

use std::ffi::OsStr;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use netbridge::{InterfaceName, Port, PortName, Segment};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::endpoint::{Kind, Result};
use super::load::Flow;
use super::tasks::Spent;

/// How many frames are sent before the clock is asked. A stream carries them with one call.
const BATCH: usize = 16;

/// What a receiver waits before it looks whether it is over.
const PATIENCE: Duration = Duration::from_millis(20);

/// A request of the protocol of VDE: its magic number, version 3, any port.
const REQUEST: [u32; 3] = [0xfeed_face, 3, 0];

/// Length of the path in a `struct sockaddr_un`.
const PATH: usize = 108;

/// Two sockets that lead into one switch.
pub(super) struct Direct {
    from: Socket,
    to: Socket,
    _held: Held,
}

/// What lives as long.
#[derive(Default)]
struct Held {
    ports: Vec<Port>,
    places: Vec<TempDir>,
    controls: Vec<tokio::net::UnixStream>,
}

enum Socket {
    /// Each datagram is a frame.
    Datagrams(UnixDatagram),
    /// Each frame is behind its length.
    Stream(UnixStream),
}

impl Direct {
    /// Two ports of one kind, which has to be one of sockets.
    pub(super) async fn plug(lan: &Segment, kind: Kind) -> Result<Self> {
        let mut held = Held::default();
        let from = socket(lan, kind, "from", &mut held).await?;
        let to = socket(lan, kind, "to", &mut held).await?;
        Ok(Self { from, to, _held: held })
    }

    /// Two clients of a VDE switch.
    pub(super) async fn of_vde_switch(directory: &Path) -> Result<Self> {
        let mut held = Held::default();
        let from = vde_client(directory, &mut held).await?;
        let to = vde_client(directory, &mut held).await?;
        Ok(Self { from, to, _held: held })
    }

    /// Sends frames of `size` bytes in all from one to the other, as fast as one thread can.
    pub(super) async fn frames(&self, size: usize, time: Duration) -> Result<Flow> {
        // So that a switch knows where it is.
        self.to.send(&frame(2, 1, 64), 1)?;
        let (to, arrived) = (self.to.try_clone()?, Arc::new(AtomicU64::new(0)));
        let (end, count) = (Arc::new(AtomicBool::new(false)), arrived.clone());
        let ended = end.clone();
        let receiving = tokio::task::spawn_blocking(move || to.receive(size, &count, &ended));
        tokio::time::sleep(PATIENCE).await;

        let (from, before) = (self.from.try_clone()?, Spent::now()?);
        let sending = tokio::task::spawn_blocking(move || {
            let frame = frame(1, 2, size);
            let began = Instant::now();
            while began.elapsed() < time {
                from.send(&frame, BATCH)?;
            }
            Result::Ok(began.elapsed())
        });
        let took = sending.await?;
        let (count, spent) = (arrived.load(Ordering::Relaxed), Spent::now()?.since(&before));
        end.store(true, Ordering::Relaxed);
        receiving.await??;
        let took = took?;
        let count = f64::from(u32::try_from(count)?);
        Ok(Flow { rate: count / 1e3 / took.as_secs_f64(), cost: spent.as_secs_f64() * 1e6 / count })
    }
}

/// A frame from one station to another, of the type that is for experiments (IEEE 802, 0x88b5).
fn frame(from: u8, to: u8, size: usize) -> Vec<u8> {
    let mut frame = vec![0x52, 0x54, 0, 0x12, 1, to, 0x52, 0x54, 0, 0x12, 1, from, 0x88, 0xb5];
    frame.resize(size, 0);
    frame
}

async fn socket(lan: &Segment, kind: Kind, name: &str, held: &mut Held) -> Result<Socket> {
    let name = PortName::from(InterfaceName::new(name)?);
    let (port, socket) = match kind {
        Kind::Dgram => {
            let (port, socket) = lan.dgram(name).await?;
            (port, Socket::Datagrams(socket.into()).blocking()?)
        }
        Kind::Stream => {
            let (port, socket) = lan.stream(name).await?;
            (port, Socket::Stream(socket.into()).blocking()?)
        }
        Kind::Vde => {
            let place = tempfile::tempdir()?;
            let directory = place.path().join("vde");
            let port = lan.vde(name, &directory).await?;
            held.places.push(place);
            (port, vde_client(&directory, held).await?)
        }
        _ => return Err(format!("{kind} is not a socket").into()),
    };
    held.ports.push(port);
    Ok(socket)
}

/// Plugs into a VDE switch.
async fn vde_client(directory: &Path, held: &mut Held) -> Result<Socket> {
    // As clients do: in the switch's directory, which a switch may insist on.
    let own = directory.join(format!(".bench-{}", held.controls.len()));
    let data = UnixDatagram::bind(&own)?;
    let mut control = tokio::net::UnixStream::connect(directory.join("ctl")).await?;
    let mut path = own.as_os_str().as_bytes().to_vec();
    path.resize(PATH, 0);
    let family = u16::try_from(libc::AF_UNIX)?.to_ne_bytes();
    control.write_all(&[REQUEST.map(u32::to_ne_bytes).as_flattened(), &family, &path, b"bench"].concat()).await?;
    let mut answer = [0; 2 + PATH];
    control.read_exact(&mut answer).await?;
    let path = answer[2..].split(|byte| *byte == 0).next().unwrap_or_default();
    data.connect(OsStr::from_bytes(path))?;
    held.controls.push(control);
    Ok(Socket::Datagrams(data))
}

impl Socket {
    fn blocking(self) -> io::Result<Self> {
        match &self {
            Self::Datagrams(socket) => socket.set_nonblocking(false)?,
            Self::Stream(socket) => socket.set_nonblocking(false)?,
        }
        Ok(self)
    }

    fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Datagrams(socket) => Self::Datagrams(socket.try_clone()?),
            Self::Stream(socket) => Self::Stream(socket.try_clone()?),
        })
    }

    /// Sends a frame so many times.
    fn send(&self, frame: &[u8], times: usize) -> io::Result<()> {
        match self {
            Self::Datagrams(socket) => (0..times).try_for_each(|_| socket.send(frame).map(drop)),
            Self::Stream(socket) => {
                let length = u32::try_from(frame.len()).map_err(io::Error::other)?.to_be_bytes();
                let mut socket: &UnixStream = socket;
                socket.write_all(&[&length, frame].concat().repeat(times))
            }
        }
    }

    /// Counts the frames of `size` bytes that come.
    fn receive(&self, size: usize, count: &AtomicU64, ended: &AtomicBool) -> io::Result<()> {
        let mut buffer = vec![0; 1 << 16];
        let mut bytes = 0;
        match self {
            Self::Datagrams(socket) => socket.set_read_timeout(Some(PATIENCE))?,
            Self::Stream(socket) => socket.set_read_timeout(Some(PATIENCE))?,
        }
        while !ended.load(Ordering::Relaxed) {
            let read = match self {
                Self::Datagrams(socket) => socket.recv(&mut buffer),
                Self::Stream(socket) => (&mut &*socket).read(&mut buffer),
            };
            match read {
                Ok(length) => bytes += length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            let whole = if matches!(self, Self::Stream(_)) { 4 + size } else { size };
            count.store((bytes / whole) as u64, Ordering::Relaxed);
        }
        Ok(())
    }
}
