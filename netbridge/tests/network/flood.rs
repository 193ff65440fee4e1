//! Those who send or take too much, too little, or nonsense: they are counted, and the others go on.

use std::io::{Read, Write};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use netbridge::{Link, LinkStats, Segment};

use crate::faults::{machines, segments};
use crate::harness::{PATIENCE, eventually, name};
use crate::peer::{ALL, Peer, frame, mac, number};
use crate::talk::Listener;

/// Far more than any round trip takes, also on a busy machine.
const SOON: Duration = Duration::from_secs(5);

/// A segment without any privilege.
fn rootless() -> Segment {
    Segment::switch(None, name("lan"))
}

async fn stats(link: &Link) -> LinkStats {
    link.stats().await.unwrap()
}

/// Does something again and again until it is dropped.
struct Flood {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Flood {
    fn start(mut send: impl FnMut() + Send + 'static) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let told = over.clone();
        let thread = std::thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                send();
            }
        });
        Self { over, thread: Some(thread) }
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

/// Sends a frame again and again, and never reads.
fn flood(socket: &UnixDatagram, frame: Vec<u8>) -> Flood {
    let socket = socket.try_clone().unwrap();
    Flood::start(move || {
        if socket.send(&frame).is_err() {
            std::thread::yield_now();
        }
    })
}

/// Writes bytes again and again, and never reads.
fn pour(mut socket: UnixStream, bytes: Vec<u8>) -> Flood {
    let mut at = 0;
    Flood::start(move || match socket.write(&bytes[at..]) {
        Ok(written) => at = (at + written) % bytes.len(),
        Err(_) => std::thread::yield_now(),
    })
}

network_test!(a_flood_to_one_who_does_not_read_stops_nobody, || async {
    for lan in segments().await {
        let [one, two, source, sink] =
            [Peer::new(&lan, 1).await, Peer::new(&lan, 2).await, Peer::new(&lan, 3).await, Peer::new(&lan, 4).await];
        sink.send(&frame(ALL, sink.mac, 0, 60));
        let link = lan.link("p4");
        let flood = flood(&source.socket, frame(sink.mac, source.mac, 0, 1500));
        eventually("the sink is full", async || stats(&link).await.r#in.overflowed > 0).await;
        for count in 1..200 {
            let took = one.round_trip(&two, count);
            assert!(took < SOON, "{took:?}");
        }
        drop(flood);
    }
});

network_test!(a_flood_to_all_stops_nobody, || async {
    for lan in segments().await {
        let machines = machines(&lan, 2).await;
        let listener = Listener::start(&machines[1], 2).await;
        listener.know(&machines[0]).await;
        let source = Peer::new(&lan, 3).await;
        let flood = flood(&source.socket, frame(ALL, source.mac, 0, 60));
        eventually("it floods", async || stats(&lan.link("p3")).await.out.frames > 10_000).await;
        // Some may be lost, where the kernel's queues are full of the flood.
        for _ in 0..10 {
            listener.know(&machines[0]).await;
        }
        drop(flood);
    }
});

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_floods_stops_nobody() {
    let small = {
        let frame = frame(mac(9), mac(8), 0, 14);
        [&u32::try_from(frame.len()).unwrap().to_be_bytes()[..], &frame].concat()
    };
    for unit in [vec![0; 4], small] {
        let lan = rootless();
        let [one, two, sink] = [Peer::new(&lan, 1).await, Peer::new(&lan, 2).await, Peer::new(&lan, 9).await];
        sink.send(&frame(ALL, mac(9), 0, 60));
        let mut sockets = Vec::new();
        let mut floods = Vec::new();
        for stream in ["s1", "s2"] {
            let (port, socket) = lan.stream(name(stream)).await.unwrap();
            floods.push(pour(socket.into(), unit.repeat(16_384)));
            sockets.push(port);
        }
        eventually("both flood", async || {
            let [one, two] = [stats(&lan.link("s1")).await.out, stats(&lan.link("s2")).await.out];
            [one, two].iter().all(|flow| flow.frames + flow.malformed > 10_000)
        })
        .await;
        for count in 1..20 {
            let took = one.round_trip(&two, count);
            assert!(took < SOON, "{took:?}");
        }
        drop(floods);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_reader_is_bounded_and_the_rest_is_counted() {
    const FRAMES: u32 = 40_000;
    // What the queue and the two sockets hold at most, with the kernel's accounting.
    const HELD: u32 = 4096 + 2 * 4096;
    let lan = rootless();
    let [one, two] = [Peer::new(&lan, 1).await, Peer::new(&lan, 2).await];
    two.send(&frame(ALL, two.mac, 0, 60));
    eventually("the reader is known", async || stats(&lan.link("p2")).await.out.frames == 1).await;
    for number in 0..FRAMES {
        one.send(&frame(two.mac, one.mac, number, 1500));
    }
    let link = lan.link("p2");
    eventually("all were treated", async || stats(&lan.link("p1")).await.out.frames == u64::from(FRAMES)).await;
    let overflowed = stats(&link).await.r#in.overflowed;
    assert!(overflowed >= u64::from(FRAMES - HELD), "{overflowed} overflowed");

    // Those that found room come, the first of them first.
    let mut last = None;
    let mut got = 0;
    eventually("what waited has come", async || {
        while let Some(frame) = two.try_receive() {
            let number = number(&frame);
            assert!(number > last, "{number:?} after {last:?}");
            last = number;
            got += 1;
        }
        got + overflowed == u64::from(FRAMES)
    })
    .await;
    let flow = stats(&link).await.r#in;
    assert_eq!((flow.frames, flow.overflowed), (got, overflowed));
    assert!(one.round_trip(&two, FRAMES) < SOON);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_speak_to_all_at_once_are_heard_or_counted() {
    const PEERS: u8 = 64;
    const FRAMES: u32 = 100;
    let lan = rootless();
    let mut peers = Vec::new();
    for node in 0..PEERS {
        peers.push(Peer::new(&lan, node).await);
    }
    let peers = Arc::new(peers);
    let senders = (0..4).map(|quarter| {
        let peers = peers.clone();
        std::thread::spawn(move || {
            for count in 0..FRAMES {
                for peer in peers.iter().skip(quarter).step_by(4) {
                    peer.send(&frame(ALL, peer.mac, count, 200));
                }
            }
        })
    });
    let senders: Vec<_> = senders.collect();
    let mut heard = vec![0; peers.len()];
    eventually("all were heard or counted", async || {
        for (peer, heard) in peers.iter().zip(&mut heard) {
            while let Some(frame) = peer.try_receive() {
                assert_ne!(frame[6..12], peer.mac, "a frame came back to its sender");
                *heard += 1;
            }
        }
        let stats = lan.stats().await.unwrap();
        let expected = u64::from(FRAMES) * u64::from(PEERS - 1);
        peers.iter().zip(&heard).all(|(peer, heard)| {
            let flow = stats[peer.port.link_name()].r#in;
            flow.frames + flow.overflowed == expected && flow.frames == *heard
        })
    })
    .await;
    for sender in senders {
        sender.join().unwrap();
    }
}

network_test!(runts_and_giants_are_counted, || async {
    // With all headers that an Ethernet frame can have.
    const LONGEST: usize = 65_535 + 14 + 8;
    for lan in segments().await {
        let [one, two] = [Peer::new(&lan, 1).await, Peer::new(&lan, 2).await];
        for length in 0..14 {
            one.send(&vec![0xff; length]);
        }
        one.send(&frame(ALL, one.mac, 1, 66_000));
        one.send(&frame(ALL, one.mac, 2, 100_000));
        one.send(&frame(ALL, one.mac, 3, LONGEST));
        assert!(two.await_number(3, PATIENCE));
        let [one, two] = [stats(&lan.link("p1")).await, stats(&lan.link("p2")).await];
        assert_eq!((one.out.malformed, one.out.frames), (16, 1));
        assert_eq!((two.r#in.malformed, two.r#in.frames), (0, 1));
    }
});

network_test!(what_is_too_long_for_an_interface_is_counted_by_its_link, || async {
    let [_, lan] = segments().await;
    let machines = machines(&lan, 2).await;
    let peer = Peer::new(&lan, 3).await;
    for _ in 0..3 {
        peer.send(&frame(ALL, peer.mac, 1, 2000));
    }
    for link in ["m1", "m2"] {
        eventually("giants are counted", async || stats(&lan.link(link)).await.r#in.malformed == 3).await;
    }
    Listener::start(&machines[1], 2).await.know(&machines[0]).await;
});

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_garbage_is_closed() {
    let lan = rootless();
    let [one, two] = [Peer::new(&lan, 1).await, Peer::new(&lan, 2).await];
    // The length of a giant, and what is no frame at all.
    for (link, garbage) in [("giant", &[0, 1, 0x10, 0, 1, 2, 3][..]), ("garbage", b"GET / HTTP/1.0\r\n\r\n")] {
        let (_port, socket) = lan.stream(name(link)).await.unwrap();
        let mut socket = UnixStream::from(socket);
        socket.set_nonblocking(false).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.write_all(garbage).unwrap();
        let mut rest = Vec::new();
        // Closed with bytes unread, or none.
        let _ = socket.read_to_end(&mut rest);
        assert!(socket.write_all(b"more").is_err(), "{link} is still open");
        assert_eq!(stats(&lan.link(link)).await.out.malformed, 1, "{link}");
        assert!(one.round_trip(&two, 1) < SOON);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vde_client_that_speaks_nonsense_is_counted() {
    let lan = rootless();
    let [one, two] = [Peer::new(&lan, 1).await, Peer::new(&lan, 2).await];
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("vde");
    let _port = lan.vde(name("vde"), &directory).await.unwrap();
    for (count, nonsense) in (1..).zip([&b"hello"[..], &[0; 4], &[0xff; 4096]]) {
        let mut client = UnixStream::connect(directory.join("ctl")).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        let _ = client.write_all(nonsense);
        let _ = client.shutdown(std::net::Shutdown::Write);
        let _ = client.read_to_end(&mut Vec::new());
        eventually("it is counted", async || stats(&lan.link("vde")).await.out.malformed == count).await;
        assert!(one.round_trip(&two, u32::try_from(count).unwrap()) < SOON);
    }
}
