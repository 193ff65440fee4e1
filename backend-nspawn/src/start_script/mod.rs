//! Containers that a program of the test's boots: upstream's start scripts, which NixOS makes one of for each test container.
//!
//! The program runs systemd-nspawn and waits for it. It is told by its environment, which has nothing else, where the container's files go,
//! where all machines share theirs, and where systemd says what becomes of it.
//!
//! It has a network namespace of its machine's own with an interface `vde-tapN` for each VLAN, which it puts into a bridge `brN`, and a mount
//! namespace of its own, in which /run is its own, too: nothing that it makes in either is seen by the host or by another machine. It runs as
//! root with the host's files in sight, as upstream's does; its pid namespace ends with it, so nothing of it is left.

mod arguments;
mod launch;
mod network;
mod preparations;

use std::fs::DirBuilder;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use driver_core::backend::{Descriptors, StartRequest};
use driver_core::console::Console;
use driver_core::process::wait_readable;
use driver_core::run::{cgroup, within};
use driver_core::spec::{MachineSpec, Problem, Root};
use rustix::fs::{Access, access};
use tokio::net::UnixDatagram;

use crate::boot::{self, Boot};
use crate::process::Process;
use crate::wires::{self, Ours, Theirs};
use crate::{door, notify};
use arguments::Places;
use launch::{Launch, Launched};

/// What upstream says when a start script ends before its container is ready.
pub(crate) const ENDED_EARLY: &str = "systemd-nspawn process exited unexpectedly";

/// A variable that commands have beside root's own, as upstream has it.
pub(crate) const DISPLAY: &str = "DISPLAY=:0.0";

/// What a machine with this start script asks for that the driver has no say in, and what is wrong with the script.
pub(crate) fn check(machine: &MachineSpec, script: &Path) -> Vec<Problem> {
    let mut problems = machine.refuse_all_but(&["start-script"], "its start script decides this; take the key out");
    let mut refuse = |key: &str, message: String, cure: String| {
        problems.push(Problem::user(format!("machine `{}`: key `{key}`", machine.name), message, cure));
    };
    if machine.root != Root::Host {
        refuse("root", "its start script decides what it boots from".into(), "take the key out".into());
    }
    if !machine.units.is_empty() {
        let cure = "take the key out, and start them in the test";
        refuse("units", "its start script decides what runs in it".into(), cure.into());
    }
    let shown = script.display();
    match std::fs::metadata(script) {
        Err(error) => {
            refuse("start-script", format!("`{shown}`: {error}"), "name a program that exists".into());
        }
        Ok(found) if !found.is_file() => {
            refuse("start-script", format!("`{shown}` is no file"), "name a program".into());
        }
        Ok(_) if access(script, Access::EXEC_OK).is_err() => {
            refuse("start-script", format!("`{shown}` may not be executed"), format!("run `chmod +x {shown}`"));
        }
        Ok(_) => {}
    }
    problems
}

/// Boots a container as far as its start script's execution.
pub(crate) async fn boot(
    script: &Path,
    request: &StartRequest,
    descriptors: &Descriptors,
    console: &Console,
) -> io::Result<Boot> {
    let places = Places::of(request);
    places.check()?;
    let (network, ports) = network::make(request, descriptors).await?;
    let scopes = boot::scopes(request, console).await?;
    let mut cgroups = match scopes {
        // systemd moves the process.
        Some(_) => Vec::new(),
        None => cgroup::make(&request.cgroups, &request.machine.name, 0),
    };
    let (ours, theirs) = wires::draw(console)?;
    let job = {
        let (script, cgroups) = (script.to_owned(), cgroups.clone());
        move || start(script, &places, network, cgroups, theirs)
    };
    let (Launched { shim, init, report }, socket) = within(&descriptors.init, job).await?;
    let mut process = Process::new(init, shim);
    if let Some(scopes) = &scopes {
        cgroups = scopes.enter(process.init(), 0).await.map_err(io::Error::other)?;
    }
    let Ours { channel, keyboard, console: lines, opener } = ours;
    rustix::io::write(&opener, b"x")?;
    process.set_script(executed(&report).await?);
    let notify = UnixDatagram::from_std(socket)?;
    Ok(Boot { process, notify, channel, ports, cgroups, owner: None, scopes, keyboard, console: lines })
}

/// Starts the script's processes. Runs inside the run's namespaces.
fn start(
    script: std::path::PathBuf,
    places: &Places,
    network: OwnedFd,
    cgroups: Vec<std::path::PathBuf>,
    wires: Theirs,
) -> io::Result<(Launched, std::os::unix::net::UnixDatagram)> {
    // A container's users look up files below its root.
    for (directory, mode) in [(&places.state, 0o755), (&places.shared, 0o700)] {
        DirBuilder::new().recursive(true).mode(mode).create(directory)?;
    }
    let socket = notify::bind(&places.notify, None)?;
    let environment = arguments::environment(places)?;
    let launch = Launch { script, environment, state: places.state.clone(), network, cgroups, wires };
    Ok((launch::start(launch)?, socket))
}

/// Waits until the script is executed; returns a pidfd of it.
async fn executed(report: &OwnedFd) -> io::Result<OwnedFd> {
    wait_readable(report.as_fd()).await?;
    let mut said = [0; 4096];
    let (length, mut fds) = door::receive(report.as_fd(), &mut said)?;
    match fds.pop() {
        Some(script) => Ok(script),
        None if length == 0 => Err(io::Error::other("the processes for its start script ended")),
        None => Err(io::Error::other(String::from_utf8_lossy(&said[..length]).into_owned())),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use driver_core::spec::{Bind, list};

    use super::*;

    fn said(machine: &MachineSpec, script: &Path) -> String {
        list(&check(machine, script))
    }

    #[test]
    fn what_the_script_decides_is_refused() {
        let script = Path::new("/bin/sh");
        let mut machine = MachineSpec { start_script: Some(script.into()), ..MachineSpec::new("m", "container") };
        machine.env.insert("A".into(), "1".into());
        assert_eq!(said(&machine, script), "");
        machine.root = Root::Directory("/".into());
        machine.units = vec!["a.service".into()];
        machine.binds = vec![Bind { source: "/srv".into(), target: "/srv".into(), writable: false }];
        machine.devices = vec!["/dev/null".into()];
        machine.qemu_args = vec!["-S".into()];
        let problems = check(&machine, script);
        let keys: Vec<&str> = problems.iter().map(|problem| problem.subject.rsplit('`').nth(1).unwrap()).collect();
        assert_eq!(keys, ["devices", "binds", "qemu-args", "root", "units"]);
        assert!(problems.iter().all(|problem| !problem.cure.is_empty()), "{problems:?}");
    }

    #[test]
    fn scripts_that_cannot_be_executed_are_told() {
        let directory = tempfile::tempdir().unwrap();
        let script = directory.path().join("run-m-nspawn");
        let machine = MachineSpec { start_script: Some(script.clone()), ..MachineSpec::new("m", "container") };
        assert!(said(&machine, &script).contains("No such file or directory (os error 2); name a program that exists"));
        assert!(said(&machine, directory.path()).contains("is no file"));
        fs::write(&script, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o644)).unwrap();
        let expected =
            format!("machine `m`: key `start-script`: `{0}` may not be executed; run `chmod +x {0}`", script.display());
        assert_eq!(said(&machine, &script), expected);
    }
}
