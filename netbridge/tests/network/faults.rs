//! What links do to the frames that pass, and who is kept from whom.

use std::sync::Arc;
use std::time::{Duration, Instant};

use netbridge::{Direction, Impairment, Interface, Kind, Namespace, Segment};

use crate::harness::{eth1, eventually, name, namespace, v4};
use crate::talk::{Listener, reaches};

/// Both kinds of segments.
pub(crate) async fn segments() -> [Segment; 2] {
    let bridge = Segment::bridge(namespace().await, name("lan")).await.unwrap();
    let switch = Segment::switch(Some(namespace().await), name("lan"));
    assert_eq!(bridge.kind(), &Kind::Bridge);
    [bridge, switch]
}

/// Namespaces on a segment, as its machines 1, 2 and so on, by the links `m1`, `m2` and so on.
pub(crate) async fn machines(lan: &Segment, count: u8) -> Vec<Arc<Namespace>> {
    let mut machines = Vec::new();
    for node in 1..=count {
        let machine = namespace().await;
        std::mem::forget(lan.veth(name(&format!("m{node}")), &machine, &eth1(node)).await.unwrap());
        machines.push(machine);
    }
    machines
}

network_test!(delays_hold_at_once_and_end_at_once, || async {
    for lan in segments().await {
        let machines = machines(&lan, 2).await;
        let listener = Listener::start(&machines[1], 2).await;
        let quick = listener.round_trip(&machines[0]).await;
        let delay = Impairment { delay: Duration::from_millis(200), ..Impairment::default() };
        lan.link("m2").impair(Direction::In, &delay).await.unwrap();
        let one_way = listener.round_trip(&machines[0]).await;
        lan.link("m1").impair(Direction::In, &delay).await.unwrap();
        let both_ways = listener.round_trip(&machines[0]).await;
        lan.link("m1").clear().await.unwrap();
        lan.link("m2").clear().await.unwrap();
        let again = listener.round_trip(&machines[0]).await;
        assert!(quick.as_millis() < 150 && again.as_millis() < 150, "{quick:?}, {again:?}");
        assert!((195..395).contains(&one_way.as_millis()), "{one_way:?}");
        assert!((395..700).contains(&both_ways.as_millis()), "{both_ways:?}");
    }
});

network_test!(loss_is_as_asked_and_repeatable, || async {
    const FRAMES: u16 = 4000;
    for lan in segments().await {
        let machines = [namespace().await, namespace().await];
        for (node, machine) in (1..).zip(&machines) {
            // What it says unasked would be counted.
            let quiet = || std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
            machine.run(quiet).await.unwrap().unwrap();
            let interface = Interface { addresses: vec![(v4(node), 24)], ..eth1(node) };
            std::mem::forget(lan.veth(name(&format!("m{node}")), machine, &interface).await.unwrap());
        }
        let listener = Listener::start(&machines[1], 2).await;
        listener.know(&machines[0]).await;
        let mut seen = Vec::new();
        for seed in [7, 7, 8] {
            let loss = Impairment { loss: 0.1, seed: Some(seed), ..Impairment::default() };
            let before = lan.link("m1").stats().await.unwrap().out.lost;
            lan.link("m1").impair(Direction::Out, &loss).await.unwrap();
            let got = listener.receive_numbered(&machines[0], FRAMES).await;
            let missing = u64::from(FRAMES) - got.len() as u64;
            // Five standard deviations: sqrt(4000 * 0.1 * 0.9) is 19.
            assert!((305..495).contains(&missing), "{missing} of {FRAMES} lost");
            assert_eq!(lan.link("m1").stats().await.unwrap().out.lost - before, missing);
            seen.push(got);
        }
        assert_eq!(seen[0], seen[1]);
        assert_ne!(seen[0], seen[2]);
    }
});

network_test!(a_rate_limits_and_drops_what_does_not_fit, || async {
    for lan in segments().await {
        let machines = machines(&lan, 2).await;
        let listener = Listener::start(&machines[1], 2).await;
        listener.know(&machines[0]).await;
        // 100 frames of 1000 bytes and 42 of headers take 833 ms.
        let slow = Impairment { rate: Some(1_000_000), limit: 150, ..Impairment::default() };
        lan.link("m2").impair(Direction::In, &slow).await.unwrap();
        let start = Instant::now();
        let got = listener.receive_padded(&machines[0], 100, 1000).await;
        let took = start.elapsed();
        assert_eq!(got.len(), 100);
        assert!((700..3000).contains(&took.as_millis()), "{took:?}");
        let got = listener.receive_padded(&machines[0], 400, 1000).await;
        assert!((140..250).contains(&got.len()), "{} of 400 came", got.len());
        let stats = lan.link("m2").stats().await.unwrap();
        assert!(stats.r#in.overflowed >= 150, "{stats:?}");
    }
});

network_test!(a_link_that_is_down_lets_nothing_pass, || async {
    for lan in segments().await {
        let machines = machines(&lan, 3).await;
        assert!(reaches(&machines[0], 1, &machines[1], 2).await);
        lan.link("m2").down().await.unwrap();
        assert!(!reaches(&machines[0], 1, &machines[1], 2).await);
        assert!(reaches(&machines[0], 1, &machines[2], 3).await);
        lan.link("m2").up().await.unwrap();
        eventually("the link is up", async || reaches(&machines[0], 1, &machines[1], 2).await).await;
    }
});

/// Who reaches whom, as rows of a table.
async fn table(machines: &[Arc<Namespace>]) -> Vec<String> {
    let mut rows = Vec::new();
    for (from, machine) in (1..).zip(machines) {
        let mut row = String::new();
        for (to, other) in (1..).zip(machines) {
            let mark = if from == to {
                '-'
            } else if reaches(machine, from, other, to).await {
                'x'
            } else {
                '.'
            };
            row.push(mark);
        }
        rows.push(row);
    }
    rows
}

network_test!(partitions_keep_apart_whom_they_name, || async {
    for lan in segments().await {
        let machines = machines(&lan, 4).await;
        let all = ["-xxx", "x-xx", "xx-x", "xxx-"];
        assert_eq!(table(&machines).await, all);
        lan.partition(&[vec!["m1", "m2"], vec!["m3"]]).await.unwrap();
        assert_eq!(table(&machines).await, ["-x.x", "x-.x", "..-x", "xxx-"]);
        lan.isolate("m4").await.unwrap();
        assert_eq!(table(&machines).await, ["-x..", "x-..", "..-.", "...-"]);
        lan.heal().await.unwrap();
        assert_eq!(table(&machines).await, all);
        lan.partition_one_way(&["m1"], &["m2", "m3"]).await.unwrap();
        assert_eq!(table(&machines).await, ["-..x", "x-xx", "xx-x", "xxx-"]);
        lan.heal().await.unwrap();
        lan.partition(&[vec!["m1"], vec!["m2"], vec!["m3", "m4"]]).await.unwrap();
        assert_eq!(table(&machines).await, ["-...", ".-..", "..-x", "..x-"]);
    }
});

network_test!(faults_hold_for_ports_that_come_later, || async {
    for lan in segments().await {
        lan.partition(&[vec!["m1"], vec!["m2"]]).await.unwrap();
        lan.link("m3").down().await.unwrap();
        let machines = machines(&lan, 4).await;
        assert_eq!(table(&machines).await, ["-..x", ".-.x", "..-.", "xx.-"]);
    }
});
