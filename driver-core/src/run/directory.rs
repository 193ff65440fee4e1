//! The run's private directory: its lock, what it claims, its sockets.
//!
//! `BASE/RUN/` is mode 0700 and locked (flock(2)) for as long as the run lives. A directory that is not locked belongs to a run whose driver
//! and keeper were both killed; the next run removes it with all that it recorded.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{FlockOperation, flock};

use super::keeper::{self, Leftovers};
use super::marked;

/// Ids in one machine's user namespace.
pub const IDS: u32 = 65536;

/// Blocks of [`IDS`] host ids that runs take from: 1,073,741,824 to 1,835,008,000, above what subuid(5) hands out by default and below what
/// systemd keeps for itself (systemd's "Users, Groups, UIDs and GIDs").
const BLOCKS: std::ops::Range<u32> = 16384..28000;

/// Made under this name, renamed once locked, so that a sweep never sees a directory that is new but not yet locked.
const UNFINISHED: &str = ".new-";

/// A run's private directory. The lock is held while this value lives.
#[derive(Debug)]
pub(super) struct RunDirectory {
    path: PathBuf,
    name: String,
    _lock: File,
}

impl RunDirectory {
    /// Makes the directory of a new run in `base`.
    pub(super) fn create(base: &Path) -> io::Result<Self> {
        let mut attempts = 0;
        loop {
            match Self::try_create(base) {
                // The last run of before may remove the base between our two calls; a name may be taken.
                Err(error)
                    if attempts < 100
                        && matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists) =>
                {
                    attempts += 1;
                }
                other => return other,
            }
        }
    }

    fn try_create(base: &Path) -> io::Result<Self> {
        private_directory(base)?;
        let name = random_name()?;
        let unfinished = base.join(format!("{UNFINISHED}{name}"));
        DirBuilder::new().mode(0o700).create(&unfinished)?;
        let lock = File::create(unfinished.join("lock"))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        let path = base.join(&name);
        fs::rename(&unfinished, &path)?;
        let directory = Self { path, name, _lock: lock };
        for place in [directory.state(), directory.sockets()] {
            DirBuilder::new().mode(0o700).create(place)?;
        }
        Ok(directory)
    }

    /// The run's name, unique on this host.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The directory.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the run's tmpfs is mounted inside its mount namespace; outside it is an empty directory.
    pub(super) fn state(&self) -> PathBuf {
        self.path.join("state")
    }

    /// Where machines have sockets that the driver sees, too.
    pub(super) fn sockets(&self) -> PathBuf {
        self.path.join("sockets")
    }

    /// Notes cgroups, for the sweep of a later run.
    pub(super) fn note_cgroups(&self, cgroups: &[PathBuf]) -> io::Result<()> {
        let mut file = File::create(self.path.join("cgroups"))?;
        cgroups.iter().try_for_each(|path| writeln!(file, "{}", path.display()))
    }

    /// Notes the mark by which the run's processes are found, for the same.
    pub(super) fn note_mark(&self, mark: &str) -> io::Result<()> {
        fs::write(self.path.join("mark"), mark)
    }

    /// Claims a block of [`IDS`] host ids for each of `count` machines that no other run of this host has; returns the first id of each.
    pub(super) fn claim_ids(&self, count: usize) -> io::Result<Vec<u32>> {
        let base = self.path.parent().expect("a run's directory lies in the base");
        // Runs claim one after another: the lock on the base ends with this function.
        let turn = File::open(base)?;
        flock(&turn, FlockOperation::LockExclusive)?;
        let taken = taken_blocks(base)?;
        let mut free: Vec<u32> = Vec::with_capacity(count);
        let start = u32::from_ne_bytes(random()?) % (BLOCKS.end - BLOCKS.start);
        for offset in 0..BLOCKS.end - BLOCKS.start {
            let block = BLOCKS.start + (start + offset) % (BLOCKS.end - BLOCKS.start);
            if free.len() == count {
                break;
            }
            if !taken.contains(&block) {
                free.push(block);
            }
        }
        if free.len() < count {
            return Err(io::Error::other("no block of user ids is free: too many machines run on this host"));
        }
        let mut file = OpenOptions::new().create(true).append(true).open(self.path.join("ids"))?;
        for block in &free {
            writeln!(file, "{block}")?;
        }
        Ok(free.into_iter().map(|block| block * IDS).collect())
    }
}

/// Where this user's runs have their directories: `/run/tandem` for root, else `$XDG_RUNTIME_DIR/tandem`, else below the temporary directory.
pub(super) fn base() -> PathBuf {
    let uid = rustix::process::geteuid();
    if uid.is_root() && rustix::fs::access("/run", rustix::fs::Access::WRITE_OK).is_ok() {
        return "/run/tandem".into();
    }
    match std::env::var_os("XDG_RUNTIME_DIR") {
        Some(directory) if Path::new(&directory).is_dir() => Path::new(&directory).join("tandem"),
        _ => std::env::temp_dir().join(format!("tandem-{}", uid.as_raw())),
    }
}

/// Removes what runs left whose driver and keeper are both dead. Best effort: a later sweep tries again.
pub(super) fn sweep(base: &Path) {
    for directory in entries(base).unwrap_or_default() {
        if life(&directory) == Life::Dead {
            remove_dead(&directory);
        }
    }
}

/// Removes what a run left whose driver and keeper are both dead, and says whether nothing is left.
pub(super) fn remove_dead(directory: &Path) -> bool {
    let mark = fs::read_to_string(directory.join("mark")).unwrap_or_default();
    let ended = marked::end_of_driver(&mark, Duration::from_secs(1));
    let leftovers = Leftovers { cgroups: noted_cgroups(directory), directory: directory.to_owned(), state: Vec::new() };
    keeper::remove(&leftovers) && ended
}

/// The directories in a base that runs may have made. There is none if there is no base.
pub(super) fn entries(base: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(base) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    ensure_private(base)?;
    // Without those that end meanwhile.
    let directories = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    Ok(directories.map(|entry| entry.path()).collect())
}

/// The cgroups that a run has noted.
pub(super) fn noted_cgroups(directory: &Path) -> Vec<PathBuf> {
    fs::read_to_string(directory.join("cgroups")).unwrap_or_default().lines().map(PathBuf::from).collect()
}

/// What can be said of a run by its directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Living,
    Dead,
    /// It begins or ends right now.
    Unsure,
}

/// Whether the run of a directory lives.
pub(super) fn life(directory: &Path) -> Life {
    let unfinished = directory.file_name().is_some_and(|name| name.to_string_lossy().starts_with(UNFINISHED));
    let lock = if unfinished { Err(io::ErrorKind::NotFound.into()) } else { File::open(directory.join("lock")) };
    match lock {
        // Shared, so that no look at a run disturbs another one.
        Ok(lock) => match flock(&lock, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Life::Dead,
            Err(_) => Life::Living,
        },
        // Whoever removed the directory was killed on the way, or whoever made it.
        Err(error) if error.kind() == io::ErrorKind::NotFound && is_old(directory) => Life::Dead,
        Err(_) => Life::Unsure,
    }
}

fn is_old(directory: &Path) -> bool {
    let made = fs::metadata(directory).and_then(|meta| meta.modified());
    made.is_ok_and(|made| SystemTime::now().duration_since(made).is_ok_and(|age| age > Duration::from_secs(60)))
}

fn taken_blocks(base: &Path) -> io::Result<Vec<u32>> {
    let mut taken = Vec::new();
    for entry in fs::read_dir(base)? {
        let ids = fs::read_to_string(entry?.path().join("ids")).unwrap_or_default();
        taken.extend(ids.lines().filter_map(|line| line.parse::<u32>().ok()));
    }
    Ok(taken)
}

/// Makes a directory that only this user may enter, or makes sure that the one there is such a directory: in a place that others can write
/// to, someone else's directory must not be trusted.
fn private_directory(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => ensure_private(path),
        other => other,
    }
}

fn ensure_private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let meta = fs::symlink_metadata(path)?;
    if meta.is_dir() && meta.uid() == rustix::process::geteuid().as_raw() && meta.mode().trailing_zeros() >= 6 {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::PermissionDenied,
        format!("{} is not a directory that only this user may enter; remove it", path.display()),
    ))
}

/// Eight characters of `[a-z2-7]`: 40 random bits.
pub(super) fn random_name() -> io::Result<String> {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    Ok(random::<8>()?.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect())
}

fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_private_and_named_alike() {
        use std::os::unix::fs::MetadataExt;
        let base = tempfile::tempdir().unwrap();
        let run = RunDirectory::create(&base.path().join("tandem")).unwrap();
        assert_eq!(run.path().file_name().unwrap().to_str().unwrap(), run.name());
        assert_eq!(fs::metadata(run.path()).unwrap().mode() & 0o777, 0o700);
        assert!(run.state().is_dir());
    }

    #[test]
    fn a_base_that_others_may_enter_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let base = tempfile::tempdir().unwrap();
        fs::set_permissions(base.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let error = RunDirectory::create(base.path()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    }

    #[test]
    fn ids_never_overlap() {
        let base = tempfile::tempdir().unwrap();
        let base = base.path().join("tandem");
        let (one, two) = (RunDirectory::create(&base).unwrap(), RunDirectory::create(&base).unwrap());
        let mut all = one.claim_ids(30).unwrap();
        all.extend(two.claim_ids(30).unwrap());
        all.extend(one.claim_ids(30).unwrap());
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 90);
        assert!(all.iter().all(|first| first % IDS == 0));
    }

    #[test]
    fn a_sweep_takes_the_dead_and_leaves_the_living() {
        let base = tempfile::tempdir().unwrap();
        let base = base.path().join("tandem");
        let living = RunDirectory::create(&base).unwrap();
        let dead = RunDirectory::create(&base).unwrap().path().to_owned();
        let fresh = base.join(".new-abc");
        fs::create_dir(&fresh).unwrap();
        let half = base.join("abcdefgh");
        fs::create_dir(&half).unwrap();
        sweep(&base);
        assert!(living.path().exists());
        assert!(!dead.exists());
        assert!(fresh.exists() && half.exists());
        for old in [&fresh, &half] {
            let times = fs::FileTimes::new().set_modified(SystemTime::now() - Duration::from_secs(90));
            File::open(old).unwrap().set_times(times).unwrap();
        }
        sweep(&base);
        assert!(!fresh.exists() && !half.exists() && living.path().exists());
    }
}
