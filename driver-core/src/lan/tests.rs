//! What tests ask of LANs, over a segment on which nobody is.

use std::path::Path;
use std::sync::{Arc, Mutex};

use super::*;
use crate::event::{Event, Kind, Recorder, Sink};
use crate::fake::FakeBackend;
use crate::machine::{Machine, Options};
use crate::spec::VlanId;

struct Bench {
    vlan: Vlan,
    link: Link,
    output: tempfile::TempDir,
    events: Arc<Mutex<Vec<Event>>>,
}

struct Keep(Arc<Mutex<Vec<Event>>>);

impl Sink for Keep {
    fn event(&mut self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}

/// VLAN 1 with a client, a db and a server, whose link is at hand.
fn bench() -> Bench {
    let events = Arc::<Mutex<Vec<Event>>>::default();
    let output = tempfile::tempdir().unwrap();
    let recorder = Recorder::new(vec![Box::new(Keep(events.clone()))]);
    let backend = FakeBackend::named("container");
    let vlan = backend.on_one_lan(&["server", "client", "db"], recorder.clone(), output.path()).unwrap();
    let fake = backend.machine("server");
    let machine = Machine::new(fake.spec(), Arc::new(fake), recorder, Options::new(output.path()));
    let link = machine.link(vlan.id()).unwrap();
    Bench { vlan, link, output, events }
}

impl Bench {
    /// Each change: whose event it is, whom it concerns, and what it is.
    fn changes(&self) -> Vec<(Option<String>, String, String)> {
        let events = self.events.lock().unwrap();
        let change = |event: &Event| match &event.kind {
            Kind::Network { vlan, machines, change } => {
                assert_eq!(vlan.number(), 1);
                Some((event.machine.clone(), machines.join(" "), change.clone()))
            }
            _ => None,
        };
        events.iter().filter_map(change).collect()
    }
}

fn refusal<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    match result.unwrap_err() {
        Error::Refused { message, .. } => message,
        other => panic!("not a refusal: {other:?}"),
    }
}

#[tokio::test]
async fn each_change_is_an_event() {
    let bench = bench();
    let (vlan, link) = (&bench.vlan, &bench.link);
    vlan.partition(&[vec!["server"], vec!["client", "db"]]).await.unwrap();
    vlan.partition_one_way(&["db"], &["client"]).await.unwrap();
    vlan.isolate("db").await.unwrap();
    vlan.heal().await.unwrap();
    let slow = Impairment { delay: std::time::Duration::from_millis(50), ..Impairment::default() };
    link.impair(Direction::Out, &slow).await.unwrap();
    link.clear().await.unwrap();
    link.down().await.unwrap();
    link.up().await.unwrap();
    let expected = [
        (None, "server client db", "partition: server | client, db"),
        (None, "db client", "partition: nothing from db to client"),
        (None, "db", "isolate: db"),
        (None, "client db server", "heal"),
        (Some("server"), "server", "delay 50ms (out)"),
        (Some("server"), "server", "clear"),
        (Some("server"), "server", "down"),
        (Some("server"), "server", "up"),
    ];
    let expected: Vec<_> =
        expected.map(|(of, all, change)| (of.map(str::to_owned), all.to_owned(), change.to_owned())).into();
    assert_eq!(bench.changes(), expected);
    assert_eq!(vlan.stats().await.unwrap().keys().collect::<Vec<_>>(), ["client", "db", "server"]);
    assert_eq!(link.stats().await.unwrap(), LinkStats::default());
}

#[tokio::test]
async fn partitions_that_are_none_are_refused() {
    let bench = bench();
    let none: &[Vec<&str>] = &[];
    for (groups, expected) in [
        (none, "it takes two groups of machines at least, not 0"),
        (&[vec!["server", "db"]], "it takes two groups of machines at least, not 1"),
        (&[vec!["server"], vec![]], "group 2 has no machine"),
        (&[vec!["server"], vec!["db", "server"]], "server is in group 1 and in group 2"),
        (&[vec!["server"], vec!["db", "db"]], "group 2 has db twice"),
        (&[vec!["servr"], vec!["db"]], "no machine `servr` is on it; did you mean `server`?"),
        (&[vec!["x"], vec!["db"]], "no machine `x` is on it; on it are: client, db, server"),
    ] {
        assert_eq!(refusal(bench.vlan.partition(groups).await), format!("vlan 1: partition: {expected}"));
    }
    assert_eq!(
        refusal(bench.vlan.partition_one_way(&["db"], &["db"]).await),
        "vlan 1: partition: db is in group 1 and in group 2"
    );
    assert!(refusal(bench.vlan.isolate("servr").await).starts_with("vlan 1: isolate: no machine `servr` is on it"));
    assert_eq!(bench.changes(), []);
}

#[tokio::test]
async fn an_impairment_that_cannot_be_is_refused() {
    let bench = bench();
    let lossy = Impairment { loss: 1.5, ..Impairment::default() };
    let message = refusal(bench.link.impair(Direction::Both, &lossy).await);
    assert!(message.starts_with("machine server: link to vlan 1: impair: "), "{message}");
    assert_eq!(bench.changes(), []);
}

#[tokio::test]
async fn a_capture_is_below_the_output_directory() {
    let bench = bench();
    let options = CaptureOptions::default();
    std::os::unix::fs::symlink("/tmp", bench.output.path().join("out")).unwrap();
    std::fs::create_dir(bench.output.path().join("a.pcapng")).unwrap();
    for (file, expected) in [
        ("/tmp/x.pcapng", "is no file below the output directory; name one such as `setup.pcapng`"),
        ("../x.pcapng", "is no file below the output directory; name one such as `setup.pcapng`"),
        ("", "is no file below the output directory; name one such as `setup.pcapng`"),
        ("events.jsonl", "does not end with `.pcapng`; name it such as `events.pcapng`"),
        ("out/x.pcapng", "a symbolic link or what is no file"),
        ("a.pcapng", "a symbolic link or what is no file"),
    ] {
        let message = refusal(bench.vlan.capture(Path::new(file), options).await);
        assert!(message.starts_with("vlan 1: capture: ") && message.ends_with(expected), "{file}: {message}");
    }
    let capture = bench.vlan.capture(Path::new("deep/setup.pcapng"), options).await.unwrap();
    assert_eq!(capture.path(), bench.output.path().canonicalize().unwrap().join("deep/setup.pcapng"));
    assert!(capture.path().is_file());
    let message = refusal(bench.link.capture(Path::new("deep/../deep/setup.pcapng"), options).await);
    assert!(message.contains("is no file below"), "{message}");
    let message = refusal(bench.link.capture(Path::new("./deep/setup.pcapng"), options).await);
    assert_eq!(message, "machine server: link to vlan 1: capture: ./deep/setup.pcapng is being written already");
    capture.finish().await.unwrap();
    let again = bench.link.capture(Path::new("deep/setup.pcapng"), options).await.unwrap();
    again.finish().await.unwrap();
    let changes: Vec<_> = bench.changes().into_iter().map(|(of, _, change)| (of, change)).collect();
    let told = |of: Option<&str>, change: &str| (of.map(str::to_owned), change.to_owned());
    assert_eq!(
        changes,
        [
            told(None, "capture begins: deep/setup.pcapng"),
            told(None, "capture ends: deep/setup.pcapng, 0 frames"),
            told(Some("server"), "capture begins: deep/setup.pcapng"),
            told(Some("server"), "capture ends: deep/setup.pcapng, 0 frames"),
        ]
    );
}

#[tokio::test]
async fn a_machine_has_only_its_own_links() {
    let backend = FakeBackend::named("container");
    let fake = backend.machine("server");
    let machine = Machine::new(fake.spec(), Arc::new(fake.clone()), Recorder::new(vec![]), Options::new("/nowhere"));
    let (one, two) = (VlanId::new(1).unwrap(), VlanId::new(2).unwrap());
    assert_eq!(
        refusal(machine.link(one)),
        "machine server: link: it has no network interface; give it one with the key `vlans`"
    );
    backend.on_one_lan(&["server"], Recorder::new(vec![]), Path::new("/nowhere")).unwrap();
    assert_eq!(refusal(machine.link(two)), "machine server: link: it is not on VLAN 2, only on VLAN 1");
    let link = machine.link(one).unwrap();
    assert_eq!((link.machine(), link.vlan()), ("server", one));
}
