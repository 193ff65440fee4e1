//! Directories of the host's own in which the machines of a run keep their state, for whoever wants to keep it or to look at it.
//!
//! They lie where upstream has them: `ROOT/vm-state-NAME` for each machine and `ROOT/shared-xchg` for all of them. A lock (flock(2)) on a file
//! in the root is held while they are used; the run's keeper holds it, too, so that nobody takes them while it removes them. Who finds the
//! root taken gets a directory of his own below it.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::IFlags;

use super::directory::random_name;
use crate::spec::Problem;

/// The file that is locked; it holds the driver's pid.
const LOCK: &str = "tandem.lock";

/// Begins the name of a directory for a driver that finds the root taken.
const OWN: &str = "tandem-state-";

/// The same while it is not locked yet.
const UNFINISHED: &str = ".tandem-state-";

/// A place for the state of one run's machines, which is this process's until the value is dropped.
#[derive(Debug)]
pub struct StateDirectories {
    root: PathBuf,
    /// The root is a directory of this driver's own, below that of all.
    own: bool,
    keep: bool,
    lock: File,
}

impl StateDirectories {
    /// Claims `root`, which must exist, or a directory below it if another driver has claimed that, or if another user has left something in it
    /// that `machines` would use. With `keep`, what is there is kept, and so is what the run leaves; then it must be `root` itself.
    pub fn claim<'a>(root: &Path, keep: bool, machines: impl IntoIterator<Item = &'a str>) -> Result<Self, Problem> {
        let problem =
            |message: String, cure: &str| Problem::host(format!("state in {}", root.display()), message, cure);
        let unusable =
            |error: io::Error| problem(error.to_string(), "set XDG_RUNTIME_DIR to a directory that can be written to");
        sweep(root);
        let path = root.join(LOCK);
        let in_the_way = match lock(&path).map_err(unusable)? {
            Some(lock) => {
                let claimed = Self { root: root.into(), own: false, keep, lock };
                match claimed.foreign(machines) {
                    Some(path) => format!("{} is another user's", path.display()),
                    None => return Ok(claimed),
                }
            }
            None => format!("{} uses it", holder(&path)),
        };
        if keep {
            let cure = "wait for its end, set XDG_RUNTIME_DIR to another directory, or let the state go";
            return Err(problem(in_the_way, cure));
        }
        Self::own(root).map_err(unusable)
    }

    /// Something that this driver would use and that is not this user's.
    fn foreign<'a>(&self, machines: impl IntoIterator<Item = &'a str>) -> Option<PathBuf> {
        let user = rustix::process::geteuid().as_raw();
        let mut places = machines.into_iter().map(|name| self.machine(name)).chain([self.shared(), self.record()]);
        places.find(|path| fs::symlink_metadata(path).is_ok_and(|found| found.uid() != user))
    }

    fn own(root: &Path) -> io::Result<Self> {
        let name = random_name()?;
        let unfinished = root.join(format!("{UNFINISHED}{name}"));
        let own = root.join(format!("{OWN}{name}"));
        DirBuilder::new().mode(0o700).create(&unfinished)?;
        let taken = || io::Error::other("somebody has locked a directory that was just made");
        let lock = lock(&unfinished.join(LOCK))?.ok_or_else(taken)?;
        fs::rename(unfinished, &own)?;
        Ok(Self { root: own, own: true, keep: false, lock })
    }

    /// Where the directories lie.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether what the machines leave is kept.
    pub fn keep(&self) -> bool {
        self.keep
    }

    /// The directory of a machine.
    pub fn machine(&self, name: &str) -> PathBuf {
        self.root.join(format!("vm-state-{name}"))
    }

    /// The directory for all machines.
    pub fn shared(&self) -> PathBuf {
        self.root.join("shared-xchg")
    }

    /// Where a record of the run can lie that is not to lie elsewhere. Whoever makes it removes it.
    pub fn record(&self) -> PathBuf {
        self.root.join("tandem-record")
    }

    /// Makes the directories of these machines, only for this user to enter. Those that an earlier run left are deleted first, unless they are
    /// to be kept; `deleted` is told of each.
    ///
    /// With each machine goes whether the directory is to be its root. Users in the machine have to enter that one, and so everybody may, unless
    /// the host's users would get to it then.
    pub fn make<'a>(
        &self,
        machines: impl IntoIterator<Item = (&'a str, bool)>,
        mut deleted: impl FnMut(&Path),
    ) -> io::Result<()> {
        let is_private = fs::metadata(&self.root)?.mode() & 0o011 == 0;
        let mut place = |path: &Path, told: bool, mode: u32| -> io::Result<()> {
            if !self.keep && fs::symlink_metadata(path).is_ok() {
                remove(path)?;
                if told {
                    deleted(path);
                }
            }
            make(path, mode)
        };
        for (name, is_root) in machines {
            // A socket of no process any more.
            remove(&self.notify(name))?;
            let path = self.machine(name);
            let mode = if is_root && is_private { 0o755 } else { 0o700 };
            place(&path, true, mode).map_err(|error| at(&path, &error))?;
        }
        let shared = self.shared();
        place(&shared, false, 0o700).map_err(|error| at(&shared, &error))
    }

    /// What the keeper removes when the run of these machines is over.
    pub(super) fn leftovers<'a>(&self, machines: impl IntoIterator<Item = &'a str>) -> Vec<PathBuf> {
        let mut leftovers = Vec::new();
        for name in machines {
            leftovers.push(self.notify(name));
            leftovers.extend((!self.keep).then(|| self.machine(name)));
        }
        leftovers.extend((!self.keep).then(|| self.shared()));
        leftovers
    }

    /// Where upstream's driver is told by a container with a start script that it is ready.
    fn notify(&self, machine: &str) -> PathBuf {
        self.root.join(format!("{machine}-nspawn.sock"))
    }

    pub(super) fn lock(&self) -> (&File, PathBuf) {
        (&self.lock, self.lock_path())
    }

    fn lock_path(&self) -> PathBuf {
        self.root.join(LOCK)
    }
}

impl Drop for StateDirectories {
    fn drop(&mut self) {
        // The next to come finds no file, or one that is not locked any more: he has a look at both.
        let _ = fs::remove_file(self.lock_path());
        if self.own {
            // Fails if something in it is meant to be found there. The next driver's sweep takes it then.
            let _ = fs::remove_dir(&self.root);
        }
        // Closing is not enough: a process that was just forked may hold a copy of the descriptor.
        let _ = self.lock.unlock();
    }
}

/// Locks a file, which is made if need be. None if somebody else has it locked, or if it is another user's.
fn lock(path: &Path) -> io::Result<Option<File>> {
    loop {
        let mut options = OpenOptions::new();
        let flags = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
        options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(flags);
        let mut file = match options.open(path) {
            // With this file there, the directory can be written to, at least by others.
            Err(error) if error.kind() == ErrorKind::PermissionDenied && path.exists() => return Ok(None),
            other => other?,
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Whoever had it locked may have removed it meanwhile.
        let (own, there) = (file.metadata()?, fs::symlink_metadata(path));
        if there.is_ok_and(|there| (there.dev(), there.ino()) == (own.dev(), own.ino())) {
            file.set_len(0)?;
            writeln!(file, "{}", std::process::id())?;
            return Ok(Some(file));
        }
    }
}

/// Who holds a lock, as far as the file tells.
fn holder(path: &Path) -> String {
    let mut pid = String::new();
    let read = File::open(path).and_then(|file| file.take(20).read_to_string(&mut pid));
    match pid.trim().parse::<u32>() {
        Ok(pid) if read.is_ok() => format!("another driver, process {pid},"),
        _ => "another driver".into(),
    }
}

/// Removes the directories of drivers that found the root taken and are gone. Best effort.
fn sweep(root: &Path) {
    for path in dead_state(root) {
        let _ = remove(&path);
    }
}

/// The directories below `root` of drivers of this user's that found it taken and are gone.
pub fn dead_state(root: &Path) -> Vec<PathBuf> {
    let user = rustix::process::geteuid().as_raw();
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    let is_own = |entry: &fs::DirEntry| {
        let begins = entry.file_name().to_str().and_then(|name| name.strip_prefix(OWN)).is_some_and(is_random_name);
        begins && entry.metadata().is_ok_and(|found| found.is_dir() && found.uid() == user)
    };
    entries.filter(is_own).map(|entry| entry.path()).filter(|path| is_dead(path)).collect()
}

/// Removes one of [`dead_state`], if nobody has it still.
pub fn remove_dead_state(directory: &Path) -> io::Result<()> {
    if !is_dead(directory) {
        return Err(io::Error::other("a driver uses it"));
    }
    remove(directory)
}

/// Whether this is what [`random_name`] makes: other directories may begin like ours.
fn is_random_name(name: &str) -> bool {
    name.len() == 8 && name.bytes().all(|byte| byte.is_ascii_lowercase() || (b'2'..=b'7').contains(&byte))
}

/// Whether no driver has this directory. One that is done with it leaves no lock, or only what may be lost.
fn is_dead(directory: &Path) -> bool {
    match File::open(directory.join(LOCK)) {
        Ok(lock) => lock.try_lock().is_ok(),
        Err(error) => error.kind() == ErrorKind::NotFound,
    }
}

/// Makes a directory, or makes sure that what is there is one of this user's.
fn make(path: &Path, mode: u32) -> io::Result<()> {
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        other => return other,
    }
    let found = fs::symlink_metadata(path)?;
    if !found.is_dir() || found.uid() != rustix::process::geteuid().as_raw() {
        return Err(io::Error::other("it is not a directory of this user's"));
    }
    Ok(())
}

/// Removes a file or a directory with all in it.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    let kind = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        other => other?.file_type(),
    };
    if !kind.is_dir() {
        return fs::remove_file(path);
    }
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            unlock_tree(path);
            fs::remove_dir_all(path)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Lets a tree be changed: NixOS makes `/var/empty` immutable, for one. Best effort.
fn unlock_tree(directory: &Path) {
    let locked = IFlags::IMMUTABLE | IFlags::APPEND;
    if let Ok(open) = File::open(directory)
        && let Ok(flags) = rustix::fs::ioctl_getflags(&open)
        && flags.intersects(locked)
    {
        let _ = rustix::fs::ioctl_setflags(&open, flags - locked);
    }
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            unlock_tree(&entry.path());
        }
    }
}

fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests;
