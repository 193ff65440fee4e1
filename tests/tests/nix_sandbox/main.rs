//! Machines in the sandbox of a real Nix.

mod build;
mod containers;
mod vms;
