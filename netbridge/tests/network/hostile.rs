//! What bad input gets: an error that names it, and nothing changed.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use netbridge::{CaptureOptions, Direction, Error, Impairment, InterfaceName, LinkStats, Namespace, PortName, Segment};

use crate::faults::{machines, segments};
use crate::harness::{PATIENCE, eth1, name, namespace, v4};
use crate::peer::{Peer, taps};
use crate::talk::{Listener, reaches};

#[test]
fn names_that_the_kernel_would_not_take_are_refused() {
    for bad in ["exactly16bytes__", "", "a b", "eth%d", "a/b", "..", "naïve", "all"] {
        let error = InterfaceName::new(bad).unwrap_err();
        assert!(matches!(&error, Error::Name { name, .. } if name == bad));
        assert!(error.to_string().starts_with(&format!("interface name {bad:?} ")), "{error}");
    }
}

network_test!(impairments_that_make_no_sense_are_refused_and_change_nothing, || async {
    let plain = Impairment::default;
    for lan in segments().await {
        let machines = machines(&lan, 2).await;
        for (bad, word) in [
            (Impairment { loss: 1.01, ..plain() }, "loss"),
            (Impairment { loss: -0.1, ..plain() }, "loss"),
            (Impairment { loss: f64::NAN, ..plain() }, "loss"),
            (Impairment { duplicate: f64::INFINITY, ..plain() }, "duplicate"),
            (Impairment { reorder: 2.0, ..plain() }, "reorder"),
            (Impairment { corrupt: 100.0, ..plain() }, "corrupt"),
            (Impairment { burst: 0.0, loss: 0.1, ..plain() }, "burst"),
            (Impairment { rate: Some(0), ..plain() }, "rate"),
            (Impairment { limit: 0, ..plain() }, "limit"),
            (Impairment { delay: Duration::from_secs(3601), ..plain() }, "delay"),
            (Impairment { jitter: Duration::from_millis(1), ..plain() }, "jitter"),
        ] {
            for direction in [Direction::Out, Direction::In] {
                let error = lan.link("m1").impair(direction, &bad).await.unwrap_err();
                assert!(matches!(error, Error::Impairment { .. }), "{error}");
                assert!(error.to_string().contains(word), "{error}");
            }
        }
        assert!(reaches(&machines[0], 1, &machines[1], 2).await);
        let stats = lan.link("m1").stats().await.unwrap();
        assert_eq!((stats.out.lost, stats.out.corrupted, stats.r#in.overflowed), (0, 0, 0));
    }
});

network_test!(a_second_port_of_an_interface_name_is_refused, || async {
    for lan in segments().await {
        let machines = machines(&lan, 2).await;
        let other = namespace().await;
        // Also while the first is not in its bridge.
        for captured in [false, true] {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("lan.pcapng");
            let capture = lan.capture(&path, CaptureOptions::default());
            let _capture = if captured { Some(capture.await.unwrap()) } else { None };
            let taken = || PortName::new(name("m1"), "another link");
            let mut refusals = vec![lan.veth(taken(), &other, &eth1(3)).await.unwrap_err().to_string()];
            if taps() {
                refusals.push(lan.tap(taken()).await.unwrap_err().to_string());
            }
            for refusal in refusals {
                assert!(refusal.contains("m1: ") && refusal.contains("already in use"), "{refusal}");
            }
            assert!(reaches(&machines[0], 1, &machines[1], 2).await);
        }
        assert!(!lan.stats().await.unwrap().contains_key("another link"));
    }
});

network_test!(links_that_nobody_has_can_be_asked_for_anything, || async {
    for lan in segments().await {
        let machines = machines(&lan, 2).await;
        let directory = tempfile::tempdir().unwrap();
        for odd in ["nobody", "", "two\nlines | and\0more", &"long".repeat(10_000)] {
            let link = lan.link(odd);
            assert_eq!(link.name(), odd);
            assert_eq!(link.stats().await.unwrap(), LinkStats::default());
            let capture = link.capture(&directory.path().join("link.pcapng"), CaptureOptions::default()).await.unwrap();
            let slow = Impairment { delay: Duration::from_millis(5), ..Impairment::default() };
            link.impair(Direction::In, &slow).await.unwrap();
            link.down().await.unwrap();
            lan.isolate(odd).await.unwrap();
            lan.partition(&[vec![odd], vec!["m1"]]).await.unwrap();
            lan.partition_one_way(&[odd], &["m2", odd]).await.unwrap();
            assert!(reaches(&machines[0], 1, &machines[1], 2).await);
            lan.heal().await.unwrap();
            link.up().await.unwrap();
            link.clear().await.unwrap();
            assert_eq!(capture.finish().await.unwrap().frames, 0);
            assert_eq!(lan.stats().await.unwrap()[odd], LinkStats::default());
        }
    }
});

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_without_a_namespace_says_what_it_cannot_do() {
    let lan = Segment::switch(None, name("lan"));
    let error = lan.tap(name("tap")).await.unwrap_err().to_string();
    assert!(error.contains("no network namespace") && error.contains("socket"), "{error}");
    let error = lan.connect((v4(254), 24), (v4(1), 9).into()).await.unwrap_err().to_string();
    assert!(error.contains("no network namespace"), "{error}");
    let no_tap = std::fs::File::open("/dev/null").unwrap();
    let error = lan.tap_descriptor(name("tap"), no_tap.into()).await.unwrap_err().to_string();
    assert!(error.contains("take a tap's descriptor") && error.contains("TUNSETIFF"), "{error}");
    let error = lan.vde(name("vde"), "/proc/vde".as_ref()).await.unwrap_err().to_string();
    assert!(error.contains("/proc/vde"), "{error}");
    let error = lan.capture("/proc/lan.pcapng".as_ref(), CaptureOptions::default()).await.unwrap_err().to_string();
    assert!(error.contains("/proc/lan.pcapng"), "{error}");
    // It works all the same.
    let [one, two] = [Peer::new(&lan, 1).await, Peer::new(&lan, 2).await];
    assert!(one.round_trip(&two, 1) < PATIENCE);
}

/// Sends a stream of bytes that can be known again, until it is told to end. Gives how many.
fn send_until(mut to: TcpStream, over: &AtomicBool) -> u64 {
    let mut sent = 0;
    while !over.load(Ordering::Relaxed) {
        to.write_all(&block(sent)).unwrap();
        sent += 1;
        // Some hundred kilobytes a second: it is about changes, and not about how much passes.
        std::thread::sleep(Duration::from_millis(2));
    }
    sent
}

fn block(number: u64) -> [u8; 1024] {
    std::array::from_fn(|at| number.to_be_bytes()[at % 8] ^ u8::try_from(at / 8 % 251).unwrap())
}

async fn connection(machines: &[Arc<Namespace>]) -> (TcpStream, TcpStream) {
    let listener = machines[1].run(|| TcpListener::bind((v4(2), 0))).await.unwrap().unwrap();
    let to = listener.local_addr().unwrap();
    let sender = machines[0].run(move || TcpStream::connect(to)).await.unwrap().unwrap();
    (sender, listener.accept().unwrap().0)
}

network_test!(faults_can_come_and_go_all_the_time, || async {
    for lan in segments().await {
        let machines = machines(&lan, 2).await;
        let (sender, mut receiver) = connection(&machines).await;
        receiver.set_read_timeout(Some(3 * PATIENCE)).unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let told = over.clone();
        let sending = std::thread::spawn(move || send_until(sender, &told));
        let receiving = std::thread::spawn(move || {
            let (mut count, mut buffer) = (0, [0; 1024]);
            while receiver.read_exact(&mut buffer).is_ok() {
                assert!(buffer == block(count), "block {count} is not what was sent");
                count += 1;
            }
            count
        });
        for round in 0..200 {
            let link = lan.link(if round % 2 == 0 { "m1" } else { "m2" });
            let fault = Impairment {
                delay: Duration::from_millis(round % 3),
                loss: 0.01,
                duplicate: 0.01,
                reorder: if round % 3 == 0 { 0.0 } else { 0.1 },
                ..Impairment::default()
            };
            link.impair(Direction::Out, &fault).await.unwrap();
            if round % 20 == 0 {
                lan.isolate("m1").await.unwrap();
                lan.heal().await.unwrap();
            }
            link.clear().await.unwrap();
        }
        over.store(true, Ordering::Relaxed);
        let sent = tokio::task::spawn_blocking(move || sending.join().unwrap()).await.unwrap();
        let arrived = tokio::task::spawn_blocking(move || receiving.join().unwrap()).await.unwrap();
        assert!(sent > 0);
        assert_eq!(arrived, sent);
        Listener::start(&machines[1], 2).await.know(&machines[0]).await;
    }
});
