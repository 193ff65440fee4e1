//! From the driver's process to a running systemd-nspawn.
//!
//! Two forks: the **shim** waits for systemd-nspawn and hands its exit status to the driver; **nspawn** is pid 1 of a pid namespace of its own,
//! so that nothing of the container survives it. It enters the machine's cgroups, then leaves the host's files behind: the small root that it
//! pivots into holds the host's programs, read-only, and the machine, and all of its mounts are locked by the change of user namespace that
//! follows (`mount_namespaces(7)`, "Restrictions on mount namespaces"). That matters because systemd-nspawn only moves the machine's root over
//! its own: a machine's root user can take that mount away and look at what is below.

use std::convert::Infallible;
use std::ffi::CString;
use std::fs::{self, Permissions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use driver_core::process::Child;
use nix::mount::{MntFlags, MsFlags};
use nix::sched::{CloneFlags, setns, unshare};

use crate::argv::place;
use crate::disk::become_root;
use crate::door;
use crate::userns::Namespaces;
use driver_core::mount::{Detached, bind_recursive, mount, restrict_recursive};

/// Everything that the children need, made before they are forked.
pub(crate) struct Launch {
    /// systemd-nspawn on the host.
    pub(crate) program: PathBuf,
    pub(crate) argv: Vec<String>,
    pub(crate) env: Vec<String>,
    /// The machine's directory in the run's mount namespace.
    pub(crate) state: PathBuf,
    /// Host id of the machine's root user.
    pub(crate) owner: Option<u32>,
    pub(crate) namespaces: Namespaces,
    /// The machine's cgroup in each hierarchy.
    pub(crate) cgroups: Vec<PathBuf>,
    /// Directories and files shown to the machine, by the number of their place below [`place::BINDS`].
    pub(crate) binds: Vec<Bind>,
    /// Device nodes shown to the machine, by the number of their place below [`place::DEVICES`].
    pub(crate) devices: Vec<Device>,
    /// The write end of what the console says.
    pub(crate) console: OwnedFd,
    /// The read end of what is typed at the console.
    pub(crate) typed: OwnedFd,
    /// The door's end of its socket pair.
    pub(crate) door: OwnedFd,
    /// Taken once from this descriptor before systemd-nspawn starts; its other end's owner may move the process elsewhere first.
    pub(crate) gate: OwnedFd,
}

impl Launch {
    /// The descriptors that the children keep.
    fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        [&self.console, &self.typed, &self.door, &self.gate, &self.namespaces.user, &self.namespaces.net]
            .into_iter()
            .map(AsRawFd::as_raw_fd)
            .chain(self.binds.iter().map(|bind| bind.mount.as_raw_fd()))
    }
}

/// A directory or file shown to the machine.
#[derive(Debug)]
pub(crate) struct Bind {
    pub(crate) mount: Detached,
    pub(crate) kind: Kind,
}

/// What a bind's source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Directory,
    File,
}

/// A device node of the host's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Device {
    pub(crate) path: PathBuf,
    pub(crate) mode: u32,
    pub(crate) number: u64,
}

/// A systemd-nspawn that is about to start.
#[derive(Debug)]
pub(crate) struct Launched {
    /// Ends with systemd-nspawn and with its status.
    pub(crate) shim: Child,
    /// A pidfd of systemd-nspawn; killing it ends the whole container.
    pub(crate) nspawn: OwnedFd,
    /// Closed without a word once systemd-nspawn is executed; else says why not.
    pub(crate) report: OwnedFd,
}

/// Forks shim and systemd-nspawn. To be called inside the run's namespaces.
pub(crate) fn start(launch: Launch) -> io::Result<Launched> {
    let (report, ours) = rustix::net::socketpair(
        rustix::net::AddressFamily::UNIX,
        rustix::net::SocketType::SEQPACKET,
        rustix::net::SocketFlags::CLOEXEC,
        None,
    )?;
    let mut keep: Vec<RawFd> = vec![ours.as_raw_fd()];
    keep.extend(launch.descriptors());
    let mut launch = Some(launch);
    // SAFETY: `shim` allocates and makes system calls, no more, and so do its children until they execute a program.
    let mut shim = unsafe { Child::fork(&keep, || launch.take().map_or(1, |launch| shim(launch, &ours)))? };
    drop((launch, ours));
    let mut said = [0; 4096];
    let (length, mut fds) = door::receive(report.as_fd(), &mut said)?;
    if let Some(nspawn) = fds.pop() {
        return Ok(Launched { shim, nspawn, report });
    }
    shim.wait_blocking()?;
    Err(io::Error::other(String::from_utf8_lossy(&said[..length]).into_owned()))
}

/// The shim's life.
fn shim(launch: Launch, report: &OwnedFd) -> i32 {
    // SAFETY: plain system calls. A session of its own keeps the terminal's Ctrl-C away from the machine.
    unsafe {
        libc::setsid();
        libc::prctl(libc::PR_SET_NAME, c"tandem-shim".as_ptr());
    }
    let fail = |error: &dyn std::fmt::Display| {
        let _ = door::send(report.as_fd(), error.to_string().as_bytes(), &[]);
        1
    };
    if let Err(errno) = unshare(CloneFlags::CLONE_NEWPID) {
        return fail(&format!("make a pid namespace: {}", errno.desc()));
    }
    let mut keep: Vec<RawFd> = vec![report.as_raw_fd()];
    keep.extend(launch.descriptors());
    let mut launch = Some(launch);
    // SAFETY: see `start`.
    let forked = unsafe {
        Child::fork(&keep, || {
            let Some(launch) = launch.take() else { return 1 };
            match become_nspawn(&launch) {
                Ok(never) => match never {},
                Err(error) => fail(&error),
            }
        })
    };
    drop(launch);
    match forked {
        Err(error) => fail(&error),
        Ok(mut nspawn) => {
            if door::send(report.as_fd(), b"started", &[nspawn.as_fd()]).is_err() {
                return 1;
            }
            // From here on only systemd-nspawn holds the other end, until it is executed.
            let _ = rustix::net::shutdown(report, rustix::net::Shutdown::Read);
            // SAFETY: the shim uses the descriptor no more, and it ends by `_exit`, which closes nothing twice.
            unsafe { libc::close(report.as_raw_fd()) };
            nspawn.wait_blocking().unwrap_or(1)
        }
    }
}

/// Pid 1 of the container's outer pid namespace: prepares everything, leaves a door behind, and becomes systemd-nspawn.
fn become_nspawn(launch: &Launch) -> io::Result<Infallible> {
    // The gate opens when the driver has seen this process; where it stays shut the driver is gone.
    if rustix::io::read(&launch.gate, &mut [0; 1])? == 0 {
        return Err(io::Error::other("the driver ended"));
    }
    for cgroup in &launch.cgroups {
        let procs = cgroup.join("cgroup.procs");
        fs::write(&procs, "0").map_err(|error| at("enter the cgroup", cgroup, error))?;
    }
    unshare(CloneFlags::CLONE_NEWNS)?;
    let outer = launch.state.join("outer");
    build_root(launch, &outer)?;
    pivot(&outer)?;
    setns(&launch.namespaces.net, CloneFlags::CLONE_NEWNET)?;
    // In the container's own network namespace, so that it shows none of the host's interfaces.
    let plain = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Path::new("sysfs"), Path::new(place::SYS), Some("sysfs"), plain, None)?;
    mount(Path::new("proc"), Path::new("/proc"), Some("proc"), plain, None)?;
    setns(&launch.namespaces.user, CloneFlags::CLONE_NEWUSER)?;
    become_root()?;
    // This locks every mount made so far. systemd-nspawn moves its root, which a locked mount refuses, so it gets a fresh one.
    unshare(CloneFlags::CLONE_NEWNS)?;
    bind_recursive(Path::new(place::MACHINE), Path::new(place::MACHINE))?;
    leave_door(&launch.door)?;
    execute(launch)
}

/// Builds the small root at `outer`: the host's programs read-only, a few device nodes, the cgroups, and the machine.
fn build_root(launch: &Launch, outer: &Path) -> io::Result<()> {
    mount(Path::new("none"), Path::new("/"), None, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None)?;
    make_directory(outer)?;
    // Without restrictions: systemd-nspawn remounts parts of it with flags of its own, and could not take any of these off.
    mount(Path::new("tmpfs"), outer, Some("tmpfs"), MsFlags::empty(), Some("mode=0755,size=16m"))?;
    for name in ["usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "nix", "gnu"] {
        show_programs(&Path::new("/").join(name), &outer.join(name))?;
    }
    for directory in ["etc", "proc", "sys", "dev", "run", "tmp", "old", "binds", "devices", "machine", "machine-sys"] {
        make_directory(&outer.join(directory))?;
    }
    for owned in ["run", "tmp"] {
        chown(outer.join(owned), launch.owner, launch.owner)?;
    }
    let cache = Path::new("/etc/ld.so.cache");
    if cache.exists() {
        fs::copy(cache, outer.join("etc/ld.so.cache"))?;
    }
    symlink("../usr/lib/os-release", outer.join("etc/os-release"))?;
    bind_recursive(Path::new("/sys"), &outer.join("sys"))?;
    for name in ["null", "zero", "full", "random", "urandom", "tty"] {
        show_file(&Path::new("/dev").join(name), &outer.join("dev").join(name))?;
    }
    // The socket is the driver's; a machine's root may write to it but not replace it.
    show_file(&launch.state.join("notify"), &outer.join("run/notify"))?;
    bind_recursive(&launch.state.join("root"), &outer.join("machine"))?;
    for (number, bind) in launch.binds.iter().enumerate() {
        let target = outer.join("binds").join(number.to_string());
        match bind.kind {
            Kind::Directory => make_directory(&target)?,
            Kind::File => drop(fs::File::create(&target)?),
        }
        bind.mount.attach(&target)?;
    }
    for (number, device) in launch.devices.iter().enumerate() {
        make_device(device, &outer.join("devices").join(number.to_string()), launch.owner)?;
    }
    Ok(())
}

/// Shows a directory of the host's programs read-only, or copies the link that stands in its place.
fn show_programs(source: &Path, target: &Path) -> io::Result<()> {
    let Ok(meta) = fs::symlink_metadata(source) else { return Ok(()) };
    if meta.is_symlink() {
        return symlink(fs::read_link(source)?, target);
    }
    make_directory(target)?;
    bind_recursive(source, target)?;
    restrict_recursive(target, libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV)
}

fn show_file(source: &Path, target: &Path) -> io::Result<()> {
    fs::File::create(target)?;
    mount(source, target, None, MsFlags::MS_BIND, None)
}

/// A node of the machine's own for a device of the host's: its root may use it, whoever owns the host's node.
fn make_device(device: &Device, target: &Path, owner: Option<u32>) -> io::Result<()> {
    use nix::sys::stat::{Mode, SFlag, mknod};
    let kind = SFlag::from_bits_truncate(device.mode & libc::S_IFMT);
    match mknod(target, kind, Mode::from_bits_truncate(device.mode & 0o777), device.number) {
        Ok(()) => {
            fs::set_permissions(target, Permissions::from_mode(device.mode & 0o777))?;
            chown(target, owner, owner)
        }
        // Inside a sandbox nodes cannot be made; the host's own serves if its permissions allow it.
        Err(nix::errno::Errno::EPERM) => show_file(&device.path, target),
        Err(errno) => Err(at("make the device node", &device.path, errno)),
    }
}

/// Makes `root` the root of this mount namespace and leaves everything else behind.
fn pivot(root: &Path) -> io::Result<()> {
    nix::unistd::pivot_root(root, &root.join("old"))?;
    std::env::set_current_dir("/")?;
    nix::mount::umount2("/old", MntFlags::MNT_DETACH)?;
    fs::remove_dir("/old")
}

/// Forks the door, which stays behind as a child of systemd-nspawn.
pub(crate) fn leave_door(socket: &OwnedFd) -> io::Result<()> {
    // SAFETY: the door allocates and makes system calls, no more.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            // SAFETY: only the socket is used from here on; _exit runs nothing of the parent's.
            unsafe {
                let fd = socket.as_raw_fd().cast_unsigned();
                libc::syscall(libc::SYS_close_range, 3, fd - 1, 0);
                libc::syscall(libc::SYS_close_range, fd + 1, u32::MAX, 0);
                libc::_exit(i32::from(door::stand(socket).is_err()))
            }
        }
        _ => Ok(()),
    }
}

fn execute(launch: &Launch) -> io::Result<Infallible> {
    let strings =
        |texts: &[String]| texts.iter().map(|text| CString::new(text.as_str())).collect::<Result<Vec<_>, _>>();
    let (argv, env) = (strings(&launch.argv)?, strings(&launch.env)?);
    let program = CString::new(launch.program.as_os_str().as_encoded_bytes())?;
    rustix::stdio::dup2_stdin(&launch.typed)?;
    rustix::stdio::dup2_stdout(&launch.console)?;
    rustix::stdio::dup2_stderr(&launch.console)?;
    // The console's and the door's descriptors must not stay open in systemd-nspawn, or their ends would never be seen.
    for fd in [&launch.console, &launch.typed, &launch.door, &launch.gate] {
        rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::CLOEXEC)?;
    }
    nix::unistd::execve(&program, &argv, &env).map_err(|errno| at("execute", &launch.program, errno))
}

pub(crate) fn make_directory(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other.map_err(|error| at("make the directory", path, error)),
    }
}

pub(crate) fn at(operation: &str, path: &Path, error: impl Into<io::Error>) -> io::Error {
    let error = error.into();
    io::Error::new(error.kind(), format!("{operation} {}: {error}", path.display()))
}
