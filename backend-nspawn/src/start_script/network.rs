//! What a start script finds in its network namespace: an interface `vde-tapN` for each VLAN, in place of the tap that upstream makes.
//!
//! The namespace is the machine's own, so that each machine has its own link to a VLAN, whose faults are its own, and finds nothing of its last
//! boot. The bridges `brN` that scripts make are joined by the VLAN.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use driver_core::backend::{Descriptors, StartRequest};
use driver_core::spec::VlanId;
use netbridge::{Interface, InterfaceName, Namespace, Port};

/// Every script gives its bridges the same address of a VLAN's host. None shall look for another that has it.
const NO_DUPLICATES: &str = "/proc/sys/net/ipv6/conf/default/accept_dad";

/// Makes the namespace, and the ports in the order of the request's attachments.
pub(super) async fn make(request: &StartRequest, descriptors: &Descriptors) -> io::Result<(OwnedFd, Vec<Port>)> {
    let network = Namespace::new().await.map_err(io::Error::other)?;
    // Where there is no IPv6, there are no such addresses.
    let _ = network.run(|| std::fs::write(NO_DUPLICATES, "0")).await.map_err(io::Error::other)?;
    let mut ports = Vec::with_capacity(request.attachments.len());
    for attachment in &request.attachments {
        let name = InterfaceName::new(tap(attachment.vlan)).map_err(io::Error::other)?;
        let interface = Interface { name, mac: None, addresses: Vec::new(), mtu: None };
        let port = attachment.port(&request.machine.name);
        let segment = descriptors.segment(attachment)?;
        ports.push(segment.veth(port, &network, &interface).await.map_err(io::Error::other)?);
    }
    Ok((network.as_fd().try_clone_to_owned()?, ports))
}

/// What upstream's start scripts look for.
fn tap(vlan: VlanId) -> String {
    format!("vde-tap{vlan}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_vlans_have_taps() {
        for number in [1, 255] {
            assert!(InterfaceName::new(tap(VlanId::new(number).unwrap())).is_ok());
        }
    }
}
