//! The run's own pid and mount namespaces, held by an init that lives exactly as long as the driver.
//!
//! A thread unshares both (`unshare(2)`) and forks the init, which becomes pid 1 of the new pid namespace. The init does nothing but wait on a
//! pidfd of the driver. When the driver is gone, by whatever means, the init exits and the kernel kills every process of the namespace with
//! it (`pid_namespaces(7)`); the last one takes the mounts along.
//!
//! Where this process may make no namespaces there is only the init, and the run's processes are found by a mark in their environment.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::mount::MsFlags;
use nix::sched::{CloneFlags, setns, unshare};
use rustix::process::PidfdFlags;
use tokio::sync::oneshot;

use super::privilege::privilege;
use crate::process::Child;

/// A run's namespaces. Dropping them ends everything inside.
#[derive(Debug)]
pub(super) struct Namespaces {
    init: Child,
    handle: Arc<OwnedFd>,
}

impl Namespaces {
    /// Makes the namespaces, with an empty tmpfs on `state` that is seen only inside.
    pub(super) async fn create(state: PathBuf) -> io::Result<Self> {
        let init = on_thread("tandem-namespaces", move || unshare_and_fork(&state)).await??;
        let handle = Arc::new(init.as_fd().try_clone_to_owned()?);
        Ok(Self { init, handle })
    }

    /// A pidfd of the init, by which [`within`] and others join.
    pub(super) fn handle(&self) -> &Arc<OwnedFd> {
        &self.handle
    }

    /// Ends every process in the namespaces and returns once all are gone.
    pub(super) async fn end(mut self) -> io::Result<()> {
        self.init.kill();
        self.init.wait().await.map(drop)
    }
}

/// Runs `function` on a thread of its own that has joined the run's namespaces: what it mounts is mounted there, what it forks or spawns is
/// a process of the run. `/proc` is the run's there, in which the driver itself has no entry.
///
/// Processes may be spawned with tokio's `Command`: the thread is inside the caller's runtime.
pub async fn within<T: Send + 'static>(
    init: &OwnedFd,
    function: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let init = init.try_clone()?;
    let runtime = tokio::runtime::Handle::current();
    on_thread("tandem-within", move || {
        if !privilege().has_namespaces() {
            let _inside = runtime.enter();
            return function();
        }
        // A thread that shares its root and working directory with others cannot change its mount namespace (setns(2)).
        unshare(CloneFlags::CLONE_FS)?;
        setns(&init, CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID)?;
        let _inside = runtime.enter();
        function()
    })
    .await?
}

/// Runs `function` on a fresh thread, which ends with it: threads that changed namespaces are never used again.
async fn on_thread<T: Send + 'static>(name: &str, function: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let (done, result) = oneshot::channel();
    std::thread::Builder::new().name(name.into()).spawn(move || {
        let _ = done.send(function());
    })?;
    result.await.map_err(|_| io::Error::other("a thread of the driver's panicked"))
}

fn unshare_and_fork(state: &Path) -> io::Result<Child> {
    let driver = rustix::process::pidfd_open(rustix::process::getpid(), PidfdFlags::empty())?;
    if !privilege().has_namespaces() {
        // SAFETY: `wait_for` only makes system calls.
        return unsafe { Child::fork(&[driver.as_raw_fd()], || wait_for(driver.as_fd())) };
    }
    let (ready, report) = io::pipe()?;
    unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID).map_err(|errno| {
        io::Error::new(io::Error::from(errno).kind(), format!("unshare of pid and mount namespaces: {}", errno.desc()))
    })?;
    // Mounts made on the host still show up inside, none made inside shows up on the host.
    mount(None, Path::new("/"), None, MsFlags::MS_REC | MsFlags::MS_SLAVE, None)?;
    mount(Some("tmpfs"), state, Some("tmpfs"), MsFlags::MS_NOSUID, Some("mode=0700"))?;
    // SAFETY: `init` only makes system calls.
    let child =
        unsafe { Child::fork(&[driver.as_raw_fd(), report.as_raw_fd()], || init(driver.as_fd(), report.as_fd()))? };
    drop(report);
    let mut errno = [0; 4];
    match rustix::io::read(&ready, &mut errno)? {
        4 => match i32::from_ne_bytes(errno) {
            0 => Ok(child),
            errno => Err(io::Error::from_raw_os_error(errno)),
        },
        _ => Err(io::Error::other("the run's init ended at its start")),
    }
}

/// Pid 1 of the run: mounts the namespace's own `/proc`, says so, and waits for the driver's end.
fn init(driver: BorrowedFd<'_>, report: BorrowedFd<'_>) -> i32 {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let errno = match nix::mount::mount(Some("proc"), "/proc", Some("proc"), flags, None::<&str>) {
        Ok(()) => 0,
        Err(errno) => errno as i32,
    };
    // SAFETY: no handler is installed: ignored children are reaped by the kernel (signal(7)), so orphans leave no zombies here.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    if rustix::io::write(report, &errno.to_ne_bytes()).is_err() || errno != 0 {
        return 1;
    }
    wait_for(driver)
}

/// Waits for the driver's end.
fn wait_for(driver: BorrowedFd<'_>) -> i32 {
    // SAFETY: plain system calls. The session of its own keeps a terminal's Ctrl-C away.
    unsafe {
        libc::setsid();
        libc::prctl(libc::PR_SET_NAME, c"tandem-init".as_ptr());
    }
    let mut poll = [rustix::event::PollFd::new(&driver, rustix::event::PollFlags::IN)];
    while let Err(rustix::io::Errno::INTR) = rustix::event::poll(&mut poll, None) {}
    0
}

fn mount(
    source: Option<&str>,
    target: &Path,
    kind: Option<&str>,
    flags: MsFlags,
    data: Option<&str>,
) -> io::Result<()> {
    nix::mount::mount(source, target, kind, flags, data).map_err(|errno| {
        io::Error::new(io::Error::from(errno).kind(), format!("mount on {}: {}", target.display(), errno.desc()))
    })
}
