//! Whether a directory is still byte for byte what it was.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A directory with all that is in it. Nothing in it can be written, made, removed or given away without a change of this value: the kernel
/// sets a file's time of change then, and nobody can set that time back.
#[derive(Debug, PartialEq, Eq)]
pub struct Fingerprint(BTreeMap<PathBuf, [i64; 6]>);

impl Fingerprint {
    /// Looks at a directory.
    pub fn of(directory: &Path) -> io::Result<Self> {
        let mut found = BTreeMap::new();
        let mut rest = vec![directory.to_owned()];
        while let Some(path) = rest.pop() {
            let meta = path.symlink_metadata()?;
            if meta.is_dir() {
                for entry in std::fs::read_dir(&path)? {
                    rest.push(entry?.path());
                }
            }
            let owner = i64::from(meta.uid()) << 32 | i64::from(meta.gid());
            let size = i64::try_from(meta.size()).unwrap_or(i64::MAX);
            found.insert(path, [meta.ctime(), meta.ctime_nsec(), meta.mtime(), size, i64::from(meta.mode()), owner]);
        }
        Ok(Self(found))
    }

    /// How many files and directories it has.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is nothing, not even the directory itself.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_shows() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        std::fs::write(&file, "one").unwrap();
        let before = Fingerprint::of(directory.path()).unwrap();
        assert_eq!(before, Fingerprint::of(directory.path()).unwrap());
        std::thread::sleep(std::time::Duration::from_millis(20));
        std::fs::write(&file, "two").unwrap();
        assert_ne!(before, Fingerprint::of(directory.path()).unwrap());
    }
}
