//! The LAN between machines.

use std::path::Path;
use std::time::Duration;

use driver_core::lan::{CaptureOptions, Direction, Impairment, Link, Vlan};
use driver_core::machine::Machine;

use super::super::stage::{ONE, SOON, Stage, TWO};
use crate::{TestResult, pcapng};

pub(in super::super) async fn machines_know_and_reach_each_other(stage: &Stage) -> TestResult {
    let (one, two) = (stage.up().await?, stage.two());
    for (machine, name, other) in [(one, ONE, TWO), (two, TWO, ONE)] {
        assert_eq!(machine.succeed("hostname", Some(SOON)).await?, format!("{name}\n"));
        for family in ["-4", "-6"] {
            machine.succeed(&format!("ping {family} -c 1 -W 10 {other}"), Some(SOON)).await?;
        }
    }
    Ok(())
}

pub(in super::super) async fn interfaces_are_those_of_the_plan(stage: &Stage) -> TestResult {
    let machine = stage.up().await?;
    let seen = machine.succeed("cat /sys/class/net/eth1/address; getent hosts one; getent ahostsv4 two | head -n 1; ip -o address show eth1 scope global | wc -l", Some(SOON)).await?;
    let words: Vec<&str> = seen.split_whitespace().collect();
    for expected in ["52:54:00:12:01:01", "2001:db8:1::1", "192.168.1.2", "2"] {
        assert!(words.contains(&expected), "{expected}: {seen}");
    }
    Ok(())
}

pub(in super::super) async fn broadcasts_are_heard(stage: &Stage) -> TestResult {
    let (one, two) = (stage.up().await?, stage.two());
    hear(two).await?;
    speak(one, "to all").await?;
    two.wait_until_succeeds("[ \"$(cat heard)\" = 'to all' ]", SOON).await?;
    Ok(())
}

/// Has a machine write the next broadcast to the file `heard`.
async fn hear(machine: &Machine) -> TestResult {
    let hear = "rm -f heard listening; nohup python3 -c \"
import socket
s = socket.socket(type=socket.SOCK_DGRAM)
s.bind(('', 4000))
open('listening', 'w')
said = s.recv(100).decode()
open('heard', 'w').write(said)\" >/dev/null 2>&1 &";
    machine.succeed(hear, Some(SOON)).await?;
    machine.wait_for_file("listening", SOON).await?;
    Ok(())
}

/// Has a machine broadcast some words.
async fn speak(machine: &Machine, words: &str) -> TestResult {
    let speak = format!(
        "python3 -c \"
import socket
s = socket.socket(type=socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
s.sendto(b'{words}', ('192.168.1.255', 4000))\""
    );
    machine.succeed(&speak, Some(SOON)).await?;
    Ok(())
}

/// The LAN of both machines, and the first one's link to it.
fn lan(stage: &Stage) -> TestResult<(&Vlan, Link)> {
    let vlan = stage.run().vlans().first().ok_or("there is no LAN")?;
    Ok((vlan, stage.one().link(vlan.id())?))
}

pub(in super::super) async fn a_partition_holds_until_it_is_healed(stage: &Stage) -> TestResult {
    let (one, two) = (stage.up().await?, stage.two());
    let (vlan, _) = lan(stage)?;
    two.succeed("ping -c 1 -W 10 one", Some(SOON)).await?;
    for isolate in [false, true] {
        if isolate {
            vlan.isolate(ONE).await?;
        } else {
            vlan.partition(&[vec![ONE], vec![TWO]]).await?;
        }
        one.fail("ping -c 1 -W 1 two", Some(SOON)).await?;
        two.fail("ping -c 1 -W 1 one", Some(SOON)).await?;
        vlan.heal().await?;
        two.wait_until_succeeds("ping -c 1 -W 1 one", SOON).await?;
    }
    Ok(())
}

pub(in super::super) async fn a_partition_can_be_one_way(stage: &Stage) -> TestResult {
    let (one, two) = (stage.up().await?, stage.two());
    let (vlan, _) = lan(stage)?;
    vlan.partition_one_way(&[ONE], &[TWO]).await?;
    hear(two).await?;
    speak(one, "not to two").await?;
    // Who speaks hears himself, too.
    hear(one).await?;
    speak(two, "to one").await?;
    for machine in [one, two] {
        machine.wait_until_succeeds("[ \"$(cat heard)\" = 'to one' ]", SOON).await?;
    }
    vlan.heal().await?;
    hear(two).await?;
    speak(one, "to two").await?;
    two.wait_until_succeeds("[ \"$(cat heard)\" = 'to two' ]", SOON).await?;
    two.wait_until_succeeds("ping -c 1 -W 1 one", SOON).await?;
    Ok(())
}

pub(in super::super) async fn a_link_delays_and_loses_what_it_is_told(stage: &Stage) -> TestResult {
    let (_, two) = (stage.up().await?, stage.two());
    let (_, link) = lan(stage)?;
    // Neighbours know each other before anything is slow.
    two.succeed("ping -c 1 -W 10 one", Some(SOON)).await?;
    let slow = Impairment { delay: Duration::from_millis(300), ..Impairment::default() };
    link.impair(Direction::Both, &slow).await?;
    let said = two.succeed("ping -c 1 -W 30 one", Some(SOON)).await?;
    let took: f64 = said.split("time=").nth(1).and_then(|rest| rest.split(' ').next()).ok_or("no time")?.parse()?;
    assert!(took >= 600.0, "{took} ms");
    let lossy = Impairment { loss: 1.0, ..Impairment::default() };
    link.impair(Direction::Out, &lossy).await?;
    link.impair(Direction::In, &Impairment::default()).await?;
    two.fail("ping -c 2 -W 1 one", Some(SOON)).await?;
    assert!(link.stats().await?.out.lost > 0, "{:?}", link.stats().await?);
    link.clear().await?;
    two.wait_until_succeeds("ping -c 1 -W 1 one", SOON).await?;
    Ok(())
}

pub(in super::super) async fn a_link_goes_down_and_up(stage: &Stage) -> TestResult {
    let (_, two) = (stage.up().await?, stage.two());
    let (_, link) = lan(stage)?;
    link.down().await?;
    two.fail("ping -c 1 -W 1 one", Some(SOON)).await?;
    // Twice is once.
    link.down().await?;
    link.up().await?;
    two.wait_until_succeeds("ping -c 1 -W 1 one", SOON).await?;
    Ok(())
}

pub(in super::super) async fn a_capture_has_what_passed_and_the_counts_too(stage: &Stage) -> TestResult {
    let (_, two) = (stage.up().await?, stage.two());
    let (vlan, link) = lan(stage)?;
    let before = link.stats().await?;
    let whole = vlan.capture(Path::new("lan/whole.pcapng"), CaptureOptions::default()).await?;
    let own = link.capture(Path::new("lan/one.pcapng"), CaptureOptions::default()).await?;
    let paths = [whole.path().to_owned(), own.path().to_owned()];
    two.succeed("ping -c 3 -i 0.2 -W 10 one", Some(SOON)).await?;
    for (capture, path) in [whole, own].into_iter().zip(paths) {
        let summary = capture.finish().await?;
        // Three requests, three replies, and whatever else machines say to each other.
        assert!(summary.frames >= 6 && summary.dropped == 0, "{summary:?}");
        assert_eq!(pcapng::frames(&path)?, summary.frames);
        assert!(path.starts_with(stage.output().canonicalize()?), "{}", path.display());
    }
    let after = vlan.stats().await?;
    assert_eq!(after.keys().collect::<Vec<_>>(), [ONE, TWO]);
    assert!(after[ONE].out.frames >= before.out.frames + 3 && after[ONE].r#in.frames >= before.r#in.frames + 3);
    assert!(after[TWO].out.bytes > 3 * 64, "{after:?}");
    Ok(())
}

pub(in super::super) async fn a_blocked_machine_is_cut_off_until_it_is_unblocked(stage: &Stage) -> TestResult {
    let (one, two) = (stage.up().await?, stage.two());
    two.succeed("ping -c 1 -W 10 one", Some(SOON)).await?;
    one.block().await?;
    two.fail("ping -c 1 -W 1 one", Some(SOON)).await?;
    // Twice is once.
    one.block().await?;
    one.unblock().await?;
    two.wait_until_succeeds("ping -c 1 -W 1 one", SOON).await?;
    Ok(())
}

pub(in super::super) async fn the_network_can_be_unplugged(stage: &Stage) -> TestResult {
    stage.up().await?;
    let guest = stage.guest()?;
    let cable = guest.cable().ok_or("it has no cable")?;
    for (plugged, carrier) in [(false, "0"), (true, "1"), (true, "1"), (false, "0"), (true, "1")] {
        cable.set(0, plugged).await?;
        stage.until(&format!("[ $(cat /sys/class/net/eth1/carrier) = {carrier} ]")).await?;
    }
    let error = cable.set(7, false).await.expect_err("it has one interface");
    assert!(error.to_string().contains("no interface number 8"), "{error}");
    Ok(())
}

pub(in super::super) async fn a_port_of_the_host_leads_into_the_machine(stage: &Stage) -> TestResult {
    use std::io::{Read, Write};

    let machine = stage.up().await?;
    let serve = "nohup python3 -c \"
import socket
s = socket.create_server(('', 8100))
while True:
    c, _ = s.accept()
    c.sendall(c.recv(100).upper())
    c.close()\" >/dev/null 2>&1 & echo $! >server";
    machine.succeed(serve, Some(SOON)).await?;
    machine.wait_for_open_port(8100, "localhost", SOON).await?;
    let address = machine.forward_port(0, 8100).await?;
    assert!(address.ip().is_loopback(), "{address}");
    let talk = tokio::task::spawn_blocking(move || {
        let mut stream = std::net::TcpStream::connect(address)?;
        stream.set_read_timeout(Some(SOON))?;
        stream.write_all(b"hello")?;
        let mut said = String::new();
        stream.read_to_string(&mut said).map(|_| said)
    });
    assert_eq!(talk.await??, "HELLO");
    let error = machine.forward_port(address.port(), 22).await.expect_err("it is in use").to_string();
    assert!(error.contains("forward_port") && error.contains(machine.name()), "{error}");
    machine.succeed("kill $(cat server)", Some(SOON)).await?;
    Ok(())
}
