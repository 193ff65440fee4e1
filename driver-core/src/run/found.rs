//! Runs of this host that this user may see: those that live, and what is left of those whose driver and keeper were both killed.

use std::io;
use std::path::{Path, PathBuf};

use super::directory::{self, Life};
use super::status::Status;

/// A run.
#[derive(Clone, Debug)]
pub struct FoundRun {
    /// Its name, unique on this host.
    pub name: String,
    /// Its private directory.
    pub directory: PathBuf,
    /// Whether its driver lives. Of one that does not, something is left.
    pub alive: bool,
    /// What it told of itself last, or why it says nothing, in words for people.
    pub status: Result<Status, String>,
}

impl FoundRun {
    /// Where the script's calls are answered while the script goes on.
    pub fn socket(&self) -> PathBuf {
        self.directory.join("driver.socket")
    }

    /// Those of its cgroups that are there.
    pub fn cgroups(&self) -> Vec<PathBuf> {
        let mut cgroups = directory::noted_cgroups(&self.directory);
        cgroups.retain(|path| path.is_dir());
        cgroups
    }

    /// Removes what is left of a run that does not live. Waits some seconds for processes of it that are about to end.
    pub fn remove(&self) -> io::Result<()> {
        // It may have been looked at a while ago, but no run ever takes the name of another.
        if directory::life(&self.directory) != Life::Dead {
            return if self.directory.exists() { Err(io::Error::other("it lives")) } else { Ok(()) };
        }
        if directory::remove_dead(&self.directory) {
            return Ok(());
        }
        let left = self.cgroups().into_iter().chain(self.directory.exists().then(|| self.directory.clone()));
        let left: Vec<_> = left.map(|path| path.display().to_string()).collect();
        Err(io::Error::other(format!("not all of it could be removed; left is {}", left.join(", "))))
    }
}

/// All runs that this user may see, sorted by age: for root those of all users that have its rights, else the user's own.
pub fn runs() -> io::Result<Vec<FoundRun>> {
    runs_in(&directory::base())
}

fn runs_in(base: &Path) -> io::Result<Vec<FoundRun>> {
    let mut found = Vec::new();
    for directory in directory::entries(base)? {
        let alive = match directory::life(&directory) {
            Life::Living => true,
            Life::Dead => false,
            Life::Unsure => continue,
        };
        let name = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let status = Status::read(&directory);
        // It may have ended meanwhile.
        if directory.exists() {
            found.push(FoundRun { name, directory, alive, status });
        }
    }
    let began = |run: &FoundRun| run.status.as_ref().map_or(f64::INFINITY, |status| status.started);
    found.sort_by(|one, other| began(one).total_cmp(&began(other)).then_with(|| one.name.cmp(&other.name)));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::directory::RunDirectory;
    use crate::run::status::Notice;
    use crate::spec::TestSpec;

    #[test]
    fn the_living_and_the_dead_are_told_apart_and_only_the_dead_removed() {
        let base = tempfile::tempdir().unwrap();
        let base = base.path().join("tandem");
        assert!(runs_in(&base).unwrap().is_empty());
        let living = RunDirectory::create(&base).unwrap();
        Notice::post(living.path(), &TestSpec::new("living", Vec::new()), Path::new("out")).unwrap();
        let dead = RunDirectory::create(&base).unwrap();
        Notice::post(dead.path(), &TestSpec::new("dead", Vec::new()), Path::new("out")).unwrap();
        dead.note_cgroups(&[base.join("no-such-cgroup")]).unwrap();
        let dead = {
            let path = dead.path().to_owned();
            drop(dead);
            path
        };
        // Neither is a run.
        std::fs::create_dir(base.join(".new-abcdefgh")).unwrap();
        std::fs::write(base.join("file"), "").unwrap();

        let found = runs_in(&base).unwrap();
        let told = |run: &FoundRun| (run.alive, run.status.as_ref().unwrap().test.clone());
        assert_eq!(found.iter().map(told).collect::<Vec<_>>(), [(true, "living".into()), (false, "dead".into())]);
        assert!(found[0].remove().is_err());
        assert!(found[1].cgroups().is_empty());
        found[1].remove().unwrap();
        found[1].remove().unwrap();
        assert!(living.path().join("lock").exists() && !dead.exists());
    }

    #[test]
    fn a_base_of_others_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let base = tempfile::tempdir().unwrap();
        std::fs::set_permissions(base.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(runs_in(base.path()).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    }
}
