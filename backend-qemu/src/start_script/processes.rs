//! All processes of a machine, which end together.

use std::fs::File;
use std::io;
use std::time::Duration;

use driver_core::run::{Mark, privilege};
use tokio::process::Command;

use super::pid_namespace::PidNamespace;

/// How long killed processes may take to be gone.
const LIMIT: Duration = Duration::from_secs(5);

/// The processes of a machine. Dropping it ends them, without waiting for that.
#[derive(Debug)]
pub(super) enum Processes {
    /// In a pid namespace of their own, which none can leave.
    Namespace(PidNamespace),
    /// Where there can be none, those that are marked.
    Marked { mark: Mark, lock: File },
}

impl Processes {
    /// Makes a place for some. `lock` stays locked until none is left.
    pub(super) fn new(lock: File) -> io::Result<Self> {
        if privilege().has_namespaces() {
            PidNamespace::new(&lock).map(Self::Namespace)
        } else {
            Ok(Self::Marked { mark: Mark::new()?, lock })
        }
    }

    /// Has a command that the calling thread starts next be one of them.
    pub(super) fn enter(&self, command: &mut Command) -> io::Result<()> {
        match self {
            Self::Namespace(namespace) => {
                namespace.enter()?;
                PidNamespace::with_proc(command);
            }
            Self::Marked { mark, .. } => {
                let (name, value) = mark.variable();
                command.env(name, value);
            }
        }
        Ok(())
    }

    /// Ends them all and returns once they are gone.
    pub(super) async fn end(self) {
        match self {
            Self::Namespace(namespace) => namespace.end().await,
            Self::Marked { mark, lock } => {
                let end = move || {
                    // One that the kernel cannot end now ends with the run at the latest.
                    mark.end(LIMIT);
                    drop(lock);
                };
                let _ = tokio::task::spawn_blocking(end).await;
            }
        }
    }
}
