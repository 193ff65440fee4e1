//! Who may use the host: many small tests at the same time, or one that takes it all.
//!
//! The lock is a file, because `cargo test` runs several processes and somebody may run it twice.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use rustix::fs::{FlockOperation, flock};

/// A share of the host, given back on drop.
#[derive(Debug)]
pub struct HostLock {
    _file: File,
}

/// Waits for a share of the host beside others.
pub fn shared() -> io::Result<HostLock> {
    lock(FlockOperation::LockShared)
}

/// Waits until no other test uses the host.
pub fn alone() -> io::Result<HostLock> {
    lock(FlockOperation::LockExclusive)
}

fn lock(operation: FlockOperation) -> io::Result<HostLock> {
    let file = File::create(path())?;
    loop {
        match flock(&file, operation) {
            Err(rustix::io::Errno::INTR) => {}
            other => return other.map(|()| HostLock { _file: file }).map_err(Into::into),
        }
    }
}

/// Beside the test programs, so that each checkout has its own.
fn path() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    program.parent().map_or_else(std::env::temp_dir, Into::into).join("tandem-tests.lock")
}
