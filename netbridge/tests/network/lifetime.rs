//! What goes on when something else is gone: interfaces that vanish, and segments dropped before their ports.

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use netbridge::{CaptureOptions, Direction, Impairment, Namespace, Segment};

use crate::faults::{machines, segments};
use crate::harness::{PATIENCE, eth1, eventually, interfaces, name, namespace};
use crate::peer::{ALL, Peer, frame, taps};
use crate::talk::reaches;

/// How an interface vanishes.
#[derive(Clone, Copy, Debug)]
enum Loss {
    /// Somebody in the machine removes it.
    Deleted,
    /// Its namespace dies.
    Died,
    /// Somebody in the machine sets it down, and it is still there.
    Down,
}

impl Loss {
    async fn happen(self, machine: Arc<Namespace>) {
        let arguments: &'static [&'static str] = match self {
            Self::Deleted => &["link", "del", "eth1"],
            Self::Down => &["link", "set", "eth1", "down"],
            // With its last descriptor.
            Self::Died => return,
        };
        let done = machine.run(move || std::process::Command::new("ip").args(arguments).status()).await.unwrap();
        assert!(done.unwrap().success());
    }
}

/// Whether the first two machines reach each other.
async fn others_go_on(machines: &[Arc<Namespace>]) -> bool {
    reaches(&machines[0], 1, &machines[1], 2).await && reaches(&machines[1], 2, &machines[0], 1).await
}

/// Has a machine's interface vanish, and asks the segment for everything afterwards.
async fn survive(loss: Loss, captured: bool) {
    for lan in segments().await {
        let directory = tempfile::tempdir().unwrap();
        let (first, second) = (directory.path().join("first.pcapng"), directory.path().join("second.pcapng"));
        let mut machines = machines(&lan, 3).await;
        // While it is captured, the switch has the port.
        let capture = if captured { Some(lan.capture(&first, CaptureOptions::default()).await.unwrap()) } else { None };
        let machine = machines.pop().unwrap();
        loss.happen(machine.clone()).await;
        let _kept = Some(machine).filter(|_| matches!(loss, Loss::Down));
        if !matches!(loss, Loss::Down) {
            let there = async || interfaces(lan.namespace().unwrap()).await.contains(&"m3".to_owned());
            eventually("the port's interface is gone", async || !there().await).await;
        }
        assert!(others_go_on(&machines).await);

        // None of this is refused because of it.
        let slow = Impairment { delay: Duration::from_millis(1), ..Impairment::default() };
        lan.link("m3").impair(Direction::In, &slow).await.unwrap();
        lan.link("m3").down().await.unwrap();
        lan.link("m3").up().await.unwrap();
        lan.partition(&[vec!["m1"], vec!["m3"]]).await.unwrap();
        lan.isolate("m2").await.unwrap();
        assert!(!reaches(&machines[0], 1, &machines[1], 2).await);
        lan.heal().await.unwrap();
        let again = lan.capture(&second, CaptureOptions::default()).await.unwrap();
        assert!(others_go_on(&machines).await);
        lan.stats().await.unwrap();
        lan.link("m3").clear().await.unwrap();
        assert!(again.finish().await.unwrap().frames > 0);
        if let Some(capture) = capture {
            assert!(capture.finish().await.unwrap().frames > 0);
        }
        assert!(others_go_on(&machines).await);

        if !matches!(loss, Loss::Down) {
            // The name is free.
            let machine = namespace().await;
            let _port = lan.veth(name("m3"), &machine, &eth1(3)).await.unwrap();
            assert!(reaches(&machine, 3, &machines[0], 1).await);
        }
    }
}

network_test!(an_interface_that_is_deleted_disturbs_nobody, || async {
    survive(Loss::Deleted, false).await;
    survive(Loss::Deleted, true).await;
});

network_test!(a_machine_that_dies_disturbs_nobody, || async {
    survive(Loss::Died, false).await;
    survive(Loss::Died, true).await;
});

network_test!(an_interface_that_is_set_down_disturbs_nobody, || async {
    survive(Loss::Down, false).await;
    survive(Loss::Down, true).await;
});

network_test!(a_segment_can_go_before_its_ports, || async {
    for lan in segments().await {
        let directory = tempfile::tempdir().unwrap();
        let machine = namespace().await;
        let veth = lan.veth(name("veth"), &machine, &eth1(1)).await.unwrap();
        let tap = if taps() { Some(lan.tap(name("tap")).await.unwrap()) } else { None };
        let peer = Peer::new(&lan, 1).await;
        let (stream, socket) = lan.stream(name("stream")).await.unwrap();
        let vde_directory = directory.path().join("vde");
        let vde = lan.vde(name("vde"), &vde_directory).await.unwrap();
        drop(lan);

        // The other ends are told, as by a cable that leads nowhere.
        let mut socket = UnixStream::from(socket);
        socket.set_nonblocking(false).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(tokio::task::spawn_blocking(move || socket.read(&mut [0; 9]).unwrap()).await.unwrap(), 0);
        eventually("nobody takes frames", async || peer.socket.send(&frame(ALL, peer.mac, 1, 60)).is_err()).await;
        let (tap, _descriptor) = tap.unzip();
        for port in [&peer.port, &stream, &vde].into_iter().chain(&tap) {
            port.set_up(false).await.unwrap();
        }
        for port in [veth, peer.port, stream, vde].into_iter().chain(tap) {
            port.detach().await.unwrap();
        }
        assert_eq!(interfaces(&machine).await, ["lo"]);
        eventually("the directory is gone", async || !vde_directory.exists()).await;
    }
});

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_ends_with_its_segment() {
    let switches = || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
        tasks
            .filter(|task| std::fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name == "lan-short\n"))
            .count()
    };
    for _ in 0..20 {
        let lan = Segment::switch(None, name("short"));
        let [one, two] = [Peer::new(&lan, 1).await, Peer::new(&lan, 2).await];
        one.round_trip(&two, 1);
        assert!(switches() > 0);
    }
    eventually("their threads have ended", async || switches() == 0).await;
}

network_test!(ports_can_come_and_go_while_others_speak, || async {
    for lan in segments().await {
        let [one, two] = [Peer::new(&lan, 1).await, Peer::new(&lan, 2).await];
        one.send(&frame(two.mac, one.mac, 0, 60));
        two.send(&frame(one.mac, two.mac, 0, 60));
        for round in 1..50 {
            let third = Peer::new(&lan, 3).await;
            third.send(&frame(ALL, third.mac, 0, 60));
            one.round_trip(&two, round);
            if round % 2 == 0 {
                third.port.detach().await.unwrap();
            }
            one.round_trip(&two, 1000 + round);
        }
    }
});
