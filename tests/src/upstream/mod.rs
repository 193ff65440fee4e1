//! Start scripts as upstream's Nix code makes them, over the host's programs in place of a Nix store.

mod container;
pub mod vm;

pub use container::{Container, Interface};

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Writes a program.
fn executable(path: &Path, text: &str) -> io::Result<()> {
    fs::write(path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}
