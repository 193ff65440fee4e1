//! Waits for sockets.

use std::time::Duration;

use driver_core::machine::Machine;

use super::super::stage::{SOON, Stage};
use crate::TestResult;

/// Runs Python in the background of a machine. What it writes to `ready` is awaited.
async fn background(machine: &Machine, script: &str) -> TestResult<String> {
    let script = script.replace('\'', "\"");
    let command = format!("rm -f ready; nohup python3 -c '{script}' >/dev/null 2>&1 & echo $! >server");
    machine.succeed(&command, Some(SOON)).await?;
    machine.wait_for_file("ready", SOON).await?;
    Ok(machine.succeed("cat ready", Some(SOON)).await?)
}

pub(in super::super) async fn ports_open_and_close(stage: &Stage) -> TestResult {
    let machine = stage.up().await?;
    let serve = "
import os, socket, time
s = socket.socket()
s.bind(('127.0.0.1', 0))
open('writing', 'w').write(str(s.getsockname()[1]))
os.rename('writing', 'ready')
time.sleep(1)
s.listen()
time.sleep(1000)";
    // It listens a second after it has told its port.
    let port: u16 = background(machine, serve).await?.trim().parse()?;
    machine.wait_for_open_port(port, "localhost", SOON).await?;
    let brief = Duration::from_secs(1);
    let error = machine.wait_for_closed_port(port, "localhost", brief).await.expect_err("it is open").to_string();
    assert!(error.contains(&format!("TCP port {port} on localhost to be closed")), "{error}");
    machine.succeed("kill $(cat server)", Some(SOON)).await?;
    machine.wait_for_closed_port(port, "localhost", SOON).await?;
    let error = machine.wait_for_open_port(port, "127.0.0.1", brief).await.expect_err("it is closed").to_string();
    assert!(error.contains("timed out"), "{error}");
    Ok(())
}

pub(in super::super) async fn unix_sockets_open(stage: &Stage) -> TestResult {
    let machine = stage.up().await?;
    let serve = "
import os, socket, time
for name, kind in (('stream', socket.SOCK_STREAM), ('datagram', socket.SOCK_DGRAM)):
    if os.path.exists(name): os.remove(name)
datagram = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
datagram.bind(os.path.abspath('datagram'))
stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
stream.bind(os.path.abspath('stream'))
open('ready', 'w')
time.sleep(1)
stream.listen()
time.sleep(1000)";
    background(machine, serve).await?;
    let here = machine.succeed("pwd", Some(SOON)).await?;
    let path = |name: &str| format!("{}/{name}", here.trim().trim_end_matches('/'));
    machine.wait_for_open_unix_socket(&path("datagram"), true, SOON).await?;
    machine.wait_for_open_unix_socket(&path("stream"), false, SOON).await?;
    let brief = Duration::from_secs(1);
    // A socket of the other kind is none.
    machine.wait_for_open_unix_socket(&path("stream"), true, brief).await.expect_err("it is a stream");
    machine.wait_for_open_unix_socket(&path("no-such-socket"), false, brief).await.expect_err("there is none");
    machine.succeed("kill $(cat server)", Some(SOON)).await?;
    Ok(())
}
