//! Machines on LANs.

use std::time::Duration;

use driver_core::spec::VlanId;
use futures::future::try_join;
use tandem_tests::stage::{Stage, container};
use tandem_tests::{TestResult, requirement};

const SOON: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_containers_reach_each_other_by_name() -> TestResult {
    if !requirement::containers_and("python3") {
        return Ok(());
    }
    let stage = Stage::boot(vec![container("client"), container("server")]).await?;
    let (client, server) = (stage.machine("client"), stage.machine("server"));
    server.succeed("mkdir /srv/page && echo hello > /srv/page/index.html", None).await?;
    let serve = "systemd-run --unit web --working-directory /srv/page python3 -m http.server --bind :: 80";
    server.succeed(serve, None).await?;
    client.wait_for_open_port(80, "server", SOON).await?;
    // By name over both protocols, as /etc/hosts has it.
    for (family, address) in [("AF_INET", "192.168.1.2"), ("AF_INET6", "2001:db8:1::2")] {
        let fetch = format!(
            "python3 -c \"
import socket
[(*_, address)] = socket.getaddrinfo('server', 80, socket.{family}, socket.SOCK_STREAM)
with socket.create_connection(address[:2]) as s:
    s.sendall(b'GET / HTTP/1.0\\r\\n\\r\\n')
    print(address[0], s.makefile().read().splitlines()[-1])\""
        );
        assert_eq!(client.succeed(&fetch, Some(SOON)).await?, format!("{address} hello\n"));
    }
    assert_eq!(client.succeed("hostname", None).await?, "client\n");

    server.block().await?;
    client.fail("timeout 1 bash -c '</dev/tcp/server/80'", None).await?;
    server.unblock().await?;
    client.wait_for_open_port(80, "server", SOON).await?;
    drop((client, server));
    stage.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broadcast_reaches_its_vlan_and_no_other() -> TestResult {
    if !requirement::containers_and("python3") {
        return Ok(());
    }
    let vlan = |number| VlanId::new(number).expect("it is between 1 and 255");
    let mut machines = vec![container("apart"), container("listener"), container("speaker")];
    machines[0].vlans = vec![vlan(2)];
    machines[2].vlans = vec![vlan(1), vlan(2)];
    let stage = Stage::boot(machines).await?;
    let listen = |seconds: u8| {
        format!(
            "python3 -c \"
import socket
s = socket.socket(type=socket.SOCK_DGRAM)
s.bind(('', 4000))
s.settimeout({seconds})
open('/run/listening', 'w')
print(s.recv(100).decode())\""
        )
    };
    let speak = "python3 -c \"
import socket
s = socket.socket(type=socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
s.sendto(b'to all', ('192.168.1.255', 4000))\"";
    let (apart, listener, speaker) = (stage.machine("apart"), stage.machine("listener"), stage.machine("speaker"));
    let (heard, not_heard) = (listen(20), listen(2));
    let hear = try_join(listener.succeed(&heard, Some(SOON)), apart.fail(&not_heard, Some(SOON)));
    let speak = async {
        try_join(listener.wait_for_file("/run/listening", SOON), apart.wait_for_file("/run/listening", SOON)).await?;
        speaker.succeed(speak, None).await
    };
    let ((said, _), _) = try_join(hear, speak).await?;
    assert_eq!(said, "to all\n");
    drop((apart, listener, speaker));
    stage.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_sees_its_own_interfaces_only() -> TestResult {
    if !requirement::containers() {
        return Ok(());
    }
    let mut alone = container("alone");
    alone.vlans = Vec::new();
    let stage = Stage::boot(vec![alone, container("on-one")]).await?;
    for (machine, interfaces) in [("alone", "lo\n"), ("on-one", "eth1\nlo\n")] {
        let machine = stage.machine(machine);
        let seen =
            machine.succeed("tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' ' | grep -v tunl | sort", None).await?;
        assert_eq!(seen, interfaces);
        machine.fail("awk '$2 == \"00000000\"' /proc/net/route | grep .", None).await?;
        assert_eq!(
            machine.succeed("cd /sys/class/net; for name in *; do [ ! -L $name ] || echo $name; done", None).await?,
            seen
        );
    }
    stage.finish().await
}
