//! Whoever has the other end of a port that is a socket, and frames of its own making.

use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use netbridge::{Port, Segment};

use crate::harness::{PATIENCE, name};

/// Addresses of all.
pub(crate) const ALL: [u8; 6] = [0xff; 6];

/// The type of frames that nobody dissects, and no kernel answers (IEEE 802, local experiments).
const TYPE: [u8; 2] = [0x88, 0xb5];

/// Whether this user can make taps. Root can.
pub(crate) fn taps() -> bool {
    std::fs::File::options().read(true).write(true).open("/dev/net/tun").is_ok()
}

/// The address of a peer.
pub(crate) fn mac(node: u8) -> [u8; 6] {
    [0x52, 0x54, 0, 0x12, 9, node]
}

/// A frame of `length` bytes with a number in it.
pub(crate) fn frame(to: [u8; 6], from: [u8; 6], number: u32, length: usize) -> Vec<u8> {
    let mut frame = [&to[..], &from, &TYPE, &number.to_be_bytes()].concat();
    frame.resize(length.max(frame.len()), 0);
    frame
}

/// The number of such a frame; none of another.
pub(crate) fn number(frame: &[u8]) -> Option<u32> {
    let (TYPE, number) = (frame.get(12..14)?.try_into().ok()?, frame.get(14..18)?) else { return None };
    Some(u32::from_be_bytes(number.try_into().ok()?))
}

/// A machine of frames alone, on a `dgram` port. It does not block.
pub(crate) struct Peer {
    pub(crate) socket: UnixDatagram,
    pub(crate) mac: [u8; 6],
    pub(crate) port: Port,
}

impl Peer {
    /// Plugs the peer `node` in by the link `pNODE`.
    pub(crate) async fn new(lan: &Segment, node: u8) -> Self {
        let (port, socket) = lan.dgram(name(&format!("p{node}"))).await.unwrap();
        Self { socket: socket.into(), mac: mac(node), port }
    }

    /// Sends a frame, and waits for room for it.
    pub(crate) fn send(&self, frame: &[u8]) {
        let start = Instant::now();
        while let Err(error) = self.socket.send(frame) {
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            assert!(start.elapsed() < PATIENCE, "nobody takes the frames");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The next frame, if there is one.
    pub(crate) fn try_receive(&self) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 1 << 17];
        let length = self.socket.recv(&mut buffer).ok()?;
        buffer.truncate(length);
        Some(buffer)
    }

    /// Waits for the frame of this number. Others are of no interest.
    pub(crate) fn await_number(&self, wanted: u32, patience: Duration) -> bool {
        let start = Instant::now();
        while start.elapsed() < patience {
            match self.try_receive() {
                Some(frame) if number(&frame) == Some(wanted) => return true,
                Some(_) => {}
                None => std::thread::sleep(Duration::from_micros(200)),
            }
        }
        false
    }

    /// How long a frame to another peer takes, with its answer. Both have said something before, or all others hear it.
    pub(crate) fn round_trip(&self, other: &Self, count: u32) -> Duration {
        let start = Instant::now();
        for (from, to) in [(self, other), (other, self)] {
            from.send(&frame(to.mac, from.mac, count, 60));
            assert!(to.await_number(count, PATIENCE), "frame {count} is lost");
        }
        start.elapsed()
    }
}
