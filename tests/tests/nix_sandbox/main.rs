//! Machines in the sandbox of a real Nix.

mod vms;
