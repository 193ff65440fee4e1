//! Integration tests over real machines.
//!
//! A [`spec`] says which machines a test wants; a [`backend`] makes them; each live one is a [`guest`]. What happens is recorded as
//! [`event`]s.

pub mod backend;
pub mod console;
pub mod error;
pub mod event;
pub mod fake;
pub mod guest;
pub mod guest_files;
pub mod journal;
pub mod lan;
pub mod life;
pub mod log;
pub mod machine;
pub mod mount;
pub mod need;
pub mod network;
pub mod ownerless;
pub mod process;
pub mod run;
pub mod runtime_files;
pub mod spec;
mod wait;

pub use error::{Error, MachineError};
