//! What is left, and when: after errors, cancellation, drops and deaths.

use std::collections::BTreeSet;

use futures::poll;
use netbridge::{Interface, InterfaceName, Segment};

use crate::harness::{eth1, eventually, interfaces, lan, name, namespace, v4};

network_test!(nothing_appears_on_the_host, || async {
    let host =
        || std::fs::read_dir("/sys/class/net").unwrap().map(|one| one.unwrap().file_name()).collect::<BTreeSet<_>>();
    let before = host();
    {
        let segment = Segment::bridge(namespace().await, name("nb-segment")).await.unwrap();
        let guest = namespace().await;
        let interface = Interface { name: name("nb-guest"), ..eth1(1) };
        let port = segment.veth(name("nb-port"), &guest, &interface).await.unwrap();
        port.set_up(false).await.unwrap();
        assert_eq!(host(), before);
    }
    assert_eq!(host(), before);
});

network_test!(detach_removes_both_ends, || async {
    let lan = lan().await;
    let guest = namespace().await;
    let port = lan.veth(name("guest"), &guest, &eth1(1)).await.unwrap();
    assert_eq!(interfaces(lan.namespace().unwrap()).await, ["guest", "lan", "lo"]);
    assert_eq!(interfaces(&guest).await, ["eth1", "lo"]);

    port.detach().await.unwrap();
    assert_eq!(interfaces(lan.namespace().unwrap()).await, ["lan", "lo"]);
    assert_eq!(interfaces(&guest).await, ["lo"]);
    // The names are free at once.
    lan.veth(name("guest"), &guest, &eth1(1)).await.unwrap().detach().await.unwrap();
});

network_test!(a_dropped_port_and_a_dropped_segment_are_removed, || async {
    let network = namespace().await;
    let guest = namespace().await;
    let lan = Segment::bridge(network.clone(), name("lan")).await.unwrap();
    for port in ["a", "b", "c"] {
        let interface = Interface { name: name(port), mac: None, addresses: Vec::new(), mtu: None };
        drop(lan.veth(name(port), &guest, &interface).await.unwrap());
    }
    drop(lan);
    eventually("the segment's namespace is empty", async || interfaces(&network).await == ["lo"]).await;
    assert_eq!(interfaces(&guest).await, ["lo"]);
});

network_test!(a_dead_namespace_takes_its_ports_along, || async {
    let lan = lan().await;
    let guest = namespace().await;
    let port = lan.veth(name("guest"), &guest, &eth1(1)).await.unwrap();

    drop(guest);
    eventually("the port is gone", async || interfaces(lan.namespace().unwrap()).await == ["lan", "lo"]).await;
    port.set_up(false).await.unwrap_err();
    port.detach().await.unwrap();
});

network_test!(a_dropped_network_dies, || async {
    let guest = namespace().await;
    let lan = lan().await;
    let port = lan.veth(name("guest"), &guest, &eth1(1)).await.unwrap();
    drop((lan, port));
    eventually("the far end is gone", async || interfaces(&guest).await == ["lo"]).await;
});

network_test!(a_failure_halfway_leaves_nothing, || async {
    let lan = lan().await;
    let guest = namespace().await;
    // The kernel takes the pair, and of the two addresses the first.
    let interface = Interface { addresses: vec![(v4(1), 24), (v4(1), 24)], ..eth1(1) };

    let error = lan.veth(name("guest"), &guest, &interface).await.unwrap_err().to_string();
    assert!(error.starts_with("add an address to interface eth1: File exists"), "{error}");
    assert_eq!(interfaces(lan.namespace().unwrap()).await, ["lan", "lo"]);
    assert_eq!(interfaces(&guest).await, ["lo"]);
});

network_test!(a_faulty_interface_is_refused_before_anything_is_made, || async {
    let lan = lan().await;
    let guest = namespace().await;
    let error = lan.veth(name("guest"), &guest, &Interface { mac: Some([1; 6]), ..eth1(1) }).await.unwrap_err();
    assert!(error.to_string().starts_with("interface eth1: MAC address 01:01:01:01:01:01"), "{error}");
    assert_eq!(interfaces(&guest).await, ["lo"]);
});

network_test!(a_cancelled_call_leaves_nothing, || async {
    let network = namespace().await;
    let guest = namespace().await;
    // Each round gives up one step later; the last ones would succeed.
    for steps in 0..30 {
        let mut making = Box::pin(Segment::bridge(network.clone(), name("lan")));
        for _ in 0..steps {
            if poll!(&mut making).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    // It can be made only when what the last round left is removed.
    let mut lan = None;
    eventually("the bridge's name is free", async || {
        lan = Segment::bridge(network.clone(), name("lan")).await.ok();
        lan.is_some()
    })
    .await;
    let lan = lan.unwrap();

    for step in 0..30 {
        let interface = eth1(1);
        let mut plugging = Box::pin(lan.veth(name("guest"), &guest, &interface));
        for _ in 0..step {
            if poll!(&mut plugging).is_ready() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_micros(100)).await;
        }
        drop(plugging);
        eventually("the port can be made", async || {
            let Ok(port) = lan.veth(name("guest"), &guest, &eth1(1)).await else { return false };
            port.detach().await.unwrap();
            true
        })
        .await;
    }
    assert_eq!(interfaces(&guest).await, ["lo"]);
});

network_test!(a_name_in_use_is_named, || async {
    let lan = lan().await;
    let guest = namespace().await;
    let _port = lan.veth(name("guest"), &guest, &eth1(1)).await.unwrap();
    let refused = async |port: InterfaceName, interface: &str| {
        let interface = Interface { name: name(interface), ..eth1(2) };
        lan.veth(port, &guest, &interface).await.unwrap_err().to_string()
    };

    let error = refused(name("guest"), "eth2").await;
    assert!(error.starts_with("create veth guest: File exists") && error.contains("already in use"), "{error}");
    let error = refused(name("other"), "eth1").await;
    assert!(error.starts_with("create veth eth1: File exists"), "{error}");
    let error = Segment::bridge(lan.namespace().unwrap().clone(), name("lan")).await.unwrap_err().to_string();
    assert!(error.starts_with("create bridge lan: File exists"), "{error}");

    assert_eq!(interfaces(lan.namespace().unwrap()).await, ["guest", "lan", "lo"]);
    assert_eq!(interfaces(&guest).await, ["eth1", "lo"]);
});

network_test!(ipv6_switched_off_is_said, || async {
    let lan = lan().await;
    let guest = namespace().await;
    let off = guest.run(|| std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1"));
    off.await.unwrap().unwrap();

    let error = lan.veth(name("guest"), &guest, &eth1(1)).await.unwrap_err().to_string();
    assert!(error.contains("IPv6 is disabled in the namespace"), "{error}");
});

network_test!(calls_can_be_made_from_tasks, || async {
    let making = tokio::spawn(async {
        let lan = lan().await;
        let guest = namespace().await;
        let port = lan.veth(name("guest"), &guest, &eth1(1)).await.unwrap();
        port.set_up(false).await.unwrap();
        port.detach().await.unwrap();
    });
    making.await.unwrap();
});
