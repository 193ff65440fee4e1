//! Two network namespaces on one LAN: one sends the other a message. Run it as root, or below `unshare --user --map-root-user`.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;

use netbridge::{Error, Interface, InterfaceName, Namespace, Segment};

const ALICE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 1, 1));
const BOB: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 1, 2));

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let network = Arc::new(Namespace::new().await?);
    let lan = Segment::bridge(network, InterfaceName::new("lan")?).await?;

    let (alice, bob) = (Namespace::new().await?, Namespace::new().await?);
    let alice_port = lan.veth(InterfaceName::new("alice")?, &alice, &eth1(ALICE)?).await?;
    let bob_port = lan.veth(InterfaceName::new("bob")?, &bob, &eth1(BOB)?).await?;

    // A socket stays in the namespace that it was opened in.
    let listener = bob.run(|| TcpListener::bind((BOB, 7777))).await??;
    let mut sender = alice.run(|| TcpStream::connect((BOB, 7777))).await??;
    sender.write_all(b"hello from the other namespace")?;
    drop(sender);

    let (mut receiver, peer) = listener.accept()?;
    let mut message = String::new();
    receiver.read_to_string(&mut message)?;
    writeln!(std::io::stdout(), "{}: {message}", peer.ip())?;

    alice_port.detach().await?;
    bob_port.detach().await?;
    Ok(())
}

fn eth1(address: IpAddr) -> Result<Interface, Error> {
    Ok(Interface { name: InterfaceName::new("eth1")?, mac: None, addresses: vec![(address, 24)], mtu: None })
}
