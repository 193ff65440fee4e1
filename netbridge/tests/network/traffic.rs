//! What passes over a segment, and what does not.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};

use netbridge::{Interface, Namespace, Segment};
use nix::ifaddrs::getifaddrs;
use nix::net::if_::{InterfaceFlags, if_nametoindex};
use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, recv, sendto, setsockopt, socket,
};
use nix::sys::time::TimeVal;

use crate::harness::{PATIENCE, eth1, eventually, ipv6_addresses, lan, name, namespace, read, two_on, v4, v6};

/// Flags of an address, from `linux/if_addr.h`.
const NODAD: u32 = 0x02;
const TENTATIVE: u32 = 0x40;

network_test!(two_namespaces_reach_each_other, || async {
    let lan = lan().await;
    let [one, two] = two_on(&lan).await;
    say(&one, &two, v4(2)).await;
    say(&two, &one, v4(1)).await;
    say(&one, &two, v6(2)).await;
    say(&two, &one, v6(1)).await;
});

network_test!(addresses_can_be_used_at_once, || async {
    let lan = lan().await;
    let guest = namespace().await;
    let _port = lan.veth(name("guest"), &guest, &eth1(1)).await.unwrap();

    let running = || getifaddrs().unwrap().all(|one| one.flags.contains(InterfaceFlags::IFF_RUNNING));
    assert!(guest.run(running).await.unwrap(), "an interface has no carrier");
    let ours = ipv6_addresses(&guest, "eth1").await.into_iter().find(|(address, _)| *address == v6(1));
    assert_eq!(ours.unwrap().1 & (TENTATIVE | NODAD), NODAD);
    // A socket cannot be bound to an address that is still tentative.
    guest.run(|| TcpListener::bind((v6(1), 0))).await.unwrap().unwrap();

    assert_eq!(read(&guest, "/proc/sys/net/ipv6/conf/eth1/accept_dad").await, "0\n");
    eventually("the link-local address can be used", async || {
        let mut addresses = ipv6_addresses(&guest, "eth1").await.into_iter();
        addresses.any(|(address, flags)| address.is_unicast_link_local() && flags & TENTATIVE == 0)
    })
    .await;
});

network_test!(mac_and_mtu_are_as_asked, || async {
    let lan = lan().await;
    let guest = namespace().await;
    let interface = Interface { mtu: Some(9000), ..eth1(7) };
    let _port = lan.veth(name("guest"), &guest, &interface).await.unwrap();

    assert_eq!(read(&guest, "/proc/sys/net/ipv6/conf/eth1/mtu").await, "9000\n");
    let mac = guest.run(|| link_address("eth1").addr()).await.unwrap();
    assert_eq!(mac, interface.mac);
});

network_test!(large_frames_pass_between_large_mtus, || async {
    let lan = lan().await;
    let [one, two] = [namespace().await, namespace().await];
    let large = |node| Interface { mtu: Some(9000), ..eth1(node) };
    let _ports =
        (lan.veth(name("one"), &one, &large(1)).await.unwrap(), lan.veth(name("two"), &two, &large(2)).await.unwrap());

    let listener = listen(&two, v4(2)).await;
    let datagram = vec![7; 8900];
    let sent = datagram.clone();
    one.run(move || UdpSocket::bind((v4(1), 0))?.send_to(&sent, (v4(2), 7001))).await.unwrap().unwrap();
    assert_eq!(receive(&listener), datagram);
});

network_test!(broadcast_and_multicast_pass, || async {
    const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 2, 3);
    const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x1234);

    let lan = lan().await;
    let [one, two] = two_on(&lan).await;

    let listener = listen(&two, Ipv4Addr::UNSPECIFIED.into()).await;
    listener.join_multicast_v4(&GROUP, &Ipv4Addr::new(192, 168, 1, 2)).unwrap();
    for to in [Ipv4Addr::new(192, 168, 1, 255), Ipv4Addr::BROADCAST, GROUP] {
        broadcast(&one, v4(1), to, b"to all").await;
        assert_eq!(receive(&listener), b"to all", "to {to}");
    }
    drop(listener);

    let listener = listen(&two, Ipv6Addr::UNSPECIFIED.into()).await;
    let scope = two.run(|| if_nametoindex("eth1")).await.unwrap().unwrap();
    listener.join_multicast_v6(&GROUP_V6, scope).unwrap();
    let sent = one.run(move || {
        let to = SocketAddrV6::new(GROUP_V6, 7001, 0, if_nametoindex("eth1")?);
        UdpSocket::bind((v6(1), 0))?.send_to(b"to all", to)
    });
    sent.await.unwrap().unwrap();
    assert_eq!(receive(&listener), b"to all", "to {GROUP_V6}");
});

network_test!(link_local_frames_pass, || async {
    const LLDP_GROUP: [u8; 6] = [0x01, 0x80, 0xc2, 0x00, 0x00, 0x0e];
    const LLDP: [u8; 2] = [0x88, 0xcc];

    let lan = lan().await;
    let [one, two] = two_on(&lan).await;
    let frame = [&LLDP_GROUP[..], &eth1(1).mac.unwrap(), &LLDP, b"bridges keep this unless told otherwise"].concat();

    let listener = two.run(packet_socket).await.unwrap();
    setsockopt(&listener, ReceiveTimeout, &TimeVal::new(20, 0)).unwrap();
    let sent = frame.clone();
    let sent = one.run(move || sendto(packet_socket().as_raw_fd(), &sent, &link_address("eth1"), MsgFlags::empty()));
    sent.await.unwrap().unwrap();

    let mut buffer = [0; 2000];
    loop {
        let length = recv(listener.as_raw_fd(), &mut buffer, MsgFlags::empty()).expect("the frame did not arrive");
        // Frames of IPv6's own come in between.
        if buffer[..length] == frame {
            break;
        }
    }
});

network_test!(segments_in_one_namespace_are_apart, || async {
    let network = namespace().await;
    let here = Segment::bridge(network.clone(), name("here")).await.unwrap();
    let there = Segment::bridge(network, name("there")).await.unwrap();
    let [sender, receiver] = two_on(&here).await;
    let stranger = namespace().await;
    let _port = there.veth(name("stranger"), &stranger, &eth1(3)).await.unwrap();

    let listener = listen(&receiver, Ipv4Addr::UNSPECIFIED.into()).await;
    broadcast(&stranger, v4(3), Ipv4Addr::BROADCAST, b"from elsewhere").await;
    broadcast(&sender, v4(1), Ipv4Addr::BROADCAST, b"from here").await;
    assert_eq!(receive(&listener), b"from here");
});

network_test!(a_pulled_cable_cuts_and_a_plugged_one_heals, || async {
    let lan = lan().await;
    let [one, two] = [namespace().await, namespace().await];
    let port = lan.veth(name("one"), &one, &eth1(1)).await.unwrap();
    let _other = lan.veth(name("two"), &two, &eth1(2)).await.unwrap();
    let carrier = async || {
        let running = || {
            getifaddrs()
                .unwrap()
                .filter(|one| one.interface_name == "eth1")
                .all(|one| one.flags.contains(InterfaceFlags::IFF_RUNNING))
        };
        one.run(running).await.unwrap()
    };
    let listener = listen(&two, Ipv4Addr::UNSPECIFIED.into()).await;

    port.set_up(false).await.unwrap();
    broadcast(&one, v4(1), Ipv4Addr::BROADCAST, b"cut").await;
    eventually("the carrier is lost", async || !carrier().await).await;

    port.set_up(true).await.unwrap();
    eventually("the carrier is back", carrier).await;
    say(&two, &one, v6(1)).await;
    broadcast(&one, v4(1), Ipv4Addr::BROADCAST, b"healed").await;
    assert_eq!(receive(&listener), b"healed");
});

network_test!(the_segment_itself_stays_silent, || async {
    let lan = lan().await;
    let [one, two] = two_on(&lan).await;
    say(&one, &two, v6(2)).await;

    let addresses = read(lan.namespace().unwrap(), "/proc/net/if_inet6").await;
    let owners: Vec<_> = addresses.lines().filter_map(|line| line.split_whitespace().last()).collect();
    assert_eq!(owners, ["lo"]);
});

/// Sends a message over TCP from one namespace to `address` in another.
async fn say(from: &Namespace, to: &Namespace, address: IpAddr) {
    let listener = to.run(move || TcpListener::bind((address, 0))).await.unwrap().unwrap();
    let target = listener.local_addr().unwrap();
    let sent = from.run(move || TcpStream::connect_timeout(&target, PATIENCE)?.write_all(b"hello"));
    sent.await.unwrap().unwrap_or_else(|error| panic!("to {target}: {error}"));
    let mut message = String::new();
    listener.accept().unwrap().0.read_to_string(&mut message).unwrap();
    assert_eq!(message, "hello");
}

/// A socket for datagrams to port 7001.
async fn listen(namespace: &Namespace, address: IpAddr) -> UdpSocket {
    let socket = namespace.run(move || UdpSocket::bind((address, 7001))).await.unwrap().unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

async fn broadcast(from: &Namespace, own: IpAddr, to: Ipv4Addr, message: &'static [u8]) {
    let sent = from.run(move || {
        let socket = UdpSocket::bind((own, 0))?;
        socket.set_broadcast(true)?;
        socket.send_to(message, SocketAddr::from((to, 7001)))
    });
    sent.await.unwrap().unwrap();
}

fn receive(listener: &UdpSocket) -> Vec<u8> {
    let mut buffer = vec![0; 65536];
    let length = listener.recv(&mut buffer).expect("nothing arrived");
    buffer.truncate(length);
    buffer
}

/// A socket that sends and receives whole frames.
fn packet_socket() -> OwnedFd {
    socket(AddressFamily::Packet, SockType::Raw, SockFlag::empty(), SockProtocol::EthAll).unwrap()
}

fn link_address(interface: &str) -> LinkAddr {
    let mut links = getifaddrs().unwrap().filter(|one| one.interface_name == interface);
    links.find_map(|one| one.address?.as_link_addr().copied()).unwrap()
}
