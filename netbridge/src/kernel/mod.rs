//! What the kernel does for a segment: devices, made and changed over netlink.

pub(crate) mod device;
pub(crate) mod netem;
pub(crate) mod netlink;
pub(crate) mod socket;
pub(crate) mod tap;
pub(crate) mod veth;
