//! The launcher for hosts that run systemd: the machine's processes get a transient scope of their own, and the machine is registered with
//! systemd-machined. Both are made here, over the system bus; systemd-nspawn knows nothing of them.

use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use driver_core::backend::StartRequest;
use driver_core::run::cgroup;
use driver_core::spec::Machined;
use futures::StreamExt;
use tokio::time::timeout;
use zbus::{Connection, Variant};

use crate::bus::{MachinedProxy, SystemdProxy};

/// How long systemd may take for one call or job.
const PATIENCE: Duration = Duration::from_secs(10);

/// Longest machine name that systemd-machined takes (`HOST_NAME_MAX`).
const NAME_MAX: usize = 64;

/// A host's systemd, with which a machine is to be registered.
#[derive(Debug)]
pub(crate) struct Scopes {
    bus: Connection,
    /// The machine's name for systemd-machined: unique on the host.
    machine: String,
    scope: String,
}

/// Why there is no scope or registration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("systemd does not run on this host")]
    NoSystemd,
    #[error("{0}")]
    Bus(#[from] zbus::Error),
    #[error("{who} did not answer within {} s", PATIENCE.as_secs())]
    Silent { who: &'static str },
    #[error("the scope's start ended as {0}")]
    Job(String),
    #[error("the scope's cgroup: {0}")]
    Cgroup(#[from] std::io::Error),
}

impl Scopes {
    /// Connects to the host's systemd, if the test wants it and there is one.
    pub(crate) async fn connect(request: &StartRequest) -> Result<Option<Self>, Error> {
        if request.machined == Machined::Never {
            return Ok(None);
        }
        // sd_booted(3).
        if !Path::new("/run/systemd/system").is_dir() {
            return if request.machined == Machined::Require { Err(Error::NoSystemd) } else { Ok(None) };
        }
        let bus =
            within("the system bus", zbus::connection::Builder::system().method_timeout(PATIENCE).build()).await?;
        let mut machine = format!("{}-{}", request.run, request.machine.name);
        machine.truncate(NAME_MAX);
        let scope = format!("tandem-{}-{}.scope", request.run, request.machine.name);
        Ok(Some(Self { bus, machine: machine.trim_end_matches('-').into(), scope }))
    }

    /// Moves a process into a scope of its own and returns its cgroup in each hierarchy, delegated to `owner`.
    pub(crate) async fn enter(&self, process: BorrowedFd<'_>, owner: u32) -> Result<Vec<PathBuf>, Error> {
        let pid = driver_core::process::pid_of(process)?;
        let systemd = SystemdProxy::new(&self.bus).await?;
        systemd.subscribe().await?;
        let mut ended = systemd.receive_job_removed().await?;
        let properties = [
            ("Description", Variant::from(format!("Tandem machine {}", self.machine))),
            ("Slice", Variant::from("machine.slice")),
            ("Delegate", Variant::from(true)),
            // `machinectl terminate` means at once; the container's systemd takes SIGTERM for something else.
            ("KillSignal", Variant::from(libc::SIGKILL)),
            ("CollectMode", Variant::from("inactive-or-failed")),
            ("PIDs", Variant::from(vec![pid.cast_unsigned()])),
        ];
        let job = systemd.start_transient_unit(&self.scope, "fail", &properties, &[]).await?;
        let result = async {
            while let Some(signal) = ended.next().await {
                let args = signal.args()?;
                if args.job == *job {
                    return Ok(args.result.to_owned());
                }
            }
            Err(Error::Silent { who: "systemd" })
        };
        match timeout(PATIENCE, result).await.map_err(|_| Error::Silent { who: "systemd" })??.as_str() {
            "done" => {}
            other => return Err(Error::Job(other.into())),
        }
        let cgroups: Vec<PathBuf> =
            cgroup::of_process(pid)?.into_iter().filter(|path| path.ends_with(&self.scope)).collect();
        for path in &cgroups {
            cgroup::delegate(path, owner)?;
        }
        Ok(cgroups)
    }

    /// Registers the machine by its leader's pidfd. systemd-machined forgets it when the leader is gone.
    pub(crate) async fn register(&self, leader: BorrowedFd<'_>) -> Result<(), Error> {
        let leader = driver_core::process::pid_of(leader)?.cast_unsigned();
        let machined = MachinedProxy::new(&self.bus).await?;
        machined.register_machine(&self.machine, &[], "tandem", "container", leader, "").await?;
        Ok(())
    }
}

async fn within<T>(who: &'static str, call: impl Future<Output = zbus::Result<T>>) -> Result<T, Error> {
    Ok(timeout(PATIENCE, call).await.map_err(|_| Error::Silent { who })??)
}
