//! The network plan: which machine has which addresses on which VLAN.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::spec::VlanId;

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

/// One line of a machine's `/etc/hosts`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostEntry {
    /// The address.
    pub address: std::net::IpAddr,
    /// The machine's name.
    pub name: String,
}
