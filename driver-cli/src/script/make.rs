//! Machines that a script makes, and where machines keep their state: what calls of the interface are answered with.

use std::path::PathBuf;

use driver_core::machine::Machine;
use driver_core::run::{Maker, Wanted};
use serde::Serialize;
use zlink::introspect::Type;

use super::failure::Failure;
use super::reply::{Answer, Waiting};
use super::session::Session;

/// A machine that was made.
#[derive(Debug, Default, Serialize, Type)]
pub(super) struct Made {
    /// Set in interim replies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) waiting: Option<Waiting>,
    /// Its name, by which calls name it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    /// The backend that makes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) backend: Option<String>,
}

impl Answer for Made {
    fn interim(waiting: Waiting) -> Self {
        Self { waiting: Some(waiting), ..Self::default() }
    }
}

/// Directories of a machine, as the script sees them.
#[derive(Debug, Serialize, Type)]
pub(super) struct Directories {
    /// Its own, which lives as long as the run.
    pub(super) state: String,
    /// The one that it shares with the others, where it has one.
    pub(super) shared: String,
}

/// Makes a machine and adds it to the session.
pub(super) async fn make(
    session: std::sync::Arc<Session>,
    maker: Option<Maker>,
    wanted: Wanted,
) -> Result<Made, Failure> {
    let maker = maker.ok_or_else(|| refused("create_machine: this run has no place for more machines"))?;
    let machine = maker.make(wanted).await?;
    let (name, backend) = (machine.name().to_owned(), machine.spec().backend.clone());
    session.add(machine);
    Ok(Made { name: Some(name), backend: Some(backend), waiting: None })
}

pub(super) fn directories(machine: &Machine) -> Result<Directories, Failure> {
    let places = machine.directories();
    let (state, shared) =
        places.ok_or_else(|| refused(&format!("machine {}: state_dir: it has none", machine.name())))?;
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    Ok(Directories { state: text(state), shared: text(shared) })
}

fn refused(message: &str) -> Failure {
    Failure::AssertionFailed { message: message.into() }
}
