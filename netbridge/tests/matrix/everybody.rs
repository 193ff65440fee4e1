//! Frames to everybody, and to groups.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};

use nix::net::if_::if_nametoindex;

use crate::endpoint::Endpoint;
use crate::harness::PATIENCE;

/// Each listener has its own: one that is closed can live on for a moment, in a process that another test is about to start.
const PORT: u16 = 7001;
const PORT_V6: u16 = 7002;
const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 2, 3);
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x1234);
const MESSAGE: &[u8] = b"to all";

pub(crate) async fn check(from: &Endpoint, to: &Endpoint) {
    let (IpAddr::V4(own), IpAddr::V4(receiver)) = (from.v4(), to.v4()) else { unreachable!("both are of IPv4") };

    let listener = listen(to, (Ipv4Addr::UNSPECIFIED, PORT).into()).await;
    listener.join_multicast_v4(&GROUP, &receiver).unwrap();
    let sender = from.namespace.run(move || UdpSocket::bind((own, 0))).await.unwrap().unwrap();
    sender.set_broadcast(true).unwrap();
    for target in [Ipv4Addr::new(192, 168, 1, 255), Ipv4Addr::BROADCAST, GROUP] {
        sender.send_to(MESSAGE, (target, PORT)).unwrap();
        assert_eq!(receive(&listener), SocketAddr::from((own, sender.local_addr().unwrap().port())), "to {target}");
    }

    let listener = listen(to, (Ipv6Addr::UNSPECIFIED, PORT_V6).into()).await;
    let scope = to.namespace.run(|| if_nametoindex("eth1")).await.unwrap().unwrap();
    listener.join_multicast_v6(&GROUP_V6, scope).unwrap();
    let own = from.v6();
    let sent = from.namespace.run(move || {
        let target = SocketAddrV6::new(GROUP_V6, PORT_V6, 0, if_nametoindex("eth1")?);
        UdpSocket::bind((own, 0))?.send_to(MESSAGE, target)
    });
    sent.await.unwrap().unwrap();
    assert_eq!(receive(&listener).ip(), own, "to {GROUP_V6}");
}

async fn listen(at: &Endpoint, address: SocketAddr) -> UdpSocket {
    let socket = at.namespace.run(move || UdpSocket::bind(address)).await.unwrap().unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// Receives the message, and says from whom.
fn receive(listener: &UdpSocket) -> SocketAddr {
    let mut buffer = [0; 100];
    let (length, from) = listener.recv_from(&mut buffer).expect("nothing arrived");
    assert_eq!(&buffer[..length], MESSAGE);
    from
}
