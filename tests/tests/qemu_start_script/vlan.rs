//! A start script's VM on a LAN with a container.

use tandem_tests::stage::{Stage, container};
use tandem_tests::{TestResult, requirement};

use super::PATIENCE;
use super::machines::Guest;

/// Has its LAN's address by the plan, as `box` has the first.
const ADDRESS: &str = "ip address add 192.168.1.2/24 dev eth0; ip link set eth0 up";

/// Sends a file to whoever connects to port 5000, and keeps what comes in at port 5001.
const PEER: &str = r#"
import socket, threading

def give():
    ear = socket.create_server(("", 5000))
    while True:
        peer, _ = ear.accept()
        with peer, open("/tmp/gift", "rb") as gift:
            peer.sendfile(gift)

threading.Thread(target=give).start()
ear = socket.create_server(("", 5001))
while True:
    peer, _ = ear.accept()
    with peer, open("/tmp/taken", "wb") as taken:
        while piece := peer.recv(65536):
            taken.write(piece)
    open("/tmp/done", "w")
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn qemu_start_scripts_plug_themselves_in() -> TestResult {
    if !requirement::virtual_machines() {
        return Ok(());
    }
    let guest = Guest::make()?;
    let mut vm = guest.machine("vm", &format!("{}.4d", std::process::id()))?;
    vm.vlans = container("box").vlans;
    let stage = Stage::boot(vec![container("box"), vm]).await?;
    let (other, vm) = (stage.machine("box"), stage.machine("vm"));
    let environment = guest.seen("vm", "environment")?;
    let directory = environment.iter().find_map(|line| line.strip_prefix("QEMU_VDE_SOCKET_1="));
    let directory = std::path::PathBuf::from(directory.ok_or("no QEMU_VDE_SOCKET_1")?);
    assert!(directory.starts_with(stage.run().directory()) && directory.join("ctl").exists(), "{directory:?}");
    assert!(!environment.iter().any(|line| line.starts_with("QEMU_VDE_SOCKET_2=")));

    vm.succeed(ADDRESS, None).await?;
    assert_eq!(vm.succeed("cat /sys/class/net/eth0/address", None).await?, "52:54:00:12:01:02\n");
    vm.succeed("ping -c 1 192.168.1.1", None).await?;
    other.succeed("ping -4 -c 1 vm", None).await?;

    let serve = format!(
        "head -c 8M /dev/urandom >/tmp/gift; cat >/tmp/peer.py <<'END'\n{PEER}\nEND\n\
         systemd-run --quiet --unit=peer python3 /tmp/peer.py"
    );
    other.succeed(&serve, None).await?;
    other.wait_for_open_port(5001, "localhost", PATIENCE).await?;
    other.succeed("rm -f /tmp/done", None).await?;
    vm.succeed("cat </dev/tcp/192.168.1.1/5000 >/tmp/gift && cat /tmp/gift >/dev/tcp/192.168.1.1/5001", None).await?;
    other.wait_for_file("/tmp/done", PATIENCE).await?;
    other.succeed("cmp /tmp/gift /tmp/taken && test $(stat -c %s /tmp/taken) = $((8 << 20))", None).await?;

    vm.block().await?;
    other.fail("ping -4 -c 1 -W 1 vm", None).await?;
    assert_eq!(vm.succeed("cat /sys/class/net/eth0/carrier", None).await?, "0\n");
    vm.unblock().await?;
    other.wait_until_succeeds("ping -4 -c 1 -W 1 vm", PATIENCE).await?;

    // A cable that was pulled is in its place again, in another directory.
    vm.block().await?;
    vm.crash().await?;
    vm.start().await?;
    vm.succeed(ADDRESS, None).await?;
    other.wait_until_succeeds("ping -4 -c 1 -W 1 vm", PATIENCE).await?;
    assert!(!guest.seen("vm", "environment")?.contains(&format!("QEMU_VDE_SOCKET_1={}", directory.display())));
    assert!(!directory.exists());
    drop((other, vm));
    stage.finish().await
}
