//! A real guest to NixOS' guest contract, booted by scripts to its script contract.

mod lan;
mod life;
mod program;
mod reboot;
mod ssh;

use std::time::Duration;

/// An emulated machine takes long to boot on a busy host.
const PATIENCE: Duration = Duration::from_secs(240);
