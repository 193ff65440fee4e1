//! Machines that join a run that goes on.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use netbridge::Segment;

use super::backends::backend_of;
use super::lans::Lans;
use super::launcher::Launcher;
use super::status::Board;
use super::within;
use crate::backend::{Backend, StartRequest};
use crate::error::{Error, MachineError};
use crate::event::Recorder;
use crate::lan::Vlan;
use crate::machine::{Machine, Options};
use crate::network::{self, MAX_MACHINES};
use crate::spec::{MachineSpec, VlanId, list};

/// The backend that makes machines of start commands.
const BACKEND: &str = "vm";

/// Below the run's state directory, where no machine of the test can have this name.
const PLACE: &str = "made_";

/// What is wanted of a machine that joins a run.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// A shell's command line that boots it, by the contract of upstream's start scripts. QEMU's arguments are put after it.
    pub start_command: String,
    /// Its name; none is the one in the command, or `machine`.
    pub name: Option<String>,
    /// Whether it takes over what an earlier machine of its name left on its disks.
    pub keep_state: bool,
}

/// Makes machines of a run that goes on. Clones make machines of the same run, until it ends.
#[derive(Clone)]
pub struct Maker(Arc<Mutex<Option<Workshop>>>);

/// What machines are made of, and those that were made.
pub(super) struct Workshop {
    pub(super) backends: Vec<Arc<dyn Backend>>,
    pub(super) lans: Lans,
    pub(super) vlans: Vec<Vlan>,
    pub(super) recorder: Recorder,
    pub(super) options: Options,
    pub(super) init: Arc<OwnedFd>,
    /// What all requests of the run have in common. The state directory is the run's.
    pub(super) request: StartRequest,
    /// The machines that the test declares.
    pub(super) names: Vec<String>,
    /// How many machines have addresses.
    pub(super) count: usize,
    pub(super) made: Vec<Machine>,
    /// What others see of the run.
    pub(super) notice: Option<Board>,
}

impl Maker {
    pub(super) fn new(workshop: Workshop) -> Self {
        Self(Arc::new(Mutex::new(Some(workshop))))
    }

    /// Makes a VM of a start command and does not start it. It is on all LANs of the run, is released with the run, and is none of the
    /// machines that the test declares.
    ///
    /// Its name may be that of one made before that does not run any more, in whose place it comes.
    pub async fn make(&self, wanted: Wanted) -> Result<Machine, Error> {
        let name = match &wanted.name {
            Some(name) => name.clone(),
            None => name_in(&wanted.start_command),
        };
        let refuse = |why: String| refused(&name, &why);
        check(&name, &wanted.start_command).map_err(refuse)?;
        let Draft { request, backend, init, segments, former } = self.draft(&name)?;
        if let Some(former) = former {
            former.release().await?;
        }
        let place = request.state.parent().unwrap_or(&request.state).to_owned();
        let (state, keep, command) = (request.state.clone(), wanted.keep_state, wanted.start_command);
        let script = place.join(format!("run-{name}-vm"));
        let prepared = {
            let script = script.clone();
            within(&init, move || prepare(&place, &state, &script, keep, &command)).await
        };
        prepared.map_err(|error| MachineError::new(&*name, "create_machine", error.to_string()).source(error))?;

        let spec = MachineSpec { start_script: Some(script), ..request.machine.clone() };
        let problems = [backend.preflight(&[&spec]), backend.check(&spec)].concat();
        if !problems.is_empty() {
            return Err(MachineError::new(&*name, "create_machine", list(&problems)).into());
        }
        let request = StartRequest { machine: spec.clone(), ..request };
        let launcher = Launcher::new(backend, request, init, segments, None);
        let mut workshop = self.lock();
        let Some(workshop) = workshop.as_mut() else { return Err(over(&name)) };
        if workshop.made.iter().any(|other| other.name() == name) {
            return Err(refuse("another call makes one of this name right now".into()));
        }
        for vlan in &workshop.vlans {
            vlan.join(&name);
        }
        if let Some(notice) = &workshop.notice {
            notice.add(&name, &spec.backend);
        }
        let machine = Machine::new(spec, Arc::new(launcher), workshop.recorder.clone(), workshop.options.clone());
        workshop.made.push(machine.clone());
        Ok(machine)
    }

    /// Gives a machine of this name its place in the run; also returns the one that had it.
    fn draft(&self, name: &str) -> Result<Draft, Error> {
        let mut workshop = self.lock();
        let Some(workshop) = workshop.as_mut() else { return Err(over(name)) };
        let taken = "there is a machine of this name; give another one with `name=`";
        if workshop.names.iter().any(|other| other == name) {
            return Err(refused(name, taken));
        }
        let former = workshop.made.iter().position(|machine| machine.name() == name);
        if former.is_some_and(|index| workshop.made[index].is_up()) {
            return Err(refused(name, &format!("{taken}, or shut it down before")));
        }
        let former = former.map(|index| workshop.made.remove(index));
        if workshop.count >= MAX_MACHINES {
            return Err(refused(name, &format!("a VLAN has addresses for no more than {MAX_MACHINES} machines")));
        }
        workshop.count += 1;
        let spec =
            MachineSpec { vlans: workshop.vlans.iter().map(Vlan::id).collect(), ..MachineSpec::new(name, BACKEND) };
        let backend = backend_of(&spec, &workshop.backends).map_err(|problem| Error::Problems(vec![problem]))?;
        let node = u8::try_from(workshop.count).unwrap_or(u8::MAX);
        let request = StartRequest {
            attachments: network::attachments(node, &spec.vlans),
            state: workshop.request.state.join(PLACE).join(name).join("state"),
            machine: spec.clone(),
            ..workshop.request.clone()
        };
        Ok(Draft { request, backend, init: workshop.init.clone(), segments: workshop.lans.of(&spec), former })
    }

    /// Lets no more machines be made; returns those that were.
    pub(super) fn close(&self) -> Vec<Machine> {
        self.lock().take().map(|workshop| workshop.made).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Workshop>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Maker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Maker").finish_non_exhaustive()
    }
}

/// What a machine is made of.
struct Draft {
    request: StartRequest,
    backend: Arc<dyn Backend>,
    init: Arc<OwnedFd>,
    segments: BTreeMap<VlanId, Arc<Segment>>,
    /// The machine that had its name.
    former: Option<Machine>,
}

/// Makes the directory of a machine and the script that runs its command. Runs inside the run's namespaces.
fn prepare(place: &Path, state: &Path, script: &Path, keep: bool, command: &str) -> io::Result<()> {
    if !keep && state.exists() {
        std::fs::remove_dir_all(state)?;
    }
    std::fs::create_dir_all(place)?;
    // The arguments come after the command's own, as if somebody had typed them there.
    std::fs::write(script, format!("#!/bin/sh\n{} \"$@\"\n", command.trim()))?;
    std::fs::set_permissions(script, PermissionsExt::from_mode(0o700))
}

/// The name in a start command's path, by upstream's rule.
fn name_in(command: &str) -> String {
    let begin = command.find("run-").map(|place| &command[place + "run-".len()..]);
    let name = begin.and_then(|rest| rest.strip_suffix("-vm")).filter(|name| !name.is_empty());
    name.unwrap_or("machine").to_owned()
}

fn check(name: &str, command: &str) -> Result<(), String> {
    let is_fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !(1..=63).contains(&name.len()) || !name.chars().all(is_fit) || name.starts_with(['.', '-', '_']) {
        let cure = "1 to 63 letters, digits, `-`, `_` and `.`, with a letter or a digit first";
        return Err(format!("'{name}' can be no machine's name; give another one with `name=`: {cure}"));
    }
    if command.trim().is_empty() {
        return Err(
            "the start command is empty; give a command line that boots a VM, such as the path of a start script"
                .into(),
        );
    }
    if command.contains('\0') {
        return Err("there is a NUL in the start command; take it out".into());
    }
    Ok(())
}

fn refused(name: &str, why: &str) -> Error {
    Error::Refused { machine: name.into(), message: format!("machine {name}: create_machine: {why}") }
}

fn over(name: &str) -> Error {
    refused(name, "the run is over")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_paths_as_upstream_finds_them() {
        for (command, name) in [
            ("/nix/store/x-nixos-vm/bin/run-server-vm", "server"),
            ("QEMU_OPTS='-m 1G' /bin/run-a-b-vm", "a-b"),
            ("/bin/run-it-now/bin/run-x-vm", "it-now/bin/run-x"),
            ("/bin/run-server-vm --flag", "machine"),
            ("/bin/run--vm", "machine"),
            ("qemu-system-x86_64", "machine"),
        ] {
            assert_eq!(name_in(command), name, "{command}");
        }
    }

    #[test]
    fn bad_names_and_commands_are_told() {
        for name in ["", ".", "..", "a/b", "-x", "_made", "a b", "ä", &"x".repeat(64)] {
            assert!(check(name, "x").unwrap_err().contains("can be no machine's name"), "{name}");
        }
        for name in ["a", "A.b_c-1", &"x".repeat(63)] {
            check(name, "x").unwrap();
        }
        assert!(check("a", " \n").unwrap_err().contains("is empty"));
        assert!(check("a", "a\0b").unwrap_err().contains("NUL"));
    }

    #[test]
    fn a_script_runs_the_command_with_more_arguments() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("made_/m");
        let (state, script) = (place.join("state"), place.join("run-m-vm"));
        prepare(&place, &state, &script, false, "A=1 printf '%s.' 'two words'\n").unwrap();
        let output = std::process::Command::new(&script).args(["-x", "y z"]).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "two words.-x.y z.");
        std::fs::create_dir_all(&state).unwrap();
        std::fs::write(state.join("disk"), "").unwrap();
        prepare(&place, &state, &script, true, "x").unwrap();
        assert!(state.join("disk").exists());
        prepare(&place, &state, &script, false, "x").unwrap();
        assert!(!state.exists());
    }
}
