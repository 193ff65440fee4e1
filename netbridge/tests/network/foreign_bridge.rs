//! Segments joined with bridges that others make, as upstream's scripts for containers do: they put an interface that they find, `vde-tap1`,
//! into a bridge of their own.

use std::process::Command;

use netbridge::{Interface, Segment};

use crate::harness::{eth1, eventually, name, namespace};
use crate::talk::reaches;

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status().unwrap();
    assert!(status.success(), "ip {arguments}: {status}");
}

network_test!(an_interface_of_a_segment_can_be_a_port_of_another_bridge, || async {
    for lan in [
        Segment::bridge(namespace().await, name("lan")).await.unwrap(),
        Segment::switch(Some(namespace().await), name("lan")),
    ] {
        let ours = namespace().await;
        let _port = lan.veth(name("ours"), &ours, &eth1(1)).await.unwrap();

        // Without /dev/net/tun this is what a script finds under the name of the tap that vde_plug2tap would have made.
        let (script, theirs) = (namespace().await, namespace().await);
        let tap = Interface { name: name("vde-tap1"), mac: None, addresses: Vec::new(), mtu: None };
        let _tap = lan.veth(name("script"), &script, &tap).await.unwrap();
        script
            .run(|| {
                ip("link add br1 type bridge");
                ip("link set br1 up");
                ip("link set vde-tap1 master br1");
            })
            .await
            .unwrap();
        let bridge = Segment::bridge(script.clone(), name("br2")).await.unwrap();
        let _end = bridge.veth(name("theirs"), &theirs, &eth1(2)).await.unwrap();
        script.run(|| ip("link set theirs master br1")).await.unwrap();

        eventually("ours reaches theirs", async || reaches(&ours, 1, &theirs, 2).await).await;
        assert!(reaches(&theirs, 2, &ours, 1).await);
        // Who is behind the other bridge is kept apart with it.
        lan.partition(&[vec!["ours"], vec!["script"]]).await.unwrap();
        assert!(!reaches(&ours, 1, &theirs, 2).await && !reaches(&theirs, 2, &ours, 1).await);
        lan.heal().await.unwrap();
        eventually("ours reaches theirs again", async || reaches(&ours, 1, &theirs, 2).await).await;
    }
});
