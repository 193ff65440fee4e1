//! Connections from a segment's own namespace.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};

use crate::harness::{PATIENCE, lan, name, namespace, read, two_on, v4};
use netbridge::{Namespace, Segment};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Answers one connection with who made it and what was sent.
async fn serve(machine: &Namespace) -> u16 {
    let listener = machine.run(|| TcpListener::bind("0.0.0.0:0").unwrap()).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut client, address) = listener.accept().unwrap();
        let mut said = String::new();
        client.read_to_string(&mut said).unwrap();
        write!(client, "{} said {said}", address.ip()).unwrap();
    });
    port
}

async fn ask(lan: &Segment, to: SocketAddr) -> String {
    let mut stream = lan.connect((v4(254), 24), to).await.unwrap();
    stream.write_all(b"hello").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer
}

network_test!(machines_of_a_segment_can_be_reached, || async {
    let lan = lan().await;
    for (node, machine) in (1..).zip(two_on(&lan).await) {
        let port = serve(&machine).await;
        assert_eq!(ask(&lan, (v4(node), port).into()).await, "192.168.1.254 said hello");
    }
});

network_test!(what_does_not_answer_is_told, || async {
    let lan = lan().await;
    let machines = two_on(&lan).await;
    let refused = lan.connect((v4(254), 24), (v4(1), 9).into()).await.unwrap_err().to_string();
    assert!(refused.starts_with("connect over bridge lan: Connection refused"), "{refused}");
    let nobody = lan.connect((v4(254), 24), (v4(77), 9).into()).await.unwrap_err().to_string();
    assert!(nobody.contains("nobody has the address"), "{nobody}");
    drop(machines);
});

network_test!(nothing_is_passed_on_between_segments, || async {
    let shared = namespace().await;
    let sysctls = ["/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"];
    shared.run(move || sysctls.map(|sysctl| std::fs::write(sysctl, "1").unwrap())).await.unwrap();
    let lan = Segment::bridge(shared.clone(), name("lan")).await.unwrap();
    let machines = two_on(&lan).await;
    let port = serve(&machines[0]).await;
    ask(&lan, (v4(1), port).into()).await;
    for sysctl in sysctls {
        assert_eq!(read(&shared, sysctl).await.trim(), "0", "{sysctl}");
    }
});
