//! VDE: clients that plug in through a socket in a directory, as they do with `vde_switch`.
//!
//! A client connects to the stream socket `ctl` and names a datagram socket of its own; the switch answers with the name of another.
//! Between these two each datagram is a frame, and the stream tells by its end that the client is gone.

mod listener;
pub(crate) mod protocol;

mod directory;

pub(crate) use listener::{Client, Listener};

#[cfg(test)]
mod tests;
