//! Layer-2 networks between network namespaces.
//!
//! A [`Segment`] is one LAN. A [`Port`] is how something plugs into it. What plugs in lives in a [`Namespace`], and an [`Interface`] says
//! what it shall see there. Nothing has a name in the file system and nothing is made in the caller's own network namespace: networks
//! live in descriptors and die with them.
//!
//! Today a segment is a kernel bridge, and a port is a veth pair or a tap:
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use netbridge::{Interface, InterfaceName, Namespace, Segment};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let network = Arc::new(Namespace::new().await?);
//! let lan = Segment::bridge(network, InterfaceName::new("lan")?).await?;
//!
//! let guest = Namespace::new().await?;
//! let interface = Interface {
//!     name: InterfaceName::new("eth1")?,
//!     mac: Some([0x52, 0x54, 0x00, 0x12, 0x01, 0x01]),
//!     addresses: vec![("192.168.1.1".parse()?, 24), ("2001:db8:1::1".parse()?, 64)],
//!     mtu: None,
//! };
//! let port = lan.veth(InterfaceName::new("guest")?, &guest, &interface).await?;
//!
//! port.set_up(false).await?; // The guest's eth1 loses its carrier.
//! port.detach().await?;
//! # Ok(())
//! # }
//! ```
//!
//! Everything here needs a tokio runtime with I/O and time enabled, and `CAP_SYS_ADMIN` and `CAP_NET_ADMIN` in the user namespace that
//! owns the network namespaces: root, or the root of a user namespace of one's own.

mod capture;
mod error;
mod frame;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod impair;
mod interface;
mod kernel;
mod link;
mod name;
mod namespace;
mod offload;
mod port;
mod segment;
mod stats;
mod switch;
mod vde;

pub use capture::{CaptureOptions, CaptureSummary};
pub use error::Error;
pub use impair::{Distribution, Impairment};
pub use interface::Interface;
pub use link::{Direction, Link};
pub use name::{InterfaceName, PortName};
pub use namespace::Namespace;
pub use port::Port;
pub use segment::{Capture, Kind, Segment};
pub use stats::{Flow, LinkStats};
