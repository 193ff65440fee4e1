//! The processes of a VM: QEMU, and a virtiofsd for each share. They live in the run's namespaces and end with them.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::{Child, Command};

/// Where distributions keep virtiofsd, which is in no `PATH`.
const VIRTIOFSD: [&str; 4] =
    ["/usr/libexec/virtiofsd", "/usr/lib/qemu/virtiofsd", "/usr/lib/virtiofsd", "/run/current-system/sw/bin/virtiofsd"];

/// Finds virtiofsd.
pub(crate) fn virtiofsd() -> Option<PathBuf> {
    find("virtiofsd").or_else(|| VIRTIOFSD.iter().map(PathBuf::from).find(|path| path.is_file()))
}

/// Finds a program on the `PATH`.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|directory| directory.join(program)).find(|file| file.is_file())
}

/// Starts a virtiofsd that shows `directory`, of which it must have a read-only mount, on a socket at `socket`.
pub(crate) fn share(program: &Path, directory: &Path, socket: &Path) -> io::Result<Child> {
    let _ = std::fs::remove_file(socket);
    // Made here, so that QEMU can connect at once.
    let listener = OwnedFd::from(UnixListener::bind(socket)?);
    let mut command = Command::new(program);
    command.arg(format!("--fd={}", listener.as_raw_fd()));
    command.args(["-o", &format!("source={}", directory.display()), "-o", "sandbox=chroot", "-o", "cache=auto"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    start(command, &[listener])
}

/// Starts QEMU with these descriptors, whose numbers its arguments name.
pub(crate) fn qemu(program: &Path, argv: &[String], inherited: &[OwnedFd]) -> io::Result<Child> {
    let mut command = Command::new(program);
    command.args(argv).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    start(command, inherited)
}

/// Two ends of a socket: the driver's, which does not block, and the other.
pub(crate) fn channel() -> io::Result<(UnixStream, OwnedFd)> {
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    Ok((ours, theirs.into()))
}

/// Starts a program in a session of its own, without a way to more rights, and with these descriptors. Dropping it kills it.
pub(crate) fn start(mut command: Command, inherited: &[OwnedFd]) -> io::Result<Child> {
    let numbers: Vec<RawFd> = inherited.iter().map(AsRawFd::as_raw_fd).collect();
    // SAFETY: between fork and exec only system calls are made, on descriptors that are open until the child has started.
    unsafe {
        command.pre_exec(move || {
            for number in &numbers {
                if libc::fcntl(*number, libc::F_SETFD, 0) != 0 {
                    return Err(io::Error::last_os_error());
                }
            }
            // Nothing that it starts may gain rights, and a terminal's Ctrl-C is not for it.
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
            libc::setsid();
            Ok(())
        });
    }
    command.kill_on_drop(true).spawn()
}
