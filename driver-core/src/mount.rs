//! Mounts by descriptor, with id-mapping (`mount_setattr(2)`).

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;

use nix::mount::MsFlags;
use rustix::fs::CWD;
use rustix::mount::{MoveMountFlags, OpenTreeFlags};

/// A mount that is attached nowhere yet, or several. What is set is set on all of them or on none.
#[derive(Debug)]
pub struct Detached(OwnedFd, OpenTreeFlags);

/// `struct mount_attr` of linux/mount.h.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    set: u64,
    clear: u64,
    propagation: u64,
    userns: u64,
}

impl Detached {
    /// A private copy of the mount at `source`, without the mounts below it.
    pub fn copy(source: &Path) -> io::Result<Self> {
        Self::open(source, OpenTreeFlags::empty())
    }

    /// A private copy of the mount at `source` with all below it.
    pub fn copy_recursive(source: &Path) -> io::Result<Self> {
        Self::open(source, OpenTreeFlags::AT_RECURSIVE)
    }

    fn open(source: &Path, how: OpenTreeFlags) -> io::Result<Self> {
        let flags = how | OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        rustix::mount::open_tree(CWD, source, flags)
            .map(|tree| Self(tree, how))
            .map_err(|errno| at("copy the mount", source, errno))
    }

    /// Shows the files' owners as they are in a user namespace: host uid 0 as the namespace's root, and so on. File systems that cannot do
    /// this answer `InvalidInput`.
    pub fn map_ids(&self, userns: BorrowedFd<'_>) -> io::Result<()> {
        let userns = u64::try_from(userns.as_raw_fd()).map_err(io::Error::other)?;
        self.set(&Attributes { set: libc::MOUNT_ATTR_IDMAP, userns, ..Attributes::default() })
    }

    /// Forbids writing, device nodes and setuid as asked.
    pub fn restrict(&self, attributes: u64) -> io::Result<()> {
        self.set(&Attributes { set: attributes, ..Attributes::default() })
    }

    /// Attaches the mount at `target`.
    pub fn attach(&self, target: &Path) -> io::Result<()> {
        rustix::mount::move_mount(self.0.as_fd(), c"", CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
            .map_err(|errno| at("mount", target, errno))
    }

    fn set(&self, attributes: &Attributes) -> io::Result<()> {
        let recursive = if self.1.contains(OpenTreeFlags::AT_RECURSIVE) { libc::AT_RECURSIVE } else { 0 };
        // SAFETY: the pointer is to a structure of the kernel's layout and of the size given.
        let result = unsafe {
            libc::syscall(
                libc::SYS_mount_setattr,
                self.0.as_raw_fd(),
                c"".as_ptr(),
                libc::AT_EMPTY_PATH | recursive,
                std::ptr::from_ref(attributes),
                size_of::<Attributes>(),
            )
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

impl AsRawFd for Detached {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// mount(2), with the target in the error.
pub fn mount(source: &Path, target: &Path, kind: Option<&str>, flags: MsFlags, data: Option<&str>) -> io::Result<()> {
    nix::mount::mount(Some(source), target, kind, flags, data).map_err(|errno| at("mount", target, errno))
}

/// Bind-mounts `source` with all below it.
pub fn bind_recursive(source: &Path, target: &Path) -> io::Result<()> {
    mount(source, target, None, MsFlags::MS_BIND | MsFlags::MS_REC, None)
}

/// Sets attributes on the mount at `target` and on all below it.
pub fn restrict_recursive(target: &Path, attributes: u64) -> io::Result<()> {
    let path = CString::new(target.as_os_str().as_encoded_bytes()).map_err(io::Error::other)?;
    let attributes = Attributes { set: attributes, ..Attributes::default() };
    // SAFETY: both pointers live across the call; the size is that of the structure.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            libc::AT_RECURSIVE,
            std::ptr::from_ref(&attributes),
            size_of::<Attributes>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(at("restrict the mounts", target, io::Error::last_os_error())) }
}

fn at(operation: &str, path: &Path, error: impl Into<io::Error>) -> io::Error {
    let error = error.into();
    io::Error::new(error.kind(), format!("{operation} {}: {error}", path.display()))
}
