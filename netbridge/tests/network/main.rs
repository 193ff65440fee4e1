//! Real segments in fresh network namespaces. They need root, or unprivileged user namespaces.

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "all of this is test code, and a skip has to be seen")]

#[macro_use]
mod harness;
mod capture;
mod faults;
mod flood;
mod foreign_bridge;
mod hostile;
mod lifecycle;
mod lifetime;
mod namespace;
mod peer;
mod socket;
mod talk;
mod tap;
mod traffic;
