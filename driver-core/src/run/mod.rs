//! A run: plan, act, undo.
//!
//! [`check`] looks at a whole test and changes nothing. [`Run::start`] makes what all machines share: a private directory, pid and mount
//! namespaces, cgroups, LANs, and the keeper that removes it all. Machines start when the test says so. [`Run::finish`] undoes everything; a
//! run that is dropped, or whose process is killed, is undone by the keeper just the same.

mod backends;
pub mod cgroup;
mod directory;
mod found;
mod keeper;
mod lans;
mod launcher;
mod maker;
mod marked;
mod namespaces;
mod needs;
mod privilege;
mod sandbox;
mod start_all;
mod state;
mod status;
mod vsock;

use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::future::join_all;
use netbridge::Namespace;
use tokio::runtime::{Handle, RuntimeFlavor};

use crate::backend::{Backend, StartRequest};
use crate::error::Error;
use crate::event::{Level, Recorder};
use crate::lan::Vlan;
use crate::machine::{Machine, Options};
use crate::network::{self, NetworkPlan};
use crate::spec::{MachineSpec, Problem, TestSpec, VlanId};

use backends::backend_of;
use cgroup::Cgroups;
use directory::RunDirectory;
use keeper::{Keeper, Leftovers};
use lans::Lans;
use launcher::Launcher;
use maker::Workshop;
use namespaces::Namespaces;
use status::Notice;
use vsock::Vsock;

pub use backends::machines_of;
pub use directory::IDS;
pub use found::{FoundRun, runs};
pub use maker::{Maker, Wanted};
pub use marked::Mark;
pub use namespaces::within;
pub use needs::{disk, needs};
pub use privilege::{Privilege, obtain, privilege};
pub use sandbox::furnish;
pub use start_all::{start_all, start_each};
pub use state::{StateDirectories, dead_state, remove_dead_state};
pub use status::{MachineStatus, Power, Status};

/// What that means where there are no namespaces.
const WITHOUT: &str = "its processes see the host's, its LANs are switches in user space, and what takes its environment away may outlive it";

/// What is wrong with a test on this host, all of it, before anything starts. Changes nothing.
pub fn check(spec: &TestSpec, backends: &[Arc<dyn Backend>]) -> Vec<Problem> {
    let mut problems = crate::need::problems(&needs(Some(spec)));
    for backend in backends {
        let machines = machines_of(backend.as_ref(), spec);
        if !machines.is_empty() {
            let lacks = backend.preflight(&machines);
            // What every run needs, backends may need, too.
            let lacks: Vec<_> = lacks.into_iter().filter(|problem| !problems.contains(problem)).collect();
            problems.extend(lacks);
        }
    }
    for machine in spec.machines.iter().filter(|machine| !machine.backend.is_empty()) {
        match backend_of(machine, backends) {
            Err(problem) => problems.push(problem),
            Ok(backend) => problems.extend(backend.check(machine)),
        }
    }
    problems
}

/// What the test's author should know of it on this host, though nothing keeps it from running. Changes nothing.
pub fn notes(spec: &TestSpec, backends: &[Arc<dyn Backend>]) -> Vec<String> {
    let mut notes = spec.notes.clone();
    for machine in &spec.machines {
        let Ok(backend) = backend_of(machine, backends) else { continue };
        notes.extend(backend.notes(machine).into_iter().map(|note| format!("machine `{}`: {note}", machine.name)));
    }
    notes
}

/// What machines are made of, besides their spec.
struct Parts<'a> {
    backends: &'a [Arc<dyn Backend>],
    plan: &'a NetworkPlan,
    lans: &'a Lans,
    cgroups: &'a Cgroups,
    recorder: &'a Recorder,
    output: &'a Path,
    state: Option<&'a StateDirectories>,
}

/// A run that goes on. Dropping it ends it and returns once nothing of it is left; [`finish`](Run::finish) does not block the thread.
///
/// Where a runtime has no thread but the one that drops the run, the end follows a moment later: the processes of machines are reaped by that
/// thread.
pub struct Run {
    machines: Vec<Machine>,
    vlans: Vec<Vlan>,
    /// Makes more of them; there once the run has started.
    maker: Option<Maker>,
    /// What others see of the run; there once it has started. It goes before the directory does.
    notice: Option<Notice>,
    /// Taken when the run ends.
    ground: Option<Ground>,
}

/// What the machines of a run share. Dropped from top to bottom.
struct Ground {
    network: Option<Arc<Namespace>>,
    keeper: Option<Keeper>,
    /// Ends before what it lives in.
    vsock: Vsock,
    namespaces: Namespaces,
    directory: RunDirectory,
}

impl Drop for Run {
    fn drop(&mut self) {
        // Before what they live in.
        drop(self.maker.take().map(|maker| maker.close()));
        self.machines.clear();
        self.vlans.clear();
        self.notice = None;
        let ground = self.ground.take();
        let alone = Handle::try_current().is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::CurrentThread);
        if alone {
            // If no thread can be made, the ground is dropped right here.
            let _ = std::thread::Builder::new().name("tandem-undo".into()).spawn(move || drop(ground));
        }
    }
}

impl Run {
    /// Makes what the machines of `spec` share, and starts none of them. Files that the test copies out go below `output`.
    ///
    /// Fails with all problems that [`check`] finds.
    pub async fn start(
        spec: &TestSpec,
        backends: &[Arc<dyn Backend>],
        recorder: Recorder,
        output: &Path,
    ) -> Result<Self, Error> {
        Self::start_in(spec, backends, recorder, output, None).await
    }

    /// The same for machines that keep their state in these directories of the host's own, which must have been made. Without any, it is lost
    /// with the run.
    pub async fn start_in(
        spec: &TestSpec,
        backends: &[Arc<dyn Backend>],
        recorder: Recorder,
        output: &Path,
        state: Option<&StateDirectories>,
    ) -> Result<Self, Error> {
        let problems = check(spec, backends);
        if !problems.is_empty() {
            return Err(Error::Problems(problems));
        }
        let plan = network::plan(&spec.machines).map_err(|error| broken("plan the network", error))?;
        let base = directory::base();
        directory::sweep(&base);
        let directory = RunDirectory::create(&base).map_err(|error| broken("make the run's directory", error))?;
        let cgroups = if spec.machines.is_empty() {
            Cgroups::default()
        } else {
            Cgroups::plan(directory.name()).map_err(|error| broken("find this process's cgroups", error))?
        };
        let noted = directory.note_cgroups(cgroups.roots());
        noted.map_err(|error| broken("write to the run's directory", error))?;
        if let Privilege::None { why, mark } = privilege() {
            if let Some(mark) = mark {
                directory.note_mark(mark).map_err(|error| broken("write to the run's directory", error))?;
            }
            recorder.message(Level::Warning, format!("the run has no namespaces of its own: {why}; {WITHOUT}"));
        }
        let namespaces = Namespaces::create(directory.state());
        let namespaces = namespaces.await.map_err(|error| broken("make the run's namespaces", error))?;
        let names = spec.machines.iter().map(|machine| machine.name.as_str());
        let leftovers = Leftovers {
            cgroups: cgroups.roots().to_vec(),
            directory: directory.path().to_owned(),
            state: state.map(|state| state.leftovers(names)).unwrap_or_default(),
        };
        let keeper = Keeper::start(namespaces.handle().as_fd(), &leftovers, state);
        let keeper = keeper.map_err(|error| broken("start the run's keeper", error))?;
        // From here on whatever fails is undone by the keeper.
        let ground = Ground { network: None, keeper: Some(keeper), vsock: Vsock::default(), namespaces, directory };
        let mut run = Self { machines: Vec::new(), vlans: Vec::new(), maker: None, notice: None, ground: Some(ground) };
        let notice = Notice::post(run.directory(), spec, output);
        let notice = notice.map_err(|error| broken("write to the run's directory", error))?;
        recorder.add_sink(notice.sink());
        run.notice = Some(notice);
        let lans = Lans::make(spec.lan, &plan, &recorder).await?;
        run.ground_mut().network.clone_from(&lans.network);
        let parts = Parts { backends, plan: &plan, lans: &lans, cgroups: &cgroups, recorder: &recorder, output, state };
        let vsock = Vsock::for_machines(spec, run.ground(), &recorder).await;
        run.machines = run.ground().make_machines(spec, &parts, &vsock)?;
        run.ground_mut().vsock = vsock;
        if spec.ssh_backdoor {
            for machine in &run.machines {
                machine.open_ssh(run.directory()).map_err(|error| broken("open a way in by SSH", error))?;
            }
        }
        run.vlans = lans.vlans(spec, &recorder, output);
        let shared = run.ground().shared(state);
        run.maker = Some(run.make_maker(spec, backends, lans, shared, (&plan, &cgroups), (&recorder, output)));
        Ok(run)
    }

    /// The run's name: unique on this host.
    pub fn name(&self) -> &str {
        self.ground().directory.name()
    }

    /// The machines, sorted by name.
    pub fn machines(&self) -> &[Machine] {
        &self.machines
    }

    /// The machine with this name.
    pub fn machine(&self, name: &str) -> Option<&Machine> {
        self.machines.iter().find(|machine| machine.name() == name)
    }

    /// The LANs that machines are on, sorted by number.
    pub fn vlans(&self) -> &[Vlan] {
        &self.vlans
    }

    /// The LAN with this number, if a machine is on it.
    pub fn vlan(&self, id: VlanId) -> Option<&Vlan> {
        self.vlans.iter().find(|vlan| vlan.id() == id)
    }

    /// Makes machines that join the run while it goes on. They are none of [`machines`](Self::machines).
    pub fn maker(&self) -> &Maker {
        self.maker.as_ref().expect("it is taken only where the run ends")
    }

    /// A private directory (mode 0700) for the run's sockets; removed with the run.
    pub fn directory(&self) -> &Path {
        self.ground().directory.path()
    }

    /// A pidfd of the run's init, for [`within`]: processes started there end with the run.
    pub fn init(&self) -> &Arc<std::os::fd::OwnedFd> {
        self.ground().namespaces.handle()
    }

    /// Starts all machines, as [`start_all()`] does.
    pub async fn start_all(&self) -> Result<(), Error> {
        start_all(&self.machines).await
    }

    /// Ends all machines as a power cut would, and removes everything that the run made but its output. Returns what could not be undone.
    pub async fn finish(mut self) -> Vec<io::Error> {
        let mut failures = Vec::new();
        let made = self.maker.take().map(|maker| maker.close()).unwrap_or_default();
        let released = join_all(self.machines.iter().chain(&made).map(Machine::release)).await;
        drop(made);
        failures.extend(released.into_iter().filter_map(Result::err).map(io::Error::other));
        self.machines.clear();
        self.vlans.clear();
        self.notice = None;
        if let Some(Ground { network, mut keeper, vsock, namespaces, directory }) = self.ground.take() {
            drop(network);
            drop(vsock);
            if let Some(keeper) = keeper.take() {
                failures.extend(keeper.clean_up().await.err());
            }
            failures.extend(namespaces.end().await.err());
            drop(directory);
        }
        failures
    }

    fn make_maker(
        &self,
        spec: &TestSpec,
        backends: &[Arc<dyn Backend>],
        lans: Lans,
        shared: PathBuf,
        (plan, cgroups): (&NetworkPlan, &Cgroups),
        (recorder, output): (&Recorder, &Path),
    ) -> Maker {
        let ground = self.ground();
        let request = StartRequest {
            run: self.name().into(),
            machine: MachineSpec::new("", ""),
            hosts: plan.hosts(""),
            attachments: Vec::new(),
            state: ground.directory.state(),
            shared,
            sockets: ground.directory.sockets(),
            cgroups: cgroups.roots().to_vec(),
            first_id: None,
            allow_reboot: false,
            boot_timeout: spec.boot_timeout,
            machined: spec.machined,
            vsock: None,
        };
        Maker::new(Workshop {
            backends: backends.to_vec(),
            vlans: self.vlans.clone(),
            recorder: recorder.clone(),
            options: Options { boot_timeout: spec.boot_timeout, ..Options::new(output) },
            init: ground.namespaces.handle().clone(),
            request,
            names: spec.machines.iter().map(|machine| machine.name.clone()).collect(),
            count: spec.machines.len(),
            made: Vec::new(),
            notice: self.notice.as_ref().map(Notice::board),
            lans,
        })
    }

    fn ground(&self) -> &Ground {
        self.ground.as_ref().expect("it is taken only where the run ends")
    }

    fn ground_mut(&mut self) -> &mut Ground {
        self.ground.as_mut().expect("it is taken only where the run ends")
    }
}

impl Ground {
    /// Where a machine keeps its state.
    fn state_of(&self, machine: &str, state: Option<&StateDirectories>) -> PathBuf {
        state.map_or_else(|| self.directory.state().join(machine), |state| state.machine(machine))
    }

    /// Where machines share files.
    fn shared(&self, state: Option<&StateDirectories>) -> PathBuf {
        // No machine that has its state beside this can have this name.
        state.map_or_else(|| self.directory.state().join("shared_xchg"), StateDirectories::shared)
    }

    fn make_machines(&self, spec: &TestSpec, parts: &Parts<'_>, vsock: &Vsock) -> Result<Vec<Machine>, Error> {
        let ids = if may_hand_out_ids() { self.directory.claim_ids(spec.machines.len()) } else { Ok(Vec::new()) };
        let ids = ids.map_err(|error| broken("claim user ids for the machines", error))?;
        let options = Options { boot_timeout: spec.boot_timeout, ..Options::new(parts.output) };
        let mut machines = Vec::with_capacity(spec.machines.len());
        for (number, machine) in spec.machines.iter().enumerate() {
            let backend = backend_of(machine, parts.backends).map_err(|problem| Error::Problems(vec![problem]))?;
            let request = crate::backend::StartRequest {
                run: self.directory.name().into(),
                machine: machine.clone(),
                hosts: parts.plan.hosts(&machine.name),
                attachments: parts.plan.attachments(&machine.name).to_vec(),
                state: self.state_of(&machine.name, parts.state),
                shared: self.shared(parts.state),
                sockets: self.directory.sockets(),
                cgroups: parts.cgroups.roots().to_vec(),
                first_id: ids.get(number).copied(),
                allow_reboot: false,
                boot_timeout: spec.boot_timeout,
                vsock: vsock.guest(&machine.name),
                machined: spec.machined,
            };
            let segments = parts.lans.of(machine);
            let launcher =
                Launcher::new(backend, request, self.namespaces.handle().clone(), segments, vsock.host(&machine.name));
            machines.push(Machine::new(machine.clone(), Arc::new(launcher), parts.recorder.clone(), options.clone()));
        }
        Ok(machines)
    }
}

/// Whether this process may give machines user ids of their own: it must be root over them all.
fn may_hand_out_ids() -> bool {
    rustix::process::geteuid().is_root() && in_initial_user_namespace()
}

/// Whether this process is in the initial user namespace, which maps every id to itself (`user_namespaces(7)`).
pub fn in_initial_user_namespace() -> bool {
    std::fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| map.split_whitespace().eq(["0", "0", "4294967295"]))
}

fn broken(operation: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Run { operation: format!("could not {operation}"), source: source.into() }
}
