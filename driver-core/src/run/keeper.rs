//! The keeper: a small process outside the run's namespaces that removes what does not die with a process.
//!
//! It is a fork of the driver, in a session of its own, so that neither a signal to the driver's process group nor the driver's own death
//! reaches it. It waits for the driver's end or for its word, ends the run's init, and then removes the run's cgroups and directory. There is
//! no other code that cleans a run up: a run that ends well asks the keeper, too.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::process::{PidfdFlags, Signal};

use super::state::StateDirectories;
use super::{cgroup, marked, state};
use crate::process::Child;

/// How long processes of a run may take to leave their cgroups after they were killed.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a run leaves outside its namespaces.
#[derive(Clone, Debug)]
pub(super) struct Leftovers {
    /// The run's cgroup in each hierarchy.
    pub(super) cgroups: Vec<PathBuf>,
    /// The run's directory.
    pub(super) directory: PathBuf,
    /// What machines wrote elsewhere and nobody wants to keep.
    pub(super) state: Vec<PathBuf>,
}

/// The driver's side of the keeper. Dropping it makes the keeper clean up at once, without waiting for it.
#[derive(Debug)]
pub(super) struct Keeper {
    child: Option<Child>,
    word: OwnedFd,
}

impl Keeper {
    /// Forks the keeper of a run whose init is `init`. `state` is where the machines' state lies, if that is not in the run's directory: the
    /// keeper holds its lock as long as it needs to.
    pub(super) fn start(
        init: BorrowedFd<'_>,
        leftovers: &Leftovers,
        state: Option<&StateDirectories>,
    ) -> io::Result<Self> {
        let driver = rustix::process::pidfd_open(rustix::process::getpid(), PidfdFlags::empty())?;
        let (ear, word) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        let mut keep = vec![driver.as_raw_fd(), ear.as_raw_fd(), init.as_raw_fd()];
        let lock = state.map(StateDirectories::lock);
        keep.extend(lock.as_ref().map(|(lock, _)| lock.as_raw_fd()));
        let lock = lock.map(|(_, path)| path);
        // SAFETY: `keep_watch` allocates and makes system calls, no more.
        let child = unsafe {
            Child::fork(&keep, || keep_watch(driver.as_fd(), ear.as_fd(), init, leftovers, lock.as_deref()))?
        };
        Ok(Self { child: Some(child), word })
    }

    /// Has the run removed and returns once nothing of it is left.
    pub(super) async fn clean_up(mut self) -> io::Result<()> {
        rustix::io::write(&self.word, b"x")?;
        let Some(mut child) = self.child.take() else { return Ok(()) };
        match child.wait().await? {
            0 => Ok(()),
            _ => Err(io::Error::other(
                "the keeper could not end all processes or remove all cgroups or files of the run",
            )),
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        // Without the word it would wait for the end of this process, which may be a test runner with other things to do.
        let _ = rustix::io::write(&self.word, b"x");
        let _ = child.wait_blocking();
    }
}

fn keep_watch(
    driver: BorrowedFd<'_>,
    ear: BorrowedFd<'_>,
    init: BorrowedFd<'_>,
    leftovers: &Leftovers,
    lock: Option<&Path>,
) -> i32 {
    // SAFETY: plain system calls; ignored signals run no handler.
    unsafe {
        libc::setsid();
        libc::prctl(libc::PR_SET_NAME, c"tandem-keeper".as_ptr());
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT] {
            libc::signal(signal, libc::SIG_IGN);
        }
    }
    // The terminal or pipe of the driver must not be held open by a keeper that outlives it.
    if let Ok(null) = fs::OpenOptions::new().read(true).write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdin(&null);
        let _ = rustix::stdio::dup2_stdout(&null);
        let _ = rustix::stdio::dup2_stderr(&null);
    }
    let _ = std::env::set_current_dir("/");
    let mut poll = [PollFd::new(&driver, PollFlags::IN), PollFd::new(&ear, PollFlags::IN)];
    while let Err(rustix::io::Errno::INTR) = rustix::event::poll(&mut poll, None) {}
    // The pipe may break before the process that held it counts as gone. Only a living driver says its word.
    let word = poll[1].revents().contains(PollFlags::IN) && rustix::io::read(ear, &mut [0]) == Ok(1);
    let driver_is_gone = !word;
    let _ = rustix::process::pidfd_send_signal(init, Signal::KILL);
    if lock.is_some() {
        // Nobody writes where the state is once the init is gone: it goes as the last process of its namespace.
        let patience = rustix::event::Timespec::try_from(PATIENCE).ok();
        let _ = rustix::event::poll(&mut [PollFd::new(&init, PollFlags::IN)], patience.as_ref());
    }
    // Before what they have open is removed.
    let ended = marked::end_all(PATIENCE);
    let gone = remove(leftovers) && ended;
    if let (true, Some(lock)) = (driver_is_gone, lock) {
        // Still locked by this process, so that nobody takes it for a new one's.
        let _ = fs::remove_file(lock);
    }
    i32::from(!gone)
}

/// Removes a run's leftovers; whether all are gone. Waits for killed processes to leave their cgroups.
pub(super) fn remove(leftovers: &Leftovers) -> bool {
    let deadline = Instant::now() + PATIENCE;
    let mut left: Vec<&PathBuf> = leftovers.cgroups.iter().collect();
    loop {
        left.retain(|tree| cgroup::remove_tree(tree).is_err());
        if left.is_empty() || Instant::now() > deadline {
            break;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    // Each of them, whatever became of the others.
    let kept = leftovers.state.iter().filter(|path| state::remove(path).is_err()).count();
    let gone = remove_directory(&leftovers.directory).is_ok();
    kept == 0 && gone && left.is_empty()
}

/// Removes a run's directory, and the directory of all runs if it was the last.
fn remove_directory(directory: &Path) -> io::Result<()> {
    let result = match fs::remove_dir_all(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    };
    if let Some(parent) = directory.parent() {
        // Fails while other runs are there, which is meant.
        let _ = fs::remove_dir(parent);
    }
    result
}
