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
        let (headers, request, reply) = if self.v6 { (HEADERS_V6, 128, 129) } else { (HEADERS_V4, 8, 0) };
        self.sequence += 1;
        let payload: Vec<u8> = (0..251).cycle().take(size - headers).collect();
        let [high, low] = self.sequence.to_be_bytes();
        let message = |kind: u8| [&[kind, 0, 0, 0, 0, 0, high, low], payload.as_slice()].concat();
        self.socket.send(&message(request))?;

        let mut answer = vec![0; size];
        let deadline = Instant::now() + patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            self.socket.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
            match self.socket.recv(&mut answer) {
                Ok(length) if answer[6..8] == [high, low] => {
                    // The kernel has filled in the checksum and the identifier.
                    let expected = message(reply);
                    return Ok((answer[0], &answer[8..length]) == (reply, &expected[8..]));
                }
                // One that is late.
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
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
