//! What a namespace shall see of a segment.

use std::net::IpAddr;

use crate::{Error, InterfaceName};

/// The smallest MTU on which IPv6 runs (RFC 8200, section 5).
const IPV6_MTU: u32 = 1280;

/// One network interface, as the namespace it is put into shall see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name, unique in its namespace.
    pub name: InterfaceName,
    /// Its MAC address; the kernel makes one up if there is none.
    pub mac: Option<[u8; 6]>,
    /// Its addresses, each with the length of its prefix in bits.
    pub addresses: Vec<(IpAddr, u8)>,
    /// Its MTU in bytes; 1500 if there is none.
    pub mtu: Option<u32>,
}

impl Interface {
    /// Reports what no kernel would take, before anything is made.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match self.fault() {
            Some(fault) => Err(Error::Interface { interface: self.name.clone(), fault }),
            None => Ok(()),
        }
    }

    fn fault(&self) -> Option<String> {
        self.mac
            .and_then(mac_fault)
            .or_else(|| self.mtu_fault())
            .or_else(|| self.addresses.iter().find_map(address_fault))
    }

    fn mtu_fault(&self) -> Option<String> {
        let mtu = self.mtu?;
        if !(68..=65535).contains(&mtu) {
            return Some(format!("MTU {mtu} is out of range; use 68 to 65535"));
        }
        let ipv6 = self.addresses.iter().find(|(address, _)| address.is_ipv6())?.0;
        (mtu < IPV6_MTU).then(|| format!("MTU {mtu} is too small for {ipv6}; IPv6 needs at least {IPV6_MTU}"))
    }
}

fn mac_fault(mac: [u8; 6]) -> Option<String> {
    let text = mac.map(|byte| format!("{byte:02x}")).join(":");
    if mac == [0; 6] {
        Some(format!("MAC address {text} is all zero; use a unicast address, or none"))
    } else if mac[0] & 1 == 1 {
        Some(format!("MAC address {text} is a multicast address; make its first byte even"))
    } else {
        None
    }
}

fn address_fault(&(address, prefix): &(IpAddr, u8)) -> Option<String> {
    let longest = if address.is_ipv4() { 32 } else { 128 };
    if prefix > longest {
        Some(format!("prefix length {prefix} of {address} is out of range; use 0 to {longest}"))
    } else if address.is_unspecified() || address.is_multicast() {
        Some(format!("{address} is no address of an interface; use a unicast address"))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface() -> Interface {
        Interface { name: InterfaceName::new("eth1").unwrap(), mac: None, addresses: Vec::new(), mtu: None }
    }

    #[test]
    fn plain_interfaces_pass() {
        interface().check().unwrap();
        let addresses = vec![("10.0.0.1".parse().unwrap(), 32), ("fd00::1".parse().unwrap(), 128)];
        let full = Interface { mac: Some([0x52, 0x54, 0, 0, 0, 1]), addresses, mtu: Some(9000), ..interface() };
        full.check().unwrap();
    }

    #[test]
    fn faults_name_the_interface_and_the_value() {
        let with =
            |address: &str, prefix| Interface { addresses: vec![(address.parse().unwrap(), prefix)], ..interface() };
        for (faulty, value) in [
            (Interface { mac: Some([0; 6]), ..interface() }, "00:00:00:00:00:00"),
            (Interface { mac: Some([1, 0, 0, 0, 0, 0xff]), ..interface() }, "01:00:00:00:00:ff"),
            (Interface { mtu: Some(67), ..interface() }, "MTU 67"),
            (Interface { mtu: Some(65536), ..interface() }, "MTU 65536"),
            (Interface { mtu: Some(1279), ..with("fd00::1", 64) }, "MTU 1279"),
            (with("10.0.0.1", 33), "prefix length 33"),
            (with("fd00::1", 129), "prefix length 129"),
            (with("0.0.0.0", 24), "0.0.0.0"),
            (with("ff02::1", 64), "ff02::1"),
        ] {
            let error = faulty.check().unwrap_err().to_string();
            assert!(error.starts_with("interface eth1: ") && error.contains(value), "{value}: {error}");
        }
    }
}
