//! Layer-2 networks.

/// One LAN.
#[derive(Debug)]
pub struct Segment;
