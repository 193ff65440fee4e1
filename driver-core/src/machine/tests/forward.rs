use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

use netbridge::{Interface, InterfaceName, Namespace, Segment};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::*;
use crate::network::{self, Attachment};

/// The first machine of VLAN 1.
fn attachment(bench: &Bench) -> Attachment {
    network::plan(&[bench.fake.spec()]).unwrap().attachments("server")[0].clone()
}

/// A LAN. Where namespaces cannot be made there is none; where the environment variable `CI` is set there must be.
async fn lan() -> Option<Arc<Segment>> {
    match Namespace::new().await {
        Ok(namespace) => {
            let name = InterfaceName::new("br1").unwrap();
            Some(Arc::new(Segment::bridge(Arc::new(namespace), name).await.unwrap()))
        }
        Err(error) => {
            assert!(std::env::var_os("CI").is_none_or(|ci| ci.is_empty()), "{error}");
            let _ = writeln!(std::io::stderr(), "skipped: {error}");
            None
        }
    }
}

/// A guest on the LAN that sends each line back, and the port on which it does.
async fn guest(lan: &Segment, attachment: &Attachment) -> (Namespace, u16) {
    let guest = Namespace::new().await.unwrap();
    let interface = Interface {
        name: InterfaceName::new("eth1").unwrap(),
        mac: Some(attachment.mac),
        addresses: vec![(attachment.ipv4.into(), 24)],
        mtu: None,
    };
    std::mem::forget(lan.veth(InterfaceName::new("port").unwrap(), &guest, &interface).await.unwrap());
    let listener = guest.run(|| TcpListener::bind("0.0.0.0:0").unwrap()).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    listener.set_nonblocking(true).unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut reader, mut writer) = client.split();
                tokio::io::copy(&mut reader, &mut writer).await
            });
        }
    });
    (guest, port)
}

/// What comes back for `text`, before the connection ends.
async fn echo(address: SocketAddr, text: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    timeout(secs(30), stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer
}

#[tokio::test]
async fn connections_reach_the_guest() {
    let Some(lan) = lan().await else { return };
    let bench = bench();
    let attachment = attachment(&bench);
    let (_guest, port) = guest(&lan, &attachment).await;
    bench.fake.on_lan(lan, attachment);
    let address = bench.machine.forward_port(0, port).await.unwrap();
    assert_eq!(address.ip(), IpAddr::from(Ipv4Addr::LOCALHOST));
    let long = "0123456789".repeat(100_000);
    assert_eq!(echo(address, "hello").await, "hello");
    assert_eq!(echo(address, &long).await.len(), long.len());
    assert_eq!(bench.messages(), [format!("forwarding {address} to port {port}")]);
    assert_eq!(bench.fake.starts(), 0);
    // It outlives a boot, but not the machine.
    bench.machine.start().await.unwrap();
    bench.machine.crash().await.unwrap();
    assert_eq!(echo(address, "again").await, "again");
    let mut open = TcpStream::connect(address).await.unwrap();
    open.write_all(b"x").await.unwrap();
    assert_eq!(timeout(secs(30), open.read_u8()).await.unwrap().unwrap(), b'x');
    bench.machine.release().await.unwrap();
    assert!(timeout(secs(30), open.read_u8()).await.unwrap().is_err(), "an open connection outlived its machine");
    while TcpStream::connect(address).await.is_ok() {
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_guest_that_does_not_answer_is_told() {
    let Some(lan) = lan().await else { return };
    let bench = bench();
    let attachment = attachment(&bench);
    let (_guest, _) = guest(&lan, &attachment).await;
    bench.fake.on_lan(lan, attachment);
    let address = bench.machine.forward_port(0, 9).await.unwrap();
    assert_eq!(echo(address, "").await, "");
    let message = bench.messages().pop().unwrap();
    assert!(message.starts_with("forward_port: connecting to 192.168.1.1:9 failed: "), "{message}");
    assert!(message.contains("nothing listens there"), "{message}");
}

#[tokio::test]
async fn what_cannot_be_forwarded_is_refused() {
    let bench = bench();
    assert_eq!(
        refusal(bench.machine.forward_port(0, 80).await),
        "machine server: forward_port: it has no network interface; give it one with the key `vlans`"
    );
    let Some(lan) = lan().await else { return };
    let attachment = attachment(&bench);
    let last = Attachment { ipv4: Ipv4Addr::new(192, 168, 1, 254), ..attachment.clone() };
    bench.fake.on_lan(lan.clone(), last);
    assert!(refusal(bench.machine.forward_port(0, 80).await).contains("the host needs the address 192.168.1.254"));
    bench.fake.on_lan(lan, attachment);
    assert!(refusal(bench.machine.forward_port(0, 0).await).ends_with("0 is no port of a guest"));

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let message = refusal(bench.machine.forward_port(port, 80).await);
    assert!(message.contains(&format!("cannot listen on port {port} of 127.0.0.1")), "{message}");
    assert!(message.contains("it is taken by") && message.contains(&std::process::id().to_string()), "{message}");
    drop(taken);
    let address = bench.machine.forward_port(port, 80).await.unwrap();
    assert_eq!(address.port(), port);
    assert_eq!(
        refusal(bench.machine.forward_port(port, 22).await),
        format!("machine server: forward_port: port {port} of the host already leads to the machine's port 80")
    );
}
