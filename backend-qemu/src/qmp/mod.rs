//! QEMU's machine protocol: commands, their answers and events, one JSON object a line.
//!
//! [`connect`] speaks it over any stream. The [`Client`] sends typed commands ([`command`]) or any other by name; [`Events`] is a reader of
//! what QEMU announces by itself. The reference is QEMU's own
//! ([protocol](https://www.qemu.org/docs/master/interop/qmp-spec.html), [commands](https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html)).
//!
//! A running QEMU may be newer than this code, so nothing of what it says is lost for being unknown: events keep all their fields.
//!
//! ```no_run
//! use std::time::Duration;
//! use backend_qemu::qmp::{self, Limits, command::SystemPowerdown};
//!
//! # async fn example(socket: tokio::net::UnixStream) -> Result<(), qmp::Error> {
//! let (client, mut events) = qmp::connect(socket, Limits::default()).await?;
//! client.execute(SystemPowerdown).await?;
//! let event = events.wait_for(|event| event.name == "SHUTDOWN", Duration::from_secs(60)).await?;
//! println!("{}", event.data);
//! # Ok(())
//! # }
//! ```

mod client;
pub mod command;
mod error;
mod event;
mod link;
mod wire;

pub use client::{Client, Limits, connect, connect_unix};
pub use error::Error;
pub use event::{Event, Events, Kind, Timestamp};
pub use wire::{Version, VersionNumbers, WireError};
