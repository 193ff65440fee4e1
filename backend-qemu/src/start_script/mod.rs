//! VMs that a program of the test's boots: upstream's start scripts, which NixOS makes one of for each test VM.
//!
//! The program is given QEMU's arguments for the driver's connections and ends with an `exec` of QEMU. What the guest runs is its own affair; it
//! says upstream's banner on hvc0 when its shell is there.
//!
//! Its QEMU plugs itself into the machine's VLANs by VDE, as upstream's does: each is a directory that an environment variable names.
//!
//! It runs as the user who runs the test, like everything else of upstream's, but gains nothing by setuid programs (no new privileges), and
//! sees the host's files and network, the run's state, and of processes only the machine's own.

mod arguments;
mod connection;
mod pid_namespace;
mod processes;
mod relay;

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use driver_core::backend::{Descriptors, StartRequest};
use driver_core::console::Console;
use driver_core::error::MachineError;
use driver_core::run::within;
use driver_core::spec::{MachineSpec, Problem, Root, VlanId};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::net::{UnixListener, UnixStream};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{Instant, timeout};

use crate::boot::Boot;
use crate::{lan, process};
use arguments::Places;
use connection::{Connecting, Failure, Output, connect};
use processes::Processes;
use relay::Relay;

/// How long the processes of an earlier boot may take to be gone. They have been killed already.
const GONE: Duration = Duration::from_secs(10);

/// How long the end of a script that was given up is waited for, and its last output.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Console lines that an error shows.
const LAST_LINES: usize = 30;

/// What a machine with a start script asks for that the driver has no say in.
pub(crate) fn check(machine: &MachineSpec) -> Vec<Problem> {
    let mut problems =
        machine.refuse_all_but(&["start-script", "qemu-args"], "its start script decides this; take the key out");
    let mut refuse = |key: &str, message: &str, cure: &str| {
        problems.push(Problem::user(format!("machine `{}`: key `{key}`", machine.name), message, cure));
    };
    if machine.root != Root::Host {
        refuse("root", "its start script decides what it boots from", "take the key out");
    }
    if !machine.units.is_empty() {
        refuse("units", "its start script decides what runs in it", "take the key out, and start them in the test");
    }
    if !machine.env.is_empty() {
        refuse("env", "its start script decides the environment of its shell", "take the key out");
    }
    problems
}

/// Runs a machine's start script until QEMU is connected.
pub(crate) async fn boot(
    script: &Path,
    request: &StartRequest,
    descriptors: &Descriptors,
    console: &Console,
) -> Result<Boot, MachineError> {
    let broken = |error: io::Error| MachineError::new(&*request.machine.name, "start", error.to_string()).source(error);
    let places = Places::of(request);
    places.check().map_err(broken)?;
    let (ports, vlans) = lan::listen(request, descriptors).await.map_err(broken)?;
    let launched = {
        let (script, request) = (script.to_owned(), request.clone());
        within(&descriptors.init, move || launch(&script, &request, &vlans)).await.map_err(broken)?
    };
    let Launched { script: child, stdin, stdout, processes, monitor, shell } = launched;
    let mut connecting = Connecting {
        script: child,
        output: Output::new(stdout, console.clone()),
        began: Instant::now(),
        limit: request.boot_timeout,
    };
    let connected = async {
        let (monitor, _) = connecting.until("monitor", monitor.accept()).await?;
        let (shell, _) = connecting.until("shell", shell.accept()).await?;
        let qmp = connecting.until("QMP", connect(&descriptors.init, &places.qmp)).await?;
        Ok((monitor, shell, qmp))
    };
    match connected.await {
        Ok((monitor, shell, qmp)) => {
            let Connecting { script: qemu, output, .. } = connecting;
            let (serial, passed) = UnixStream::pair().map_err(broken)?;
            let (stdout, said) = output.into_rest();
            let pidfd = pidfd(&qemu).map_err(broken)?;
            tokio::spawn(Relay { qemu: pidfd, stdin, stdout, said, serial: passed, monitor, processes }.run());
            let (serial, shell) = (serial.into_std().map_err(broken)?, shell.into_std().map_err(broken)?);
            Ok(Boot { qemu, helpers: Vec::new(), qmp, serial, shell, journal: None, ports, netdev: arguments::netdev })
        }
        Err(failure) => {
            let _ = timeout(LAST_WORDS, connecting.script.kill()).await;
            processes.end().await;
            connecting.output.finish(LAST_WORDS).await;
            Err(told(failure, script, request, console))
        }
    }
}

/// The failure as people are told, with what the script said.
fn told(failure: Failure, script: &Path, request: &StartRequest, console: &Console) -> MachineError {
    let error =
        MachineError::new(&*request.machine.name, "start", failure.to_string()).last_seen(console.last(LAST_LINES));
    let script = script.display();
    match failure {
        Failure::Exited { .. } => error
            .gone()
            .cure(format!("`{script}` must `exec` QEMU with all the arguments that it is given; see what it said")),
        Failure::Late { .. } => error
            .after(request.boot_timeout)
            .cure(format!("`{script}` must `exec` QEMU with all the arguments that it is given; or give it more time")),
        Failure::Broken { error: source, .. } => error.source(source),
    }
}

fn pidfd(child: &Child) -> io::Result<OwnedFd> {
    let pid = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
    // Not waited for yet, so that it cannot be another's pid.
    let pid = pid.ok_or_else(|| io::Error::other("QEMU has ended"))?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

/// A start script that runs.
struct Launched {
    script: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
    processes: Processes,
    monitor: UnixListener,
    shell: UnixListener,
}

/// Starts the script. Runs inside the run's namespaces.
fn launch(script: &Path, request: &StartRequest, vlans: &[(VlanId, PathBuf)]) -> io::Result<Launched> {
    let places = Places::of(request);
    for directory in [&places.state, &places.shared] {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    let lock = alone(&places.lock)?;
    for socket in [&places.monitor, &places.shell, &places.qmp] {
        match fs::remove_file(socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    let (monitor, shell) = (UnixListener::bind(&places.monitor)?, UnixListener::bind(&places.shell)?);
    let processes = Processes::new(lock)?;
    // By a shell, as upstream does: it also runs a script that names no interpreter.
    let mut command = Command::new("/bin/sh");
    command.args(["-c", r#"exec "$0" "$@" 2>&1"#]).arg(script).args(arguments::arguments(
        request,
        &places,
        arguments::has_display(),
    ));
    command.envs(arguments::environment(&places, vlans)).current_dir(&places.state);
    // Pipes as upstream's, not a socket: a script that writes to /dev/stderr could not open that.
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    processes.enter(&mut command)?;
    let mut script = process::start(command, &[], None)?;
    let (Some(stdin), Some(stdout)) = (script.stdin.take(), script.stdout.take()) else {
        return Err(io::Error::other("its start script has no pipes"));
    };
    Ok(Launched { script, stdin, stdout, processes, monitor, shell })
}

/// Waits until no process of the machine's last boot is left. The lock is passed on to those of this one.
fn alone(path: &Path) -> io::Result<File> {
    let lock = File::create(path)?;
    let began = Instant::now();
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if began.elapsed() > GONE => {
                return Err(io::Error::other(format!("processes of its last boot are still there after {GONE:?}")));
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use driver_core::spec::{Accel, list};

    fn machine() -> MachineSpec {
        MachineSpec { start_script: Some("/run-m-vm".into()), ..MachineSpec::new("m", "vm") }
    }

    #[test]
    fn a_start_script_and_arguments_for_qemu_go_together() {
        let machine = MachineSpec { qemu_args: vec!["-snapshot".into()], ..machine() };
        assert_eq!(list(&check(&machine)), "");
    }

    #[test]
    fn what_the_script_decides_is_refused() {
        let mut given = machine();
        given.memory = Some(512);
        given.accel = Accel::Tcg;
        given.root = Root::Directory("/".into());
        given.units = vec!["a.service".into()];
        given.env.insert("A".into(), "1".into());
        let problems = check(&given);
        let keys: Vec<&str> = problems.iter().map(|problem| problem.subject.rsplit('`').nth(1).unwrap()).collect();
        assert_eq!(keys, ["memory", "accel", "root", "units", "env"]);
        assert!(problems.iter().all(|problem| !problem.cure.is_empty()), "{problems:?}");
    }

    #[test]
    fn a_machine_waits_for_what_its_last_boot_left() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let first = alone(&path).unwrap();
        std::thread::scope(|scope| {
            let second = scope.spawn(|| alone(&path));
            std::thread::sleep(Duration::from_millis(50));
            assert!(!second.is_finished());
            drop(first);
            assert!(second.join().unwrap().is_ok());
        });
    }
}
