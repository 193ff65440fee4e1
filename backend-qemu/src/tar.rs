//! Roots that come in a tar file.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};

use driver_core::mount::{Detached, restrict_recursive};
use nix::sched::{CloneFlags, unshare};

/// Unpacks a tar with owners, modes and attributes as they are in it.
///
/// Whatever its names and links say, nothing outside `target` is written to: tar runs in a mount namespace where all else is read-only.
/// Device nodes that it makes open nothing. The calling thread stays in that namespace, and is good for nothing else.
pub(crate) fn unpack(archive: &Path, target: &Path) -> io::Result<()> {
    let file = File::open(archive)?;
    let output = alone_with(target, &file)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last: Vec<&str> = said.lines().rev().take(3).collect();
    let last = last.into_iter().rev().collect::<Vec<_>>().join(" | ");
    Err(io::Error::other(format!("tar could not unpack {}: {last}", archive.display())))
}

fn alone_with(target: &Path, archive: &File) -> io::Result<std::process::Output> {
    unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS)?;
    let writable = Detached::copy(target)?;
    restrict_recursive(Path::new("/"), libc::MOUNT_ATTR_RDONLY)?;
    writable.restrict(libc::MOUNT_ATTR_NODEV)?;
    writable.attach(target)?;
    let mut tar = Command::new("tar");
    tar.args(["--extract", "--file", "-", "--numeric-owner", "--same-owner", "--preserve-permissions"]);
    // A guest's kernel makes its own device nodes.
    tar.args(["--xattrs", "--xattrs-include=*", "--exclude=./dev/*", "--exclude=dev/*"]).args(decompression(archive)?);
    tar.stdin(archive.try_clone()?).stdout(Stdio::null()).stderr(Stdio::piped()).current_dir(target);
    tar.output().map_err(|error| io::Error::new(error.kind(), format!("tar: {error}")))
}

/// tar cannot look ahead on a pipe, so the format is read off the first bytes.
fn decompression(file: &File) -> io::Result<Option<&'static str>> {
    let mut magic = [0; 6];
    let read = file.read_at(&mut magic, 0)?;
    Ok(match &magic[..read] {
        [0x1f, 0x8b, ..] => Some("--gzip"),
        [0xfd, b'7', b'z', b'X', b'Z', 0] => Some("--xz"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some("--zstd"),
        [b'B', b'Z', b'h', ..] => Some("--bzip2"),
        _ => None,
    })
}
