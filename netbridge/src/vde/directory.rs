//! The directory of sockets.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, UnixAddr};

/// Clients bind `.PID-NUMBER` in the directory, of up to 15 bytes with the slash, and a socket's path has at most 107.
const LONGEST: usize = 107 - 15;

/// A directory with nothing but sockets in it, which goes with this value.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
}

impl Directory {
    /// Makes it, with the mode 0700.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let failed =
            |error: io::Error| io::Error::new(error.kind(), format!("VDE directory {}: {error}", path.display()));
        let invalid = |fault: String| failed(io::Error::new(io::ErrorKind::InvalidInput, fault));
        let Some(name) = path.file_name() else { return Err(invalid("this names no new directory".to_owned())) };
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // Clients resolve it before they name their sockets.
        let path = fs::canonicalize(parent).map_err(failed)?.join(name);
        let length = path.as_os_str().as_bytes().len();
        if length > LONGEST {
            return Err(invalid(format!(
                "its path has {length} bytes, but names of sockets in it have room only below one of at most {LONGEST}; \
                 use a shorter path, such as one in /run or /tmp"
            )));
        }
        DirBuilder::new().mode(0o700).create(&path).map_err(failed)?;
        Ok(Self { path })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Directory {
    /// Removes all sockets, of clients that were killed too, and the directory unless somebody put something else in it.
    fn drop(&mut self) {
        for entry in fs::read_dir(&self.path).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_socket()) {
                let _ = fs::remove_file(entry.path());
            }
        }
        if let Err(error) = fs::remove_dir(&self.path) {
            tracing::debug!(directory = %self.path.display(), %error, "VDE directory is not removed");
        }
    }
}

/// The name of a socket in the directory, which goes with this value. The socket does not.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
}

impl SocketFile {
    pub(super) fn name(&self) -> &Path {
        Path::new(self.path.file_name().unwrap_or_default())
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// A datagram socket in `directory` that is connected to the one that a client has there, so that no other can send to it.
///
/// A client says names, but never has frames sent to sockets elsewhere: those can be of programs that trust us more than it.
pub(super) fn socket_for(client: &Path, directory: &Path) -> io::Result<(OwnedFd, SocketFile)> {
    /// No name comes twice, so that none is removed that is another's by now.
    static NEXT: AtomicU64 = AtomicU64::new(1);

    let name = client.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    // The name could be changed to a link in the meantime, but not what is opened.
    let found =
        OpenOptions::new().read(true).custom_flags(libc::O_PATH | libc::O_NOFOLLOW).open(directory.join(name))?;
    if !found.metadata()?.file_type().is_socket() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no socket"));
    }
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket::socket(AddressFamily::Unix, SockType::Datagram, flags, None)?;
    let link = format!("/proc/self/fd/{}", found.as_raw_fd());
    socket::connect(socket.as_raw_fd(), &UnixAddr::new(link.as_str())?)?;

    let path = directory.join(format!("{:03}", NEXT.fetch_add(1, Ordering::Relaxed)));
    socket::bind(socket.as_raw_fd(), &UnixAddr::new(&path)?)?;
    let file = SocketFile { path };
    fs::set_permissions(&file.path, Permissions::from_mode(0o600))?;
    Ok((socket, file))
}
