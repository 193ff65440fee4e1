//! What a test of upstream's says and does beside its script.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use driver_core::event::{Level, Recorder};
use driver_core::machine::Machine;
use driver_core::run::StateDirectories;
use driver_core::spec::TestSpec;
use futures::future::join_all;

use crate::failure::with_causes;

/// How long a machine may take to write its disks at the end of a test that passed.
const SYNC: Duration = Duration::from_secs(60);

/// A test that lives as upstream's do.
#[derive(Debug)]
pub(crate) struct Life {
    /// What the script copies goes there, and nothing else.
    pub(crate) output: PathBuf,
    /// Where the machines' state lies.
    pub(crate) state: StateDirectories,
}

impl Life {
    /// Makes the places of the machines' state, before the run begins.
    pub(crate) fn begin(&self, spec: &TestSpec, recorder: &Recorder) -> io::Result<()> {
        let say = |text: String| recorder.message(Level::Info, text);
        if !self.state.keep() {
            say("Machine state will be reset. To keep it, pass --keep-machine-state".into());
        }
        // A container's start script has its root there.
        let machines = spec.machines.iter().map(|machine| (machine.name.as_str(), machine.backend == "container"));
        self.state.make(machines, |deleted| {
            say(format!("deleting machine state directory {}", deleted.display()));
            say("if you want to keep the machine state, pass --keep-machine-state".into());
        })
    }

    /// Says how long the script may take.
    pub(crate) fn before_script(limit: Duration, recorder: &Recorder) {
        let text = format!("Test will time out and terminate in {:?} seconds", limit.as_secs_f64());
        recorder.message(Level::Info, text);
    }

    /// Lets machines write their disks after a script that passed, and says how long that took.
    pub(crate) async fn after_script(machines: &[Machine], began: Instant, recorder: &Recorder) {
        let up = machines.iter().filter(|machine| machine.takes_commands());
        join_all(up.map(async |machine| {
            if let Err(error) = machine.execute("sync", Some(SYNC)).await {
                machine.recorder().message(Level::Warning, format!("sync: {}", with_causes(&error)));
            }
        }))
        .await;
        let text = format!("test script finished in {:.2}s", began.elapsed().as_secs_f64());
        recorder.message(Level::Info, text);
    }
}
