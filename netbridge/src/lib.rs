//! Layer-2 networks between network namespaces.
//!
//! A [`Segment`] is one LAN. A [`Port`] is how something plugs into it. What plugs in lives in a [`Namespace`], and an [`Interface`] says
//! what it shall see there. Nothing has a name in the file system and nothing is made in the caller's own network namespace: networks
//! live in descriptors and die with them.
//!
//! Two namespaces on a bridge of the kernel:
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
//! # Faults and captures
//!
//! Each [`Link`] has the name of the ports that it joins to the segment. What is asked of it holds at once, also for traffic that is
//! running, and for ports of that name that come later.
//!
//! ```no_run
//! use netbridge::{CaptureOptions, Direction, Impairment};
//!
//! # async fn faults(lan: netbridge::Segment) -> Result<(), netbridge::Error> {
//! let capture = lan.capture("lan.pcapng".as_ref(), CaptureOptions::default()).await?;
//!
//! let slow = Impairment {
//!     delay: Impairment::duration("50ms")?,
//!     loss: Impairment::share("1%")?,
//!     seed: Some(7), // The same frames are lost in each run.
//!     ..Impairment::default()
//! };
//! let guest = lan.link("guest");
//! guest.impair(Direction::Out, &slow).await?;
//! println!("{} frames are lost", guest.stats().await?.out.lost);
//! guest.clear().await?;
//!
//! lan.partition(&[vec!["guest", "server"], vec!["client"]]).await?;
//! lan.heal().await?;
//!
//! let summary = capture.finish().await?;
//! println!("{} frames are in the file, and what was changed as comments", summary.frames);
//! # Ok(())
//! # }
//! ```
//!
//! # Without privileges
//!
//! A switch without a namespace joins whatever speaks by sockets. This runs a VM of QEMU on one:
//!
//! ```no_run
//! use std::os::fd::AsRawFd;
//! use std::process::Command;
//!
//! use netbridge::{InterfaceName, Segment};
//! use nix::fcntl::{FcntlArg, FdFlag, fcntl};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let lan = Segment::switch(None, InterfaceName::new("lan")?);
//! let (_port, socket) = lan.dgram(InterfaceName::new("vm")?).await?;
//! fcntl(&socket, FcntlArg::F_SETFD(FdFlag::empty()))?; // QEMU inherits it.
//! let netdev = format!("dgram,id=lan,local.type=fd,local.str={}", socket.as_raw_fd());
//! Command::new("qemu-system-x86_64").args(["-netdev", &netdev, "-device", "virtio-net,netdev=lan"]).spawn()?.wait()?;
//! # Ok(())
//! # }
//! ```
//!
//! Everything here needs a tokio runtime with I/O and time enabled. Namespaces, and segments in them, need `CAP_SYS_ADMIN`,
//! `CAP_NET_ADMIN` and, for faults, captures and sockets, `CAP_NET_RAW` in the user namespace that owns the network namespaces: root, or
//! the root of a user namespace of one's own.

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
