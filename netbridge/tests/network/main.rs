//! Real segments in fresh network namespaces. They need root, or unprivileged user namespaces.

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "all of this is test code, and a skip has to be seen")]

#[macro_use]
mod harness;
mod faults;
mod foreign_bridge;
mod lifecycle;
mod namespace;
mod socket;
mod talk;
mod tap;
mod traffic;
