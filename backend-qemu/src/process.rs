//! The processes of a VM: QEMU, and a virtiofsd for each share. They live in the run's namespaces and end with them.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;

pub(crate) use driver_core::need::find;
use rustix::process::{Resource, Rlimit, setrlimit};
use tokio::process::{Child, Command};

use crate::disks::own;

/// Where distributions keep virtiofsd, which is in no `PATH`.
const VIRTIOFSD: [&str; 4] =
    ["/usr/libexec/virtiofsd", "/usr/lib/qemu/virtiofsd", "/usr/lib/virtiofsd", "/run/current-system/sw/bin/virtiofsd"];

/// Rights that virtiofsd has by default and that nobody needs who only reads. What is left lets it read any file (`CAP_DAC_OVERRIDE`), and
/// without a trace in the time of access, as a guest's overlay asks for (`CAP_FOWNER`, for `O_NOATIME`).
const NEEDLESS: &str = "modcaps=-chown:-fsetid:-setgid:-setuid:-mknod:-setfcap";

/// Open files of a virtiofsd, which holds one for each file that its guest knows of; more than a Linux system has.
const SHARED_FILES: u64 = 1_000_000;

/// Open files of QEMU: disks, taps and channels, and what a test adds.
const FILES: u64 = 4096;

/// The user that a process runs as, who is nobody else's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct User {
    /// Its id and that of its group.
    pub(crate) id: u32,
    /// Another group.
    pub(crate) group: Option<u32>,
}

/// What a process of ours is left.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Confined {
    /// Who it is; none if it stays the driver's user.
    user: Option<User>,
    /// The most files that it may have open.
    files: u64,
}

/// Finds virtiofsd.
pub(crate) fn virtiofsd() -> Option<PathBuf> {
    find("virtiofsd").or_else(|| VIRTIOFSD.iter().map(PathBuf::from).find(|path| path.is_file()))
}

/// Starts a virtiofsd that shows `directory`, of which it must have a read-only mount, on a socket at `socket`, which is its owner's alone.
/// What it says goes to `log`.
pub(crate) fn share(
    program: &Path,
    directory: &Path,
    socket: &Path,
    owner: Option<u32>,
    log: &Path,
) -> io::Result<Child> {
    let _ = std::fs::remove_file(socket);
    // Made here, so that QEMU can connect at once.
    let listener = OwnedFd::from(UnixListener::bind(socket)?);
    own(socket, owner)?;
    let mut command = Command::new(program);
    command.arg(format!("--fd={}", listener.as_raw_fd()));
    command.args(["-o", &format!("source={}", directory.display()), "-o", "sandbox=chroot", "-o", "cache=always"]);
    command.args(["-o", "xattr", "-o", NEEDLESS, "-o", "log_level=warn"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(log)?);
    start(command, &[listener], Some(Confined { user: None, files: SHARED_FILES }))
}

/// Starts QEMU in `directory` with these descriptors, whose numbers its arguments name.
pub(crate) fn qemu(
    program: &Path,
    argv: &[String],
    directory: &Path,
    inherited: &[OwnedFd],
    user: Option<User>,
) -> io::Result<Child> {
    let mut command = Command::new(program);
    command.args(argv).current_dir(directory);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    start(command, inherited, Some(Confined { user, files: FILES }))
}

/// Two ends of a socket: the driver's, which does not block, and the other.
pub(crate) fn channel() -> io::Result<(UnixStream, OwnedFd)> {
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    Ok((ours, theirs.into()))
}

/// Starts a program in a session of its own, without a way to more rights, and with these descriptors. Dropping it kills it.
pub(crate) fn start(mut command: Command, inherited: &[OwnedFd], confined: Option<Confined>) -> io::Result<Child> {
    let numbers: Vec<RawFd> = inherited.iter().map(AsRawFd::as_raw_fd).collect();
    // SAFETY: between fork and exec only system calls are made, on descriptors that are open until the child has started.
    unsafe {
        command.pre_exec(move || {
            for number in &numbers {
                done(libc::fcntl(*number, libc::F_SETFD, 0))?;
            }
            if let Some(Confined { user, files }) = confined {
                libc::umask(0o077);
                limit(Resource::Core, 0)?;
                // Where the driver may not raise its limit, the process has to do with what there is.
                let _ = limit(Resource::Nofile, files);
                if let Some(user) = user {
                    become_user(user)?;
                }
            }
            // Nothing that it starts may gain rights, and a terminal's Ctrl-C is not for it.
            done(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))?;
            libc::setsid();
            Ok(())
        });
    }
    command.kill_on_drop(true).spawn()
}

/// Leaves root for good, and with it all capabilities: the kernel takes them from who changes from root to other ids (capabilities(7)).
fn become_user(User { id, group }: User) -> io::Result<()> {
    /// No kernel has more (capabilities(7), "Capability bounding set"); one that there is not is refused.
    const CAPABILITIES: libc::c_ulong = 64;
    // SAFETY: plain system calls of the calling process, which has one thread.
    unsafe {
        for capability in 0..CAPABILITIES {
            if libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) != 0 {
                break;
            }
        }
        let groups = [group.unwrap_or(id)];
        done(libc::setgroups(1, groups.as_ptr()))?;
        done(libc::setresgid(id, id, id))?;
        done(libc::setresuid(id, id, id))
    }
}

fn limit(resource: Resource, most: u64) -> io::Result<()> {
    Ok(setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?)
}

fn done(result: libc::c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
