//! Integration tests over real machines.
//!
//! A [`spec`] says which machines a test wants; a [`backend`] makes them; each live one is a [`guest`]. What happens is recorded as
//! [`event`]s.

pub mod backend;
pub mod console;
pub mod error;
pub mod event;
pub mod guest;
pub mod network;
pub mod spec;

pub use error::{Error, MachineError};
