//! One boot of a container: from its namespaces to a systemd-nspawn that runs.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use driver_core::backend::{Descriptors, StartRequest};
use driver_core::console::Console;
use driver_core::event::Level;
use driver_core::process::wait_readable;
use driver_core::run::{cgroup, within};
use driver_core::spec::Machined;
use netbridge::{Namespace, Port};
use tokio::net::UnixDatagram;
use tokio::task::JoinHandle;

use crate::argv::{self, Shown, place};
use crate::channel::Channel;
use crate::console::Keyboard;
use crate::launch::{self, Device, Kind, Launch, Launched};
use crate::process::Process;
use crate::scope::Scopes;
use crate::userns::{self, Namespaces};
use crate::wires::{self, Ours, Theirs};
use crate::{disk, door, notify, toplevel};
use driver_core::mount::Detached;

/// Name of the cgroups that hold commands.
const COMMANDS: &str = "commands";

/// A systemd-nspawn that runs. Dropping it ends the container.
#[derive(Debug)]
pub(crate) struct Boot {
    pub(crate) process: Process,
    pub(crate) notify: UnixDatagram,
    pub(crate) channel: Arc<Channel>,
    /// Near ends of the machine's interfaces, in the order of the request's attachments.
    pub(crate) ports: Vec<Port>,
    /// The machine's cgroup in each hierarchy.
    pub(crate) cgroups: Vec<PathBuf>,
    /// Host id of the machine's root user; none where it shares the host's.
    pub(crate) owner: Option<u32>,
    /// Where the machine is to be registered.
    pub(crate) scopes: Option<Scopes>,
    /// Where the console's input comes from.
    pub(crate) keyboard: Arc<Keyboard>,
    /// Ends with the console's last line.
    pub(crate) console: JoinHandle<()>,
}

/// Boots the container as far as systemd-nspawn's execution.
pub(crate) async fn start(
    program: &Path,
    request: &StartRequest,
    descriptors: &Descriptors,
    console: &Console,
) -> io::Result<Boot> {
    let (namespaces, owner) = namespaces(request, console).await?;
    let network = Namespace::from_fd(namespaces.net.try_clone()?).await.map_err(io::Error::other)?;
    let ports = descriptors.plug(request, &network).await?;
    let scopes = scopes(request, console).await?;
    let mut cgroups = match scopes {
        // systemd moves the process.
        Some(_) => Vec::new(),
        None => cgroup::make(&request.cgroups, &request.machine.name, owner.unwrap_or(0)),
    };
    let (ours, Theirs { console: said, typed, door, gate }) = wires::draw(console)?;
    let job = {
        let (program, request, cgroups) = (program.to_owned(), request.clone(), cgroups.clone());
        move || {
            disk::prepare(&request, namespaces.user.as_fd(), owner)?;
            let socket = notify::bind(&request.state.join("notify"), owner)?;
            let userns = owner.is_some().then(|| namespaces.user.as_fd());
            let (mut binds, mut shown) = binds(&request, userns)?;
            for own in toplevel::shown(&request, userns, owner)? {
                let (source, target) = (format!("{}/{}", place::BINDS, binds.len()), own.target.to_owned());
                shown.push(Shown { source, target, writable: own.writable });
                binds.push(own.bind);
            }
            let (devices, nodes) = devices(&request)?;
            shown.extend(nodes);
            let launch = Launch {
                program,
                argv: argv::argv(&request.machine.name, &request.machine.root, &shown),
                env: argv::env(),
                state: request.state,
                owner,
                namespaces,
                cgroups,
                binds,
                devices,
                console: said,
                typed,
                door,
                gate,
            };
            Ok((launch::start(launch)?, socket))
        }
    };
    let (Launched { shim, nspawn, report }, socket) = within(&descriptors.init, job).await?;
    let process = Process::new(nspawn, shim);
    if let Some(scopes) = &scopes {
        cgroups = scopes.enter(process.init(), owner.unwrap_or(0)).await.map_err(io::Error::other)?;
    }
    let Ours { channel, keyboard, console, opener } = ours;
    rustix::io::write(&opener, b"x")?;
    executed(&report).await?;
    let notify = UnixDatagram::from_std(socket)?;
    Ok(Boot { process, notify, channel, ports, cgroups, owner, scopes, keyboard, console })
}

/// The host's systemd, if this machine is to be registered there. Where that is only wished for and fails, the machine goes without.
pub(crate) async fn scopes(request: &StartRequest, console: &Console) -> io::Result<Option<Scopes>> {
    match Scopes::connect(request).await {
        Ok(scopes) => Ok(scopes),
        Err(error) if request.machined == Machined::Require => Err(io::Error::other(error)),
        Err(error) => {
            console.recorder().message(Level::Warning, format!("not registered with systemd-machined: {error}"));
            Ok(None)
        }
    }
}

/// Waits until systemd-nspawn is executed.
async fn executed(report: &OwnedFd) -> io::Result<()> {
    wait_readable(report.as_fd()).await?;
    let mut said = [0; 4096];
    match door::receive(report.as_fd(), &mut said)? {
        (0, _) => Ok(()),
        (length, _) => Err(io::Error::other(String::from_utf8_lossy(&said[..length]).into_owned())),
    }
}

/// Makes the boot's namespaces, and says which host id is root's in them. Where the machine's files cannot be shown with ids of its own, the
/// machine shares the host's, which is a weaker wall and is said so.
async fn namespaces(request: &StartRequest, console: &Console) -> io::Result<(Namespaces, Option<u32>)> {
    let (root, first) = (request.machine.root.clone(), request.first_id);
    let (namespaces, owner) = tokio::task::spawn_blocking(move || -> io::Result<_> {
        let namespaces = userns::create(first)?;
        if first.is_none() || disk::can_map_ids(&root, namespaces.user.as_fd()) {
            return Ok((namespaces, first));
        }
        Ok((userns::create(None)?, None))
    })
    .await
    .map_err(io::Error::other)?
    .map_err(|error| io::Error::new(error.kind(), format!("make user and network namespaces: {error}")))?;
    if owner.is_none() && first.is_some() {
        let text = "the file system of the machine's root cannot map ids: root in the machine has uid 0 of the host for files, \
                    though none of its capabilities";
        console.recorder().message(Level::Warning, text);
    }
    Ok((namespaces, owner))
}

/// Copies the mounts that the machine's `binds` show.
fn binds(request: &StartRequest, userns: Option<BorrowedFd<'_>>) -> io::Result<(Vec<launch::Bind>, Vec<Shown>)> {
    let mut mounts = Vec::new();
    let mut shown = Vec::new();
    for (number, bind) in request.machine.binds.iter().enumerate() {
        let copy = Detached::copy(&bind.source)?;
        if let Some(userns) = userns {
            copy.map_ids(userns).map_err(|error| {
                let text =
                    format!("the file system of {} cannot map ids to the machine's: {error}", bind.source.display());
                io::Error::new(error.kind(), text)
            })?;
        }
        let readonly = if bind.writable { 0 } else { libc::MOUNT_ATTR_RDONLY };
        copy.restrict(readonly | libc::MOUNT_ATTR_NODEV | libc::MOUNT_ATTR_NOSUID)?;
        let kind = if fs::metadata(&bind.source)?.is_dir() { Kind::Directory } else { Kind::File };
        mounts.push(launch::Bind { mount: copy, kind });
        shown.push(Shown {
            source: format!("{}/{number}", place::BINDS),
            target: bind.target.display().to_string(),
            writable: bind.writable,
        });
    }
    Ok((mounts, shown))
}

/// Looks up the machine's `devices`.
fn devices(request: &StartRequest) -> io::Result<(Vec<Device>, Vec<Shown>)> {
    let mut devices = Vec::new();
    let mut shown = Vec::new();
    for (number, path) in request.machine.devices.iter().enumerate() {
        let meta =
            fs::metadata(path).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        if !meta.file_type().is_char_device() && !meta.file_type().is_block_device() {
            return Err(io::Error::other(format!("{} is no device node", path.display())));
        }
        devices.push(Device { path: path.clone(), mode: meta.mode(), number: meta.rdev() });
        shown.push(Shown {
            source: format!("{}/{number}", place::DEVICES),
            target: path.display().to_string(),
            writable: true,
        });
    }
    Ok((devices, shown))
}

/// Opens the cgroup of version 2 that commands are born into: below what belongs to the container's systemd, which may then move them.
pub(crate) fn commands_cgroup(cgroups: &[PathBuf], owner: Option<u32>) -> Option<OwnedFd> {
    // Only version 2 has this file in every cgroup.
    let payload =
        cgroups.iter().map(|machine| machine.join("payload")).find(|dir| dir.join("cgroup.events").exists())?;
    let leaf = payload.join(COMMANDS);
    match fs::create_dir(&leaf) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return None,
        _ => {}
    }
    cgroup::delegate(&leaf, owner.unwrap_or(0)).ok()?;
    fs::File::open(&leaf).ok().map(Into::into)
}

/// Moves the door into a leaf of the machine's cgroups, beside what belongs to the container's systemd.
pub(crate) fn enter_leaf(cgroups: &[PathBuf], door: BorrowedFd<'_>) -> io::Result<()> {
    let pid = driver_core::process::pid_of(door)?;
    for machine in cgroups {
        let leaf = machine.join(COMMANDS);
        match fs::create_dir(&leaf) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        cgroup::inherit_cpuset(&leaf)?;
        fs::write(leaf.join("cgroup.procs"), pid.to_string())?;
    }
    Ok(())
}

/// Sends a signal by pidfd, real-time signals included (`pidfd_send_signal(2)`).
pub(crate) fn signal(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    // SAFETY: a plain system call; a null siginfo asks for the default one.
    let result = unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, std::ptr::null::<libc::siginfo_t>(), 0)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
