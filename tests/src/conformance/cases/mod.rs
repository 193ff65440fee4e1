//! The cases, by what they are about.

pub(super) mod commands;
pub(super) mod console;
pub(super) mod copies;
pub(super) mod lan;
pub(super) mod monitor;
pub(super) mod power;
pub(super) mod screen;
pub(super) mod sockets;
pub(super) mod streams;
pub(super) mod units;
pub(super) mod waits;
