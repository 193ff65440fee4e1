//! Where a machine keeps what outlives its boots.

use std::path::{Path, PathBuf};

use super::Machine;
use crate::error::Error;

impl Machine {
    /// Its own directory and the one that it shares with others, as a script in the run's namespaces sees them. They need not exist yet.
    pub fn directories(&self) -> Option<(PathBuf, PathBuf)> {
        self.shared.launch.directories()
    }

    /// Lets the machine, which must not run, keep its state in a directory from its next start on: that of another machine whose disks it
    /// goes on with.
    pub fn keep_state_in(&self, directory: &Path) -> Result<(), Error> {
        const VERB: &str = "state_dir";
        if !directory.is_absolute() {
            return Err(self.cannot(VERB, &format!("{} is no absolute path", directory.display())));
        }
        if self.is_up() {
            return Err(self.cannot(VERB, "it runs; shut it down before"));
        }
        if self.shared.launch.keep_state_in(directory) {
            Ok(())
        } else {
            Err(self.cannot(VERB, "its state has a place of its own"))
        }
    }
}
