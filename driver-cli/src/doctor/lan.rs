//! What the kernel makes of a LAN, found out by making one in a network namespace that is gone at once.

use std::sync::Arc;
use std::time::Duration;

use driver_core::need::{Cure, Need, Place, Verdict, nix};
use driver_core::spec::Lan;
use netbridge::{Interface, InterfaceName, Kind, Namespace, Segment};
use tokio::time::timeout;

const GROUP: &str = "LANs";

/// How long the kernel may take.
const PATIENCE: Duration = Duration::from_secs(10);

const NAMESPACE: (&str, &str) = ("network namespace", "LANs are in one of the run's own");
const BRIDGE: (&str, &str) = ("bridge", "it carries the frames of a LAN");
const VETH: (&str, &str) = ("veth", "they join containers to LANs");
const TUN: (&str, &str) = ("/dev/net/tun", "it joins VMs to LANs at the kernel's speed");

/// What there is for LANs of this kind.
pub(crate) async fn needs(lan: Lan) -> Vec<Need> {
    let probed = timeout(PATIENCE, probe(lan)).await;
    probed.unwrap_or_else(|_| {
        let found = format!("the kernel had not made one after {} s", PATIENCE.as_secs());
        vec![lacking(BRIDGE, found, Cure::default(), lan)]
    })
}

async fn probe(lan: Lan) -> Vec<Need> {
    let namespace = match Namespace::new().await {
        Ok(namespace) => Arc::new(namespace),
        Err(error) => {
            let found = format!("{error}: LANs are switches in user space, and join VMs only");
            return vec![lacking(NAMESPACE, found, Cure::new("become root, as stands above"), lan)];
        }
    };
    let Ok(name) = InterfaceName::new("tandem0") else { return Vec::new() };
    let segment = Segment::automatic(Some(namespace), name).await;
    let bridge = match segment.kind() {
        Kind::Bridge => Need::ok(GROUP, BRIDGE.0, BRIDGE.1, "the kernel has bridges"),
        Kind::Switch { why } => {
            let found = format!("{why}: a switch in user space does it, which is slower");
            lacking(BRIDGE, found, Cure::module("load the module", "bridge"), lan)
        }
    };
    vec![bridge, veth(&segment).await, tun(&segment).await]
}

async fn veth(segment: &Segment) -> Need {
    let made = async {
        let guest = Namespace::new().await?;
        let interface = Interface { name: InterfaceName::new("eth1")?, mac: None, addresses: Vec::new(), mtu: None };
        segment.veth(InterfaceName::new("veth")?, &guest, &interface).await.map(drop)
    };
    match made.await {
        Ok(()) => Need::ok(GROUP, VETH.0, VETH.1, "the kernel has pairs of them"),
        Err(error) => {
            let found = format!("{error}: containers must have `vlans = []`");
            Need::limited(GROUP, VETH.0, VETH.1, found, Cure::module("load the module", "veth"))
        }
    }
}

async fn tun(segment: &Segment) -> Need {
    let made = async { segment.tap(InterfaceName::new("probe")?).await.map(drop) };
    let Err(error) = made.await else { return Need::ok(GROUP, TUN.0, TUN.1, "taps can be made") };
    let cure = match Place::current() {
        Place::NixBuild => nix::devnet("have the builder show /dev/net to its builds, if they are to be fast"),
        _ => Cure::module("load the module, and let the driver's user open the device", "tun"),
    };
    let found = format!("{error}: VMs are joined by sockets, which is slower");
    Need::limited(GROUP, TUN.0, TUN.1, found, cure)
}

/// Something without which a switch does the work, unless the test has none but bridges.
fn lacking((name, purpose): (&str, &str), found: String, cure: Cure, lan: Lan) -> Need {
    let need = Need::limited(GROUP, name, purpose, found, cure);
    let verdict = if lan == Lan::Bridge { Verdict::Missing } else { need.verdict };
    Need { verdict, ..need }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bridge_is_missing_only_where_nothing_else_will_do() {
        let verdict = |lan| lacking(BRIDGE, "none".into(), Cure::default(), lan).verdict;
        assert_eq!(
            [Lan::Auto, Lan::Switch, Lan::Bridge].map(verdict),
            [Verdict::Limited, Verdict::Limited, Verdict::Missing]
        );
    }
}
