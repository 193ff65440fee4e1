//! How a VM joins its LANs: by taps, or by sockets where there can be none.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use driver_core::backend::{Descriptors, StartRequest};
use driver_core::event::{Level, Recorder};
use driver_core::network::Attachment;
use driver_core::spec::VlanId;
use netbridge::{Kind, Port, Segment};

use crate::argv::Netdev;

/// QEMU's end of an interface's cable.
#[derive(Debug)]
pub(crate) enum Cable {
    /// A tap, a port of the kernel's bridge.
    Tap(OwnedFd),
    /// A socket, a port of a switch in user space, or of one that relays to the bridge.
    Dgram(OwnedFd),
}

impl Cable {
    /// What QEMU is told of it.
    pub(crate) fn netdev(&self) -> Netdev {
        match self {
            Self::Tap(descriptor) => Netdev::Tap(descriptor.as_raw_fd()),
            Self::Dgram(descriptor) => Netdev::Dgram(descriptor.as_raw_fd()),
        }
    }

    pub(crate) fn into_descriptor(self) -> OwnedFd {
        match self {
            Self::Tap(descriptor) | Self::Dgram(descriptor) => descriptor,
        }
    }
}

/// Plugs a VM in, in the order of its attachments, and records how.
pub(crate) async fn plug(
    request: &StartRequest,
    descriptors: &Descriptors,
    recorder: &Recorder,
) -> io::Result<(Vec<Port>, Vec<Cable>)> {
    let (mut ports, mut cables, mut tapless) = (Vec::new(), Vec::new(), Vec::new());
    for attachment in &request.attachments {
        let segment = descriptors.segment(attachment)?;
        let (port, cable, why) = match segment.kind() {
            Kind::Switch { .. } => {
                let (port, socket) = dgram(request, segment, attachment).await?;
                (port, Cable::Dgram(socket), Some("a socket: the LAN is a switch in user space".to_owned()))
            }
            Kind::Bridge => match segment.tap(attachment.port(&request.machine.name)).await {
                Ok((port, tap)) => (port, Cable::Tap(tap), None),
                Err(error) => {
                    let relay = dgram(request, segment, attachment).await;
                    let (port, socket) =
                        relay.map_err(|second| io::Error::other(format!("{error}; and without a tap: {second}")))?;
                    (port, Cable::Dgram(socket), Some(format!("a relay in user space: {error}")))
                }
            },
        };
        ports.push(port);
        cables.push(cable);
        tapless.extend(why.map(|why| (attachment.vlan, why)));
    }
    match told(&tapless) {
        Some(told) => recorder.message(Level::Info, told),
        None if !ports.is_empty() => recorder.message(Level::Debug, "joins its LANs by taps"),
        None => {}
    }
    Ok((ports, cables))
}

/// What people are told of VLANs that are joined without a tap. How one is, and why, mostly holds for all.
fn told(tapless: &[(VlanId, String)]) -> Option<String> {
    let (_, how) = tapless.first()?;
    let vlans: Vec<String> = tapless.iter().map(|(vlan, _)| vlan.to_string()).collect();
    let word = if vlans.len() == 1 { "VLAN" } else { "VLANs" };
    Some(format!("joins {word} {} by {how}", vlans.join(", ")))
}

async fn dgram(request: &StartRequest, segment: &Segment, attachment: &Attachment) -> io::Result<(Port, OwnedFd)> {
    segment.dgram(attachment.port(&request.machine.name)).await.map_err(io::Error::other)
}

/// Lets the QEMU of a start script plug itself in: a directory with a VDE socket for each VLAN.
pub(crate) async fn listen(
    request: &StartRequest,
    descriptors: &Descriptors,
) -> io::Result<(Vec<Port>, Vec<(VlanId, PathBuf)>)> {
    /// What an earlier boot had goes only a moment after its machine.
    static NEXT: AtomicU32 = AtomicU32::new(0);

    let (mut ports, mut directories) = (Vec::new(), Vec::new());
    for attachment in &request.attachments {
        let vlan = attachment.vlan;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // Short, as paths of sockets have to be.
        let directory = request.sockets.join(format!("vde{vlan}.{number}"));
        let segment = descriptors.segment(attachment)?;
        let port = segment.vde(attachment.port(&request.machine.name), &directory).await;
        ports.push(port.map_err(io::Error::other)?);
        directories.push((vlan, directory));
    }
    Ok((ports, directories))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_told_once() {
        let vlan = |number| VlanId::new(number).unwrap();
        assert_eq!(told(&[]), None);
        let one = told(&[(vlan(7), "a relay: no tap".into())]).unwrap();
        assert_eq!(one, "joins VLAN 7 by a relay: no tap");
        let two = told(&[(vlan(1), "a relay: no tap".into()), (vlan(2), "a relay: none either".into())]).unwrap();
        assert_eq!(two, "joins VLANs 1, 2 by a relay: no tap");
    }
}
