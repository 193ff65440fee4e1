//! Shells for a person at a prompt.

use std::os::fd::OwnedFd;
use std::path::Path;

use driver_core::machine::Machine;
use rustix::fs::{Mode, OFlags};

use super::failure::Failure;
use super::reply::Ran;

/// Runs a shell on the terminal whose slave side is at `path`.
pub(super) async fn interactive_shell(machine: &Machine, path: &str, term: &str) -> Result<Ran, Failure> {
    let terminal = open(Path::new(path)).map_err(|why| {
        let name = machine.name();
        Failure::AssertionFailed { message: format!("machine {name}: shell: {path} cannot be its terminal: {why}") }
    })?;
    let status = machine.shell(terminal, term).await?;
    Ok(Ran { status: Some(status), stdout: Some(String::new()), stderr: Some(String::new()), waiting: None })
}

/// Opens a pseudo-terminal, and nothing else: the guest's root will have it.
fn open(path: &Path) -> Result<OwnedFd, String> {
    if path.parent() != Some(Path::new("/dev/pts")) {
        return Err("it is not in /dev/pts".into());
    }
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let terminal = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| errno.to_string())?;
    if rustix::termios::isatty(&terminal) { Ok(terminal) } else { Err("it is no terminal".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_terminals_are_opened() {
        for path in ["/dev/null", "/etc/passwd", "/dev/pts/../null", "/dev/pts/none", ""] {
            assert!(open(Path::new(path)).is_err(), "{path}");
        }
    }
}
