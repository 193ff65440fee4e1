//! The network plan: which machine has which addresses on which VLAN.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicU32, Ordering};

use netbridge::{InterfaceName, PortName};
use serde::{Deserialize, Serialize};

use crate::spec::{MachineSpec, VlanId};

/// The most machines that a test can have: 192.168.VLAN.255 is the broadcast address.
pub const MAX_MACHINES: usize = 254;

/// One network interface of a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// The VLAN it is on.
    pub vlan: VlanId,
    /// Its name in the guest: `eth1`, `eth2`, ...
    pub interface: String,
    /// Its MAC address: 52:54:00:12:VLAN:NODE.
    pub mac: [u8; 6],
    /// 192.168.VLAN.NODE, with a prefix of 24 bits.
    pub ipv4: Ipv4Addr,
    /// `2001:db8:VLAN::NODE` with both numbers pasted in as decimal text, with a prefix of 64 bits.
    pub ipv6: Ipv6Addr,
}

impl Attachment {
    /// The name of the port by which `machine`, whose interface this is, joins its LAN.
    ///
    /// The port is another one each time, because that of an earlier boot goes only a moment after its machine. The link has the machine's
    /// name, so that it keeps its faults over boots.
    pub fn port(&self, machine: &str) -> PortName {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let [.., vlan, node] = self.mac;
        let interface = format!("v{vlan}n{node}-{}", NEXT.fetch_add(1, Ordering::Relaxed) % 1_000_000);
        PortName::new(InterfaceName::new(interface).expect("it is at most 15 letters, digits and dashes"), machine)
    }
}

/// One line of a machine's `/etc/hosts`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostEntry {
    /// The address.
    pub address: IpAddr,
    /// The machine's name.
    pub name: String,
}

/// The addresses of all machines of a test.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkPlan {
    machines: BTreeMap<String, Vec<Attachment>>,
}

/// More machines than the VLANs have addresses for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} machines, but a VLAN has addresses for no more than {MAX_MACHINES}")]
pub struct TooManyMachines(pub usize);

/// Gives each machine its addresses. The machines' order does not matter: they are numbered from 1 by their sorted names.
pub fn plan(machines: &[MachineSpec]) -> Result<NetworkPlan, TooManyMachines> {
    if machines.len() > MAX_MACHINES {
        return Err(TooManyMachines(machines.len()));
    }
    let sorted: BTreeMap<&str, &MachineSpec> =
        machines.iter().map(|machine| (machine.name.as_str(), machine)).collect();
    let machines =
        (1..).zip(sorted).map(|(node, (name, machine))| (name.to_owned(), attachments(node, &machine.vlans)));
    Ok(NetworkPlan { machines: machines.collect() })
}

/// The interfaces of the machine with this number.
pub(crate) fn attachments(node: u8, vlans: &[VlanId]) -> Vec<Attachment> {
    let attachment = |(index, vlan): (usize, &VlanId)| {
        let number = vlan.number();
        Attachment {
            vlan: *vlan,
            interface: format!("eth{}", index + 1),
            mac: [0x52, 0x54, 0x00, 0x12, number, node],
            ipv4: Ipv4Addr::new(192, 168, number, node),
            ipv6: Ipv6Addr::new(0x2001, 0xdb8, decimal(number), 0, 0, 0, 0, decimal(node)),
        }
    };
    vlans.iter().enumerate().map(attachment).collect()
}

/// The 16 bits that IPv6 reads from the decimal text of `number`: 10 becomes 0x10.
fn decimal(number: u8) -> u16 {
    let digit = |unit: u8| u16::from(number / unit % 10);
    digit(100) << 8 | digit(10) << 4 | digit(1)
}

impl NetworkPlan {
    /// The interfaces of a machine, `eth1` first. None for a machine that the plan does not know.
    pub fn attachments(&self, machine: &str) -> &[Attachment] {
        self.machines.get(machine).map_or(&[], Vec::as_slice)
    }

    /// All VLANs that some machine is on.
    pub fn vlans(&self) -> BTreeSet<VlanId> {
        self.machines.values().flatten().map(|attachment| attachment.vlan).collect()
    }

    /// How `machine` resolves the names of all machines, its own included: to the address on the first of its VLANs that the other is on
    /// too. A machine that shares none is given by its first address, which `machine` cannot reach, and one without VLANs not at all.
    pub fn hosts(&self, machine: &str) -> Vec<HostEntry> {
        let own = self.attachments(machine);
        let entries = |(name, others): (&String, &Vec<Attachment>)| {
            let shared = own.iter().find_map(|here| others.iter().find(|there| there.vlan == here.vlan));
            let entry = |address: IpAddr| HostEntry { address, name: name.clone() };
            shared.or(others.first()).map(|there| [entry(there.ipv4.into()), entry(there.ipv6.into())])
        };
        self.machines.iter().filter_map(entries).flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(name: &str, vlans: &[u16]) -> MachineSpec {
        MachineSpec {
            vlans: vlans.iter().map(|vlan| VlanId::new(*vlan).unwrap()).collect(),
            ..MachineSpec::new(name, "container")
        }
    }

    fn addresses(plan: &NetworkPlan, machine: &str) -> Vec<String> {
        let line = |a: &Attachment| {
            let mac: Vec<_> = a.mac.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{} vlan {} {} {} {}", a.interface, a.vlan, mac.join(":"), a.ipv4, a.ipv6)
        };
        plan.attachments(machine).iter().map(line).collect()
    }

    fn hosts(plan: &NetworkPlan, machine: &str) -> Vec<String> {
        plan.hosts(machine).iter().map(|entry| format!("{} {}", entry.address, entry.name)).collect()
    }

    #[test]
    fn nodes_are_numbered_by_name_and_interfaces_by_the_order_of_vlans() {
        let plan = plan(&[machine("server", &[1]), machine("client", &[12, 1]), machine("alone", &[])]).unwrap();
        assert_eq!(addresses(&plan, "alone"), [""; 0]);
        assert_eq!(
            addresses(&plan, "client"),
            [
                "eth1 vlan 12 52:54:00:12:0c:02 192.168.12.2 2001:db8:12::2",
                "eth2 vlan 1 52:54:00:12:01:02 192.168.1.2 2001:db8:1::2",
            ]
        );
        assert_eq!(addresses(&plan, "server"), ["eth1 vlan 1 52:54:00:12:01:03 192.168.1.3 2001:db8:1::3"]);
        assert_eq!(addresses(&plan, "stranger"), [""; 0]);
        assert_eq!(plan.vlans().into_iter().map(VlanId::number).collect::<Vec<_>>(), [1, 12]);
    }

    #[test]
    fn ports_are_new_each_time_and_links_are_not() {
        let last = &plan(&[machine("server", &[255])]).unwrap().attachments("server")[0].clone();
        let last = Attachment { mac: [0x52, 0x54, 0x00, 0x12, 255, 254], ..last.clone() };
        let (one, other) = (last.port("server"), last.port("server"));
        assert_ne!(one, other);
        assert!(format!("{one:?}").contains("server") && format!("{other:?}").contains("server"));
    }

    #[test]
    fn ipv6_addresses_hold_decimal_text() {
        let machines: Vec<_> = (1..=254).map(|n| machine(&format!("m{n:03}"), &[255])).collect();
        let plan = plan(&machines).unwrap();
        for (name, text) in [("m009", "2001:db8:255::9"), ("m010", "2001:db8:255::10"), ("m254", "2001:db8:255::254")] {
            assert_eq!(plan.attachments(name)[0].ipv6.to_string(), text);
        }
    }

    #[test]
    fn more_machines_than_addresses_are_refused() {
        let machines: Vec<_> = (1..=255).map(|n| machine(&format!("m{n}"), &[1])).collect();
        assert_eq!(plan(&machines).unwrap_err(), TooManyMachines(255));
    }

    #[test]
    fn names_resolve_to_an_address_that_both_can_reach() {
        let plan = plan(&[
            machine("a", &[2, 1]),
            machine("b", &[1, 2]),
            machine("c", &[3, 1]),
            machine("d", &[4]),
            machine("e", &[]),
        ])
        .unwrap();
        let table: &[(&str, &[&str])] = &[
            ("a", &["192.168.2.1 a", "192.168.2.2 b", "192.168.1.3 c", "192.168.4.4 d"]),
            ("b", &["192.168.1.1 a", "192.168.1.2 b", "192.168.1.3 c", "192.168.4.4 d"]),
            ("d", &["192.168.2.1 a", "192.168.1.2 b", "192.168.3.3 c", "192.168.4.4 d"]),
            ("e", &["192.168.2.1 a", "192.168.1.2 b", "192.168.3.3 c", "192.168.4.4 d"]),
        ];
        for (looking, expected) in table {
            let ipv4: Vec<_> = hosts(&plan, looking).into_iter().step_by(2).collect();
            assert_eq!(&ipv4, expected, "as {looking} sees it");
        }
        assert_eq!(hosts(&plan, "c")[..2], ["192.168.1.1 a", "2001:db8:1::1 a"]);
    }
}
