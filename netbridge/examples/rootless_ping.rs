//! Two network namespaces ping each other, first over a plain LAN, then over one with a slow link. Any user may run it, where the system
//! lets users have user namespaces.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fs, io};

use netbridge::{Direction, Impairment, Interface, InterfaceName, Namespace, Segment};
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, recv, sendto, setsockopt, socket,
};
use nix::sys::time::TimeVal;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const ALICE: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);
const BOB: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 2);

fn main() -> Result<()> {
    // Only a process with one thread can enter a user namespace, so this comes before the runtime.
    become_root()?;
    tokio::runtime::Runtime::new()?.block_on(ping_twice())
}

/// Makes this process root in a user namespace of its own, which owns the network namespaces that are made from now on
/// (`unshare --user --map-root-user`). Outside of it, the process is who it was.
fn become_root() -> Result<()> {
    let me = fs::metadata("/proc/self")?;
    unshare(CloneFlags::CLONE_NEWUSER).map_err(|errno| {
        format!("enter a user namespace: {errno}; does the system forbid them (kernel.unprivileged_userns_clone)?")
    })?;
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("0 {} 1", me.uid()))?;
    fs::write("/proc/self/gid_map", format!("0 {} 1", me.gid()))?;
    Ok(())
}

async fn ping_twice() -> Result<()> {
    let network = Arc::new(Namespace::new().await?);
    let lan = Segment::bridge(network, InterfaceName::new("lan")?).await?;
    let (alice, bob) = (Namespace::new().await?, Namespace::new().await?);
    let _alice_port = lan.veth(InterfaceName::new("alice")?, &alice, &eth1(ALICE)?).await?;
    let _bob_port = lan.veth(InterfaceName::new("bob")?, &bob, &eth1(BOB)?).await?;
    let mut out = io::stdout();

    // The first one also finds out Bob's address.
    alice.run(|| ping(BOB)).await??;
    let plain = alice.run(|| ping(BOB)).await??;
    writeln!(out, "{BOB} answers after {:.1} ms", plain.as_secs_f64() * 1e3)?;

    let slow = Impairment { delay: Duration::from_millis(50), ..Impairment::default() };
    lan.link("bob").impair(Direction::In, &slow).await?;
    let slow = alice.run(|| ping(BOB)).await??;
    writeln!(out, "with `delay 50ms` on its link, {BOB} answers after {:.1} ms", slow.as_secs_f64() * 1e3)?;
    Ok(())
}

fn eth1(address: Ipv4Addr) -> Result<Interface> {
    let addresses = vec![(IpAddr::V4(address), 24)];
    Ok(Interface { name: InterfaceName::new("eth1")?, mac: None, addresses, mtu: None })
}

/// Sends an echo request of ICMP and waits for the reply (RFC 792). Gives the time between them.
fn ping(to: Ipv4Addr) -> io::Result<Duration> {
    let socket = socket(AddressFamily::Inet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::Icmp)?;
    setsockopt(&socket, ReceiveTimeout, &TimeVal::new(10, 0))?;
    // Type 8 and code 0, the checksum, an identifier and a number.
    let mut request = [8, 0, 0, 0, 0x4e, 0x42, 0, 1];
    // The sum of so little has no carry.
    let sum: u16 = request.chunks(2).map(|word| u16::from_be_bytes([word[0], word[1]])).sum();
    request[2..4].copy_from_slice(&(!sum).to_be_bytes());

    let start = Instant::now();
    sendto(socket.as_raw_fd(), &request, &SockaddrIn::from(SocketAddrV4::new(to, 0)), MsgFlags::empty())?;
    let mut packet = [0; 1500];
    loop {
        let length = recv(socket.as_raw_fd(), &mut packet, MsgFlags::empty())?;
        // Behind 20 bytes of the IP header. Type 0 is a reply.
        if packet[..length].get(20) == Some(&0) && packet[..length].ends_with(&request[4..]) {
            return Ok(start.elapsed());
        }
    }
}
