//! What a script can do with LANs and links.

use driver_core::event::Kind;

use crate::stage::Stage;

/// What was done to networks: the machine it is about, if it is about one, and the words.
fn changes(stage: &Stage) -> Vec<String> {
    let change = |event: driver_core::event::Event| match event.kind {
        Kind::Network { vlan, change, .. } => Some(match event.machine {
            Some(machine) => format!("{machine}: link to vlan {vlan}: {change}"),
            None => format!("vlan {vlan}: {change}"),
        }),
        _ => None,
    };
    stage.events().into_iter().filter_map(change).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_lans_and_links() {
    let stage = Stage::with_lan(&["a-b", "client", "server"]);
    let script = r#"
from datetime import timedelta
vlan1.partition([server], [client, "a-b"])
vlan1.partition([server], (a_b,), one_way=True)
vlan1.isolate(server)
vlan1.isolate("client")
vlan1.heal()
link = server.link(1)
assert repr(link) == "<Link of server to vlan 1>"
link.impair(delay="50ms", jitter="10ms", loss="1%", rate="10mbit", seed=7)
link.impair(delay=0.05, jitter=timedelta(milliseconds=10), distribution="normal", loss=0.07, burst=4, direction="out")
link.impair(delay="2ms", duplicate="1%", reorder="5%", corrupt=0.001, limit=10, direction="in")
link.impair(delay=0.00001)
server.link(vlan1).clear()
link.down()
link.up()
"#;
    stage.pass(script).await;
    let expected = [
        "vlan 1: partition: server | client, a-b",
        "vlan 1: partition: nothing from server to a-b",
        "vlan 1: isolate: server",
        "vlan 1: isolate: client",
        "vlan 1: heal",
        "server: link to vlan 1: delay 50ms, jitter 10ms, loss 1%, rate 10mbit, seed 7 (out and in)",
        "server: link to vlan 1: delay 50ms, jitter 10ms normal, loss 7%, burst 4 (out)",
        "server: link to vlan 1: delay 2ms, duplicate 1%, reorder 5%, corrupt 0.1%, limit 10 (in)",
        "server: link to vlan 1: delay 10µs (out and in)",
        "server: link to vlan 1: clear",
        "server: link to vlan 1: down",
        "server: link to vlan 1: up",
    ];
    assert_eq!(changes(&stage), expected);
    assert_eq!(stage.fake("server").starts(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_recorded_in_their_subtest() {
    let stage = Stage::with_lan(&["server"]);
    stage.pass("with subtest('cut off'):\n    vlan1.isolate(server)\n    server.link(1).down()\n").await;
    let span = stage.span("cut off");
    let inside = stage.events().into_iter().filter(|event| matches!(event.kind, Kind::Network { .. }));
    assert_eq!(inside.map(|event| event.span).collect::<Vec<_>>(), [Some(span), Some(span)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn captures_and_counts() {
    let stage = Stage::with_lan(&["client", "server"]);
    let script = r#"
with vlan1.capture("setup.pcapng", limit="10MB") as c:
    assert c.path == driver.out_dir / "setup.pcapng" and c.path.is_file(), c.path
assert (c.frames, c.dropped) == (0, 0)
d = server.link(1).capture("deep/server.pcapng", limit=100000)
d.stop()
d.stop()
vlan1.capture("setup.pcapng")
stats = vlan1.stats()
assert list(stats) == ["client", "server"], stats
assert stats["server"].sent.frames == 0 and stats["server"].received.bytes == 0
assert server.link(1).stats() == stats["server"]
"#;
    stage.pass(script).await;
    let expected = [
        "vlan 1: capture begins: setup.pcapng",
        "vlan 1: capture ends: setup.pcapng, 0 frames",
        "server: link to vlan 1: capture begins: deep/server.pcapng",
        "server: link to vlan 1: capture ends: deep/server.pcapng, 0 frames",
        "vlan 1: capture begins: setup.pcapng",
    ];
    assert_eq!(changes(&stage), expected);
    // Whoever ran the script finishes what it left.
    assert!(stage.captures.finish().await.is_empty());
    assert_eq!(changes(&stage).last().unwrap(), "vlan 1: capture ends: setup.pcapng, 0 frames");
    assert!(stage.captures.finish().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capture_ends_with_its_block_also_if_that_fails() {
    let stage = Stage::with_lan(&["server"]);
    stage.fail("with vlan1.capture('x.pcapng'):\n    raise ValueError('no')\n").await;
    assert_eq!(changes(&stage).last().unwrap(), "vlan 1: capture ends: x.pcapng, 0 frames");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_asked_of_a_network_is_refused() {
    let stage = Stage::with_lan(&["client", "server"]);
    let script = r#"
from test_driver.errors import RequestedAssertionFailed
link = server.link(1)
REFUSED = RequestedAssertionFailed
TABLE = [
    (REFUSED, vlan1.partition, ([server],), {}, "vlan 1: partition: it takes two groups of machines at least, not 1"),
    (REFUSED, vlan1.partition, ([server], []), {}, "vlan 1: partition: group 2 has no machine"),
    (REFUSED, vlan1.partition, ([server], [server]), {}, "vlan 1: partition: server is in group 1 and in group 2"),
    (REFUSED, vlan1.partition, ([server], ["x"]), {}, "no machine `x` is on it; on it are: client, server"),
    (REFUSED, vlan1.partition, ([server], [client], ["x"]), {"one_way": True}, "one way goes from one group to one other"),
    (TypeError, vlan1.partition, (server, client), {}, "partition(): a group is a list of machines, such as [server]"),
    (TypeError, vlan1.partition, ("server", "client"), {}, "partition(): a group is a list of machines"),
    (TypeError, vlan1.partition, ([3], [4]), {}, "partition(): a machine is given as such or by its name, not int"),
    (REFUSED, vlan1.isolate, ("servr",), {}, "vlan 1: isolate: no machine `servr` is on it; did you mean `server`?"),
    (TypeError, vlan1.isolate, (["server"],), {}, "isolate(): a machine is given as such or by its name, not list"),
    (REFUSED, server.link, (2,), {}, "machine server: link: it is not on VLAN 2, only on VLAN 1"),
    (REFUSED, server.link, (0,), {}, "machine server: link: 0 is no VLAN; use numbers from 1 to 255"),
    (REFUSED, server.link, (-70000,), {}, "machine server: link: -70000 is no VLAN; use numbers from 1 to 255"),
    (TypeError, server.link, ("1",), {}, "link(): a VLAN is given by its number or as vlan1, not str"),
    (TypeError, server.link, (True,), {}, "link(): a VLAN is given by its number or as vlan1, not bool"),
    (REFUSED, link.impair, (), {"delay": "soon"}, "machine server: link to vlan 1: impair: delay: "),
    (REFUSED, link.impair, (), {"delay": -1}, "machine server: link to vlan 1: impair: "),
    (REFUSED, link.impair, (), {"loss": "101%"}, "machine server: link to vlan 1: impair: "),
    (REFUSED, link.impair, (), {"loss": 1.5}, "machine server: link to vlan 1: impair: "),
    (REFUSED, link.impair, (), {"rate": "fast"}, "machine server: link to vlan 1: impair: rate: "),
    (TypeError, link.impair, (), {"delay": True}, "impair(): delay cannot be a bool"),
    (TypeError, link.impair, (), {"loss": [1]}, "impair(): loss cannot be a list"),
    (TypeError, link.impair, (), {"burst": "4"}, "impair(): burst cannot be a str"),
    (TypeError, link.impair, (), {"rate": 10}, 'impair(): rate is a text such as "10mbit", not int'),
    (TypeError, link.impair, (), {"limit": 1.5}, "impair(): limit is a whole number, not float"),
    (TypeError, link.impair, (), {"colour": 1}, "unexpected keyword argument 'colour'"),
    (ValueError, link.impair, (), {"loss": float("nan")}, "impair(): loss must be finite"),
    (ValueError, link.impair, (), {"seed": -1}, "impair(): seed is a number from 0 to 2**63 - 1"),
    (ValueError, link.impair, (), {"direction": "up"}, "impair(): no direction 'up'; there are: both, out, in"),
    (ValueError, link.impair, (), {"distribution": "x"}, "impair(): no distribution 'x'; there are: uniform, normal, pareto"),
    (REFUSED, vlan1.capture, ("../x.pcapng",), {}, "vlan 1: capture: ../x.pcapng is no file below the output directory"),
    (REFUSED, vlan1.capture, ("/x.pcapng",), {}, "vlan 1: capture: /x.pcapng is no file below the output directory"),
    (REFUSED, link.capture, ("events.jsonl",), {}, "does not end with `.pcapng`; name it such as `events.pcapng`"),
    (TypeError, vlan1.capture, (b"x.pcapng",), {}, "capture(): the name of a file is a str"),
    (TypeError, vlan1.capture, ("x.pcapng",), {"limit": 1.5}, "capture(): a limit is a number of bytes or a text, not float"),
    (REFUSED, vlan1.capture, ("x.pcapng",), {"limit": 1000}, "a limit of 1000 bytes is too low; give it at least 65536"),
    (ValueError, vlan1.capture, ("x.pcapng",), {"limit": "10mb"}, "capture(): '10mb' is no size"),
    (ValueError, vlan1.capture, ("x.pcapng",), {"limit": "MB"}, "capture(): 'MB' is no size"),
    (ValueError, vlan1.capture, ("x.pcapng",), {"limit": 0}, "capture(): a limit is more than nothing"),
]
for kind, verb, arguments, named, expected in TABLE:
    with subtest(f"{verb.__name__}{arguments}{named}"):
        try:
            verb(*arguments, **named)
        except kind as error:
            t.assertIn(expected, str(error))
        else:
            raise AssertionError("should have failed")
# The connections are none the worse.
server.succeed("true")
"#;
    stage.pass(script).await;
    assert_eq!(changes(&stage), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_without_lans_has_no_links() {
    let stage = Stage::new(&["server"]);
    let report = stage.fail("server.link(1).down()\n").await;
    assert!(report.contains("machine server: link: it has no network interface"), "{report}");
}
