//! Two machines on one VLAN by VDE, and ways to ports of theirs.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use tandem_tests::stage::Stage;
use tandem_tests::upstream::vm::{Machine, Machines};
use tandem_tests::{TestResult, requirement};

use super::PATIENCE;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upstream_vm_meets_another_on_a_vlan() -> TestResult {
    let Some(guest) = requirement::upstream_vm() else { return Ok(()) };
    let machines = Machines::new(guest)?;
    let one = Machine { vlans: &[1, 2], ..Machine::new("one") };
    let two = Machine { vlans: &[1], node: 2, ..Machine::new("two") };
    let stage = Stage::boot(vec![machines.spec(&one)?, machines.spec(&two)?]).await?;
    let (one, two) = (stage.machine("one"), stage.machine("two"));
    let addresses = one.succeed("ip -brief -4 address | awk '{print $1, $3}'", None).await?;
    assert_eq!(addresses, "lo 127.0.0.1/8\neth0 10.0.2.15/24\neth1 192.168.1.1/24\neth2 192.168.2.1/24\n");
    assert_eq!(two.succeed("cat /sys/class/net/eth1/address", None).await?, "52:54:00:12:01:02\n");
    one.wait_until_succeeds("ping -c 1 192.168.1.2", PATIENCE).await?;
    two.wait_until_succeeds("ping -6 -c 1 2001:db8:1::1", PATIENCE).await?;

    // A connection from the host, to a port of the machine's own.
    two.succeed("systemd-run --quiet --unit=hello socat TCP-LISTEN:8000,fork,reuseaddr SYSTEM:'echo hello; cat'", None)
        .await?;
    two.wait_for_open_port(8000, "localhost", PATIENCE).await?;
    one.succeed("exec 3<>/dev/tcp/192.168.1.2/8000; read -r line <&3; test $line = hello", None).await?;
    let address = two.forward_port(0, 8000).await?;
    let mut connection = tokio::task::spawn_blocking(move || {
        let connection = TcpStream::connect(address)?;
        connection.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok::<_, std::io::Error>(connection)
    })
    .await??;
    let mut said = [0; 6];
    connection.read_exact(&mut said)?;
    connection.write_all(b"again\n")?;
    connection.read_exact(&mut said)?;
    assert_eq!(&said, b"again\n");

    // The first VLAN's plug, and no other: neither the network of QEMU's own nor the second VLAN.
    one.block().await?;
    one.wait_until_succeeds("test $(cat /sys/class/net/eth1/carrier) = 0", PATIENCE).await?;
    let carriers = one.succeed("cat /sys/class/net/eth0/carrier /sys/class/net/eth2/carrier", None).await?;
    assert_eq!(carriers, "1\n1\n");
    one.fail("ping -c 1 -W 2 192.168.1.2", None).await?;
    one.unblock().await?;
    one.wait_until_succeeds("ping -c 1 -W 2 192.168.1.2", PATIENCE).await?;
    drop((one, two));
    stage.finish().await
}
