//! Captures of segments and links, as tshark reads them.

use std::collections::BTreeSet;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use netbridge::{CaptureOptions, Direction, Impairment, Segment};
use tempfile::TempDir;

use crate::faults::{machines, segments};
use crate::harness::{PATIENCE, eventually, name, v4};
use crate::peer::{ALL, Peer, frame, mac};
use crate::talk::Listener;

const NO_LIMIT: CaptureOptions = CaptureOptions { limit: None };

/// In the environment of the process that is killed: where it captures to.
const TO: &str = "NETBRIDGE_CAPTURE_TO";

fn file() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("lan.pcapng");
    (directory, path)
}

/// The frames of a file that `filter` lets pass, each as the values of `fields`; tshark must not complain. None if there is no tshark.
fn tshark(path: &Path, filter: &str, fields: &[&str]) -> Option<Vec<Vec<String>>> {
    if Command::new("tshark").arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "skipped: tshark is missing");
        eprintln!("skipped: tshark is missing");
        return None;
    }
    let mut command = Command::new("tshark");
    command.args(["-n", "-T", "fields", "-E", "aggregator=;", "-Y", filter, "-r"]).arg(path);
    let output = command.args(fields.iter().flat_map(|field| ["-e", field])).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let complaints: Vec<_> = said.lines().filter(|line| !line.starts_with("Running as user \"root\"")).collect();
    assert!(output.status.success() && complaints.is_empty(), "{complaints:?}");
    let table = String::from_utf8(output.stdout).unwrap();
    Some(table.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect())
}

/// Frames of peers.
const OURS: &str = "eth.type == 0x88b5";

/// What tshark shows of them: interface, direction (1 to the port, 2 from it), and number.
const FIELDS: [&str; 3] = ["frame.interface_name", "frame.packet_flags_direction", "data.data"];

/// The same, as text to compare with. Of the number the first byte is left out, which is always 0.
fn rows(table: &[Vec<String>]) -> Vec<String> {
    table.iter().map(|row| format!("{} {} {}", row[0], row[1], &row[2][..8])).collect()
}

/// Two segments without and with a bridge, on both of which are peers.
async fn lans() -> [Segment; 3] {
    let [bridge, switch] = segments().await;
    [bridge, switch, Segment::switch(None, name("lan"))]
}

network_test!(a_segment_has_each_frame_once, || async {
    for lan in lans().await {
        let (_directory, path) = file();
        let [one, two] = [Peer::new(&lan, 1).await, Peer::new(&lan, 2).await];
        one.round_trip(&two, 1);
        let capture = lan.capture(&path, NO_LIMIT).await.unwrap();
        one.send(&frame(ALL, one.mac, 2, 60));
        assert!(two.await_number(2, PATIENCE));
        one.round_trip(&two, 3);
        // It is in the capture from the moment on that it is plugged in.
        let three = Peer::new(&lan, 3).await;
        three.round_trip(&two, 4);
        let summary = capture.finish().await.unwrap();
        one.round_trip(&two, 5);

        let expected = ["p1  00000002", "p1  00000003", "p2  00000003", "p3  00000004", "p2  00000004"];
        assert_eq!((summary.frames, summary.dropped), (5, 0));
        let Some(table) = tshark(&path, OURS, &FIELDS) else { return };
        assert_eq!(rows(&table), expected);
    }
});

network_test!(a_link_has_both_directions, || async {
    for lan in lans().await {
        let (_directory, path) = file();
        let [one, two, three] = [Peer::new(&lan, 1).await, Peer::new(&lan, 2).await, Peer::new(&lan, 3).await];
        for peer in [&one, &two, &three] {
            peer.send(&frame(ALL, peer.mac, 0, 60));
        }
        for (from, peer) in [(&one, &two), (&two, &three), (&three, &one)] {
            from.round_trip(peer, 0);
        }
        let capture = lan.link("p2").capture(&path, NO_LIMIT).await.unwrap();
        one.round_trip(&two, 1);
        one.round_trip(&three, 2);
        three.send(&frame(ALL, three.mac, 3, 60));
        assert!(two.await_number(3, PATIENCE));
        lan.link("p2").impair(Direction::Out, &Impairment { loss: 1.0, ..Impairment::default() }).await.unwrap();
        two.send(&frame(ALL, two.mac, 4, 60));
        eventually("it is lost", async || lan.link("p2").stats().await.unwrap().out.lost == 1).await;
        assert_eq!(capture.finish().await.unwrap().frames, 4);
        // What is sent is there also when the link loses it.
        let expected = ["p2 1 00000001", "p2 2 00000001", "p2 1 00000003", "p2 2 00000004"];
        let Some(table) = tshark(&path, OURS, &FIELDS) else { return };
        let directions: Vec<_> = rows(&table).iter().map(|row| row.replace("0x0000000", "")).collect();
        assert_eq!(directions, expected);
    }
});

network_test!(machines_are_captured_by_the_names_of_their_links, || async {
    for lan in segments().await {
        let (_directory, path) = file();
        let machines = machines(&lan, 3).await;
        let listener = Listener::start(&machines[1], 2).await;
        listener.know(&machines[0]).await;
        let capture = lan.capture(&path, NO_LIMIT).await.unwrap();
        listener.know(&machines[0]).await;
        capture.finish().await.unwrap();
        let fields = ["frame.interface_name", "ip.src", "udp.checksum.status", "ip.checksum.status"];
        let Some(table) = tshark(&path, "udp.port == 7100 && !icmp", &fields) else { return };
        let names: BTreeSet<_> = table.iter().map(|row| (row[0].as_str(), row[1].as_str())).collect();
        assert_eq!(names, BTreeSet::from([("m1", "192.168.1.1"), ("m2", "192.168.1.2")]), "{table:?}");
        assert_eq!(table.len(), 2, "each once: {table:?}");
    }
});

network_test!(changes_of_faults_are_comments, || async {
    for lan in lans().await {
        let (_directory, path) = file();
        let [one, two] = [Peer::new(&lan, 1).await, Peer::new(&lan, 2).await];
        let whole = lan.capture(&path, NO_LIMIT).await.unwrap();
        let link_path = path.with_extension("link");
        let other = lan.link("p2").capture(&link_path, NO_LIMIT).await.unwrap();
        let slow = Impairment { delay: Duration::from_millis(1), ..Impairment::default() };
        lan.link("p1").impair(Direction::Out, &slow).await.unwrap();
        lan.link("p2").down().await.unwrap();
        lan.link("p2").up().await.unwrap();
        lan.partition(&[vec!["p1"], vec!["p2", "p3"]]).await.unwrap();
        lan.partition_one_way(&["p3"], &["p1"]).await.unwrap();
        lan.isolate("p3").await.unwrap();
        lan.heal().await.unwrap();
        one.round_trip(&two, 1);
        lan.link("p1").clear().await.unwrap();
        whole.finish().await.unwrap();
        other.finish().await.unwrap();

        let both =
            ["link p2: down", "link p2: up", "partition: p1 | p2 p3", "partition: p3 -> p1", "isolate: p3", "heal"];
        let Some(table) = tshark(&path, OURS, &["frame.comment"]) else { return };
        let comments: Vec<_> = table[0][0].split(';').collect();
        assert!(comments[0].starts_with("link p1: out: ") && comments[0].contains("1ms"), "{comments:?}");
        assert_eq!(comments[1..], both);
        assert_eq!(table[1], [""]);
        let table = tshark(&link_path, OURS, &["frame.comment"]).unwrap();
        assert_eq!(table[0][0].split(';').collect::<Vec<_>>(), both);
    }
});

network_test!(traffic_goes_on_while_captures_begin_and_end, || async {
    const LENGTH: usize = 32 << 20;
    for lan in segments().await {
        let machines = machines(&lan, 2).await;
        let listener = machines[1].run(|| TcpListener::bind((v4(2), 0))).await.unwrap().unwrap();
        let to = listener.local_addr().unwrap();
        let mut sender = machines[0].run(move || TcpStream::connect(to)).await.unwrap().unwrap();
        let mut receiver = listener.accept().unwrap().0;
        let sent: Vec<u8> = (0..LENGTH).map(|at| (at ^ (at >> 11)).to_le_bytes()[0]).collect();
        let expected = sent.clone();
        // In pieces, so that it does not end before the captures do.
        let sending = std::thread::spawn(move || {
            for piece in sent.chunks(LENGTH / 64) {
                std::io::Write::write_all(&mut sender, piece).unwrap();
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let receiving = std::thread::spawn(move || {
            let mut all = Vec::new();
            std::io::Read::read_to_end(&mut receiver, &mut all).unwrap();
            all
        });
        let mut frames = 0;
        for round in 0..6 {
            let (_directory, path) = file();
            let capture = match round % 2 {
                0 => lan.capture(&path, CaptureOptions { limit: Some(1 << 20) }).await.unwrap(),
                _ => lan.link("m1").capture(&path, NO_LIMIT).await.unwrap(),
            };
            tokio::time::sleep(Duration::from_millis(50)).await;
            frames += capture.finish().await.unwrap().frames;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let all = tokio::task::spawn_blocking(move || (sending.join().unwrap(), receiving.join().unwrap()).1);
        assert!(all.await.unwrap() == expected, "what arrived is not what was sent");
        assert!(frames > 0);
    }
});

network_test!(a_dropped_capture_can_be_read, || async {
    for lan in lans().await {
        let (_directory, path) = file();
        let [one, two] = [Peer::new(&lan, 1).await, Peer::new(&lan, 2).await];
        let capture = lan.capture(&path, NO_LIMIT).await.unwrap();
        one.round_trip(&two, 1);
        drop(capture);
        // Ports are in it no more, and the traffic goes on.
        one.round_trip(&two, 2);
        eventually("both frames are in the file", async || {
            tshark(&path, OURS, &FIELDS).is_none_or(|table| table.len() >= 2)
        })
        .await;
        // The segment goes while it is captured.
        let last = path.with_extension("last");
        let capture = lan.capture(&last, NO_LIMIT).await.unwrap();
        one.round_trip(&two, 3);
        drop(lan);
        assert_eq!(capture.finish().await.unwrap().frames, 2);
    }
});

network_test!(a_killed_process_leaves_a_file_that_can_be_read, || async {
    if let Some(path) = std::env::var_os(TO) {
        return capture_for_ever(path.as_ref()).await;
    }
    let (_directory, path) = file();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "capture::a_killed_process_leaves_a_file_that_can_be_read", "--nocapture"])
        .env(TO, &path)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let length = || std::fs::metadata(&path).map_or(0, |file| file.len());
    eventually("the capture has grown", async || length() > 200_000).await;
    child.kill().unwrap();
    child.wait().unwrap();
    let Some(table) = tshark(&path, OURS, &FIELDS) else { return };
    assert!(table.len() > 100);
    for (number, row) in (1..).zip(&table) {
        assert_eq!((row[0].as_str(), &row[2][..8]), ("p1", &*format!("{number:08x}")));
    }
});

async fn capture_for_ever(path: &Path) {
    let [lan, _] = segments().await;
    let [one, two] = [Peer::new(&lan, 1).await, Peer::new(&lan, 2).await];
    let _capture = lan.capture(path, NO_LIMIT).await.unwrap();
    for number in 1.. {
        one.send(&frame(mac(2), one.mac, number, 1000));
        assert!(two.await_number(number, PATIENCE));
    }
}
