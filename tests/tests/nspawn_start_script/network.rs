//! Start scripts' containers on LANs.

use std::time::Duration;

use driver_core::spec::VlanId;
use tandem_tests::stage::{Stage, container, vm};
use tandem_tests::upstream::Container;
use tandem_tests::{TestResult, requirement};

use super::PATIENCE;
use super::machines::Scripts;

/// An emulated machine takes long to boot on a busy host.
const BOOT: Duration = Duration::from_secs(180);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nspawn_start_scripts_plug_themselves_in() -> TestResult {
    if !requirement::containers() {
        return Ok(());
    }
    let scripts = Scripts::make()?;
    let hosts = [("one", 1), ("own", 2), ("two", 3)].map(|(name, node)| (name.to_owned(), node)).to_vec();
    let one = Container { hosts: hosts.clone(), ..Container::new("one", 1, &[1, 7]) };
    let two = Container { hosts, ..Container::new("two", 3, &[1]) };
    let stage = Stage::boot(vec![scripts.boots(&one)?, scripts.boots(&two)?, container("own")]).await?;
    let (one, two, own) = (stage.machine("one"), stage.machine("two"), stage.machine("own"));
    let ping = |host: &str| format!("ping -c 1 -W 5 {host}");
    // Between themselves, and with a container of ours, by both protocols, and by name.
    one.wait_until_succeeds(&ping("192.168.1.3"), PATIENCE).await?;
    for host in ["two", "192.168.1.2", "2001:db8:1::2", "2001:db8:1::3", "192.168.1.254", "2001:db8:1::fe"] {
        one.succeed(&ping(host), None).await?;
    }
    two.succeed(&ping("192.168.1.1"), None).await?;
    own.succeed(&format!("{} && {}", ping("192.168.1.1"), ping("2001:db8:1::3")), None).await?;
    // The other VLAN is another one.
    one.succeed(&ping("192.168.7.254"), None).await?;
    assert_eq!(
        one.succeed("ls /sys/class/net; cat /sys/class/net/eth2/operstate", None).await?,
        "eth1\neth2\nlo\nup\n"
    );
    two.fail("ping -c 1 -W 1 192.168.7.1", None).await?;
    assert!(!one.console_log().contains("not found; container will be isolated"), "{}", one.console_log());

    // A machine's link is its own.
    let id = VlanId::new(1).ok_or("1 is a VLAN")?;
    let vlan = stage.run().vlan(id).ok_or("there is no VLAN 1")?;
    vlan.partition(&[vec!["one"], vec!["two"]]).await?;
    one.fail("ping -c 1 -W 1 two", None).await?;
    one.succeed(&ping("own"), None).await?;
    two.succeed(&ping("own"), None).await?;
    vlan.heal().await?;
    one.wait_until_succeeds(&ping("two"), PATIENCE).await?;
    one.block().await?;
    own.fail("ping -4 -c 1 -W 1 192.168.1.1", None).await?;
    own.succeed(&ping("192.168.1.3"), None).await?;
    one.unblock().await?;
    own.wait_until_succeeds(&ping("192.168.1.1"), PATIENCE).await?;
    assert!(vlan.stats().await?["one"].out.frames > 0);
    drop((one, two, own));
    stage.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nspawn_start_scripts_of_two_runs_do_not_meet() -> TestResult {
    if !requirement::containers() {
        return Ok(());
    }
    let (here, there) = (Scripts::make()?, Scripts::make()?);
    // All names are the same, and so are the VLANs.
    let spec = |scripts: &Scripts, node| scripts.machine("box", node, &[1]);
    let (first, second) = tokio::join!(Stage::boot(vec![spec(&here, 1)?]), Stage::boot(vec![spec(&there, 2)?]));
    let (first, second) = (first?, second?);
    let (one, two) = (first.machine("box"), second.machine("box"));
    one.succeed("ping -c 1 -W 5 192.168.1.254", None).await?;
    one.fail("ping -c 1 -W 1 192.168.1.2", Some(Duration::from_secs(30))).await?;
    two.fail("ping -c 1 -W 1 192.168.1.1", Some(Duration::from_secs(30))).await?;
    // The end of one is not the other's.
    drop(one);
    first.finish().await?;
    two.succeed("ping -c 1 -W 5 192.168.1.254", None).await?;
    drop(two);
    second.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nspawn_start_scripts_and_vms_are_on_one_lan() -> TestResult {
    if !requirement::virtual_machines() {
        return Ok(());
    }
    let scripts = Scripts::make()?;
    let stage = Stage::boot(vec![scripts.machine("box", 1, &[1])?, vm("vm")]).await?;
    let (scripted, vm) = (stage.machine("box"), stage.machine("vm"));
    vm.wait_until_succeeds("ping -4 -c 1 -W 5 box", BOOT).await?;
    scripted.succeed("ping -c 1 -W 5 192.168.1.2 && ping -c 1 -W 5 2001:db8:1::2", None).await?;
    // A container that starts again is there again.
    scripted.crash().await?;
    vm.fail("ping -4 -c 1 -W 1 box", None).await?;
    scripted.start().await?;
    vm.wait_until_succeeds("ping -4 -c 1 -W 5 box", PATIENCE).await?;
    drop((scripted, vm));
    stage.finish().await
}
