//! Echo requests over IPv4 and IPv6.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use netbridge::Namespace;
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};

use crate::endpoint::Endpoint;
use crate::harness::PATIENCE;

/// Length of the headers of an echo request's packet.
const HEADERS_V4: usize = 20 + 8;
const HEADERS_V6: usize = 40 + 8;

/// Sends echo requests from one namespace to one address.
pub(crate) struct Echo {
    socket: UdpSocket,
    v6: bool,
    sequence: u16,
}

impl Echo {
    pub(crate) async fn new(from: &Namespace, to: IpAddr) -> Self {
        let v6 = to.is_ipv6();
        let opened = from.run(move || {
            std::fs::write("/proc/sys/net/ipv4/ping_group_range", "0 0").unwrap();
            let (family, protocol) = if v6 {
                (AddressFamily::Inet6, SockProtocol::IcmpV6)
            } else {
                (AddressFamily::Inet, SockProtocol::Icmp)
            };
            // It is like one of UDP, with identifiers instead of ports.
            let socket = UdpSocket::from(socket(family, SockType::Datagram, SockFlag::SOCK_CLOEXEC, protocol).unwrap());
            socket.connect(SocketAddr::from((to, 0))).unwrap();
            socket
        });
        Self { socket: opened.await.unwrap(), v6, sequence: 0 }
    }

    /// Asks with a packet of `size` bytes, and says whether the same came back.
    pub(crate) fn comes_back(&mut self, size: usize, patience: Duration) -> io::Result<bool> {
        let request = self.ask(size)?;
        let deadline = Instant::now() + patience;
        let mut answer = vec![0; size];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            self.socket.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
            match self.socket.recv(&mut answer) {
                // Else it is one that is late. The kernel has filled in the checksum and the identifier.
                Ok(length) if answer[6..8] == request[6..8] => {
                    return Ok(answer[0] == if self.v6 { 129 } else { 0 } && answer[8..length] == request[8..]);
                }
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    }

    /// Asks with a packet of `size` bytes, and gives what it is without its IP header.
    pub(crate) fn ask(&mut self, size: usize) -> io::Result<Vec<u8>> {
        let (kind, headers) = if self.v6 { (128, HEADERS_V6) } else { (8, HEADERS_V4) };
        self.sequence = self.sequence.wrapping_add(1);
        let [high, low] = self.sequence.to_be_bytes();
        let mut request = vec![kind, 0, 0, 0, 0, 0, high, low];
        request.extend((0..251).cycle().take(size - headers));
        self.socket.send(&request)?;
        Ok(request)
    }

    /// How many answers come within some time.
    pub(crate) fn answers(&self, time: Duration) -> usize {
        let deadline = Instant::now() + time;
        let mut count = 0;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.socket.set_read_timeout(Some(left)).is_err() {
                return count;
            }
            // What is no answer says that nobody is known there.
            count += usize::from(self.socket.recv(&mut [0; 64]).is_ok());
        }
    }
}

/// One machine asks the other over both protocols, with little and with as much as fits into a frame.
pub(crate) async fn small_and_full(from: &Endpoint, to: &Endpoint, mtu: usize) {
    for address in [to.v4(), to.v6()] {
        let mut echo = Echo::new(&from.namespace, address).await;
        for size in [64, mtu] {
            let answered = echo.comes_back(size, PATIENCE);
            assert!(matches!(answered, Ok(true)), "{size} bytes from {} to {address}: {answered:?}", from.v4());
        }
    }
}

pub(crate) async fn until_it_comes_back(from: &Endpoint, to: IpAddr) {
    let mut echo = Echo::new(&from.namespace, to).await;
    let began = Instant::now();
    while !echo.comes_back(64, Duration::from_millis(100)).unwrap_or(false) {
        assert!(began.elapsed() < PATIENCE, "{to} does not answer {}", from.v4());
    }
}
