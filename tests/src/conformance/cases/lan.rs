//! The LAN between machines.

use super::super::stage::{ONE, SOON, Stage, TWO};
use crate::TestResult;

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
    let hear = "rm -f heard; nohup python3 -c \"
import socket
s = socket.socket(type=socket.SOCK_DGRAM)
s.bind(('', 4000))
open('listening', 'w')
said = s.recv(100).decode()
open('heard', 'w').write(said)\" >/dev/null 2>&1 &";
    two.succeed(hear, Some(SOON)).await?;
    two.wait_for_file("listening", SOON).await?;
    let speak = "python3 -c \"
import socket
s = socket.socket(type=socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
s.sendto(b'to all', ('192.168.1.255', 4000))\"";
    one.succeed(speak, Some(SOON)).await?;
    two.wait_until_succeeds("[ \"$(cat heard)\" = 'to all' ]", SOON).await?;
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
