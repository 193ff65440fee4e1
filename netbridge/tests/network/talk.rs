//! Datagrams between namespaces: whether they arrive, which, and how long they take.

use std::net::UdpSocket;
use std::sync::Arc;
use std::time::{Duration, Instant};

use netbridge::Namespace;
use nix::sys::socket::{setsockopt, sockopt};

use crate::harness::{PATIENCE, v4};

/// What does not come within this time is taken for lost. Nothing here takes a tenth of it.
const LOST: Duration = Duration::from_millis(300);

const PORT: u16 = 7100;

/// Room for what comes faster than it is read.
const BUFFER: usize = 8 << 20;

/// Whether a datagram from one machine reaches another. Answers to ARP are of no use to it: the address is known beforehand.
pub(crate) async fn reaches(from: &Namespace, from_node: u8, to: &Namespace, to_node: u8) -> bool {
    let receiver = to.run(move || UdpSocket::bind((v4(to_node), 0))).await.unwrap().unwrap();
    let address = receiver.local_addr().unwrap();
    let neighbour = format!("192.168.1.{to_node}");
    let mac = format!("52:54:00:12:01:{to_node:02x}");
    from.run(move || {
        let known = std::process::Command::new("ip")
            .args(["neigh", "replace", &neighbour, "lladdr", &mac, "dev", "eth1", "nud", "permanent"])
            .status();
        assert!(known.unwrap().success());
        let sender = UdpSocket::bind((v4(from_node), 0)).unwrap();
        // A link that is down refuses.
        let _ = sender.send_to(b"hello", address);
    })
    .await
    .unwrap();
    tokio::task::spawn_blocking(move || {
        receiver.set_read_timeout(Some(LOST)).unwrap();
        receiver.recv(&mut [0; 16]).is_ok()
    })
    .await
    .unwrap()
}

/// A socket of a machine that hears datagrams.
pub(crate) struct Listener {
    socket: Arc<UdpSocket>,
    node: u8,
}

impl Listener {
    pub(crate) async fn start(machine: &Namespace, node: u8) -> Self {
        let socket = machine.run(move || UdpSocket::bind((v4(node), PORT))).await.unwrap().unwrap();
        // The first needs a privilege over the host, without which the limit of the system holds.
        setsockopt(&socket, sockopt::RcvBufForce, &BUFFER)
            .or_else(|_| setsockopt(&socket, sockopt::RcvBuf, &BUFFER))
            .unwrap();
        Self { socket: Arc::new(socket), node }
    }

    /// Has both sides know each other's addresses.
    pub(crate) async fn know(&self, from: &Namespace) {
        let start = Instant::now();
        while self.try_round_trip(from).await.is_none() {
            assert!(start.elapsed() < PATIENCE, "no answer");
        }
    }

    /// How long a datagram and its answer take, once the addresses are known.
    pub(crate) async fn round_trip(&self, from: &Namespace) -> Duration {
        self.know(from).await;
        self.try_round_trip(from).await.expect("nothing is lost")
    }

    async fn try_round_trip(&self, from: &Namespace) -> Option<Duration> {
        let to = (v4(self.node), PORT);
        let sender = from.run(|| UdpSocket::bind(("0.0.0.0", 0))).await.unwrap().unwrap();
        let socket = self.socket.clone();
        tokio::task::spawn_blocking(move || {
            let start = Instant::now();
            for socket in [&*socket, &sender] {
                socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
            }
            sender.send_to(b"ping", to).unwrap();
            let (_, back) = socket.recv_from(&mut [0; 16]).ok()?;
            socket.send_to(b"pong", back).unwrap();
            sender.recv(&mut [0; 16]).ok()?;
            Some(start.elapsed())
        })
        .await
        .unwrap()
    }

    /// Which of so many datagrams arrive.
    pub(crate) async fn receive_numbered(&self, from: &Namespace, count: u16) -> Vec<u16> {
        self.receive_padded(from, count, 2).await
    }

    /// The same, with datagrams of `length` bytes.
    pub(crate) async fn receive_padded(&self, from: &Namespace, count: u16, length: usize) -> Vec<u16> {
        let to = (v4(self.node), PORT);
        let sender = from.run(|| UdpSocket::bind(("0.0.0.0", 0))).await.unwrap().unwrap();
        let socket = self.socket.clone();
        tokio::task::spawn_blocking(move || {
            let mut datagram = vec![0; length];
            let mut got = Vec::new();
            socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
            for number in 0..count {
                datagram[..2].copy_from_slice(&number.to_be_bytes());
                sender.send_to(&datagram, to).unwrap();
                if number % 64 == 63 {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
            let mut buffer = [0; 2048];
            while socket.recv(&mut buffer).is_ok() {
                got.push(u16::from_be_bytes([buffer[0], buffer[1]]));
            }
            got
        })
        .await
        .unwrap()
    }
}
