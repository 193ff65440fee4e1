//! Devices for sockets of the family `AF_VSOCK`, one for each VM with a start script, by one `vhost-device-vsock` for all.
//!
//! The kernel has no part in them: the numbers by which guests are addressed are the run's own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;

use super::{Ground, within};
use crate::event::{Level, Recorder};
use crate::machine::vsock_sockets;
use crate::spec::TestSpec;

/// The program.
const PROGRAM: &str = "vhost-device-vsock";

/// The first number that a guest can have (vsock(7)).
const FIRST_CID: u32 = 3;

/// How long the program may take until all of its sockets are there.
const READY: Duration = Duration::from_secs(10);

/// How often they are looked for.
const LOOK: Duration = Duration::from_millis(10);

/// Last lines of the program that people are told.
const WORDS: usize = 5;

/// The devices of a run. Dropping it ends them.
#[derive(Debug, Default)]
pub(super) struct Vsock {
    /// Each machine's sockets: QEMU's end and the driver's.
    sockets: BTreeMap<String, (PathBuf, PathBuf)>,
    _watcher: Option<AbortOnDropHandle<()>>,
}

impl Vsock {
    /// Makes the devices if there is a program that does. Otherwise the machines are reached by their LANs.
    pub(super) async fn for_machines(spec: &TestSpec, ground: &Ground, recorder: &Recorder) -> Self {
        let machines = spec.machines.iter().filter(|machine| machine.start_script.is_some());
        let directory = ground.directory.sockets();
        let sockets: BTreeMap<String, (PathBuf, PathBuf)> =
            machines.map(|machine| (machine.name.clone(), vsock_sockets(&directory, &machine.name))).collect();
        if !spec.ssh_backdoor || sockets.is_empty() {
            return Self::default();
        }
        let Some(program) = find() else {
            recorder.message(Level::Debug, format!("ssh: there is no {PROGRAM}; VMs are reached by their LANs"));
            return Self::default();
        };
        let span = recorder.span(format!("start {PROGRAM}"), false);
        let started = start(&program, &sockets, ground, recorder).await;
        span.finish(started.as_ref().err().cloned());
        match started {
            Ok(watcher) => Self { sockets, _watcher: Some(watcher) },
            Err(why) => {
                let message = format!("{PROGRAM} did not start: {why}; VMs are reached by SSH over their LANs only");
                recorder.message(Level::Warning, message);
                Self::default()
            }
        }
    }

    /// Where QEMU finds a machine's device.
    pub(super) fn guest(&self, machine: &str) -> Option<PathBuf> {
        self.sockets.get(machine).map(|(guest, _)| guest.clone())
    }

    /// Where the driver finds it.
    pub(super) fn host(&self, machine: &str) -> Option<PathBuf> {
        self.sockets.get(machine).map(|(_, host)| host.clone())
    }
}

fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|directory| directory.join(PROGRAM)).find(|file| file.is_file())
}

/// The program's arguments.
fn arguments<'a>(sockets: impl Iterator<Item = &'a (PathBuf, PathBuf)>) -> Vec<String> {
    let vm = |(cid, (guest, host)): (u32, &(PathBuf, PathBuf))| {
        ["--vm".into(), format!("guest-cid={cid},socket={},uds-path={}", guest.display(), host.display())]
    };
    (FIRST_CID..).zip(sockets).flat_map(vm).collect()
}

async fn start(
    program: &Path,
    sockets: &BTreeMap<String, (PathBuf, PathBuf)>,
    ground: &Ground,
    recorder: &Recorder,
) -> Result<AbortOnDropHandle<()>, String> {
    let (program, words) = (program.to_owned(), arguments(sockets.values()));
    let child = within(ground.namespaces.handle(), move || {
        let mut command = Command::new(program);
        command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        // A terminal's Ctrl-C is not for it.
        command.process_group(0);
        command.spawn()
    });
    let mut child = child.await.map_err(|error| error.to_string())?;
    let began = Instant::now();
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Err(format!("it ended with {status}: {}", last_words(&mut child).await));
        }
        if sockets.values().all(|(guest, _)| guest.exists()) {
            break;
        }
        if began.elapsed() > READY {
            return Err(format!("its sockets are not there after {} s", READY.as_secs()));
        }
        sleep(LOOK).await;
    }
    let recorder = recorder.clone();
    Ok(AbortOnDropHandle::new(tokio::spawn(async move {
        // To the end of its words, which is its own.
        let said = last_words(&mut child).await;
        let status = child.wait().await.map_or_else(|error| error.to_string(), |status| status.to_string());
        recorder.message(Level::Warning, format!("{PROGRAM} ended with {status}: {said}"));
    })))
}

/// The last lines of what it says, once that has ended.
async fn last_words(child: &mut Child) -> String {
    let Some(stderr) = child.stderr.take() else { return String::new() };
    let mut reader = BufReader::new(stderr);
    let (mut lines, mut line) = (Vec::new(), Vec::new());
    loop {
        line.clear();
        match (&mut reader).take(4096).read_until(b'\n', &mut line).await {
            Ok(1..) => lines.push(String::from_utf8_lossy(&line).trim().to_owned()),
            Ok(0) | Err(_) => break,
        }
        if lines.len() > WORDS {
            lines.remove(0);
        }
    }
    lines.join(" | ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_machine_has_a_number_and_two_sockets() {
        let sockets = ["a", "b"].map(|machine| vsock_sockets(Path::new("/s"), machine));
        assert_eq!(
            arguments(sockets.iter()).join(" "),
            "--vm guest-cid=3,socket=/s/a_guest.socket,uds-path=/s/a_host.socket \
             --vm guest-cid=4,socket=/s/b_guest.socket,uds-path=/s/b_host.socket"
        );
    }
}
