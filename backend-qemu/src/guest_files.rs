//! What Tandem writes into a VM's root beyond what every machine gets: its command channel, and what keeps others from its devices.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write;
use std::io;

use driver_core::backend::StartRequest;
use driver_core::guest_files::{self, Change, TARGET, UNITS};
use driver_core::network::Attachment;
use driver_core::runtime_files::{self, PATH};
use driver_core::spec::Root;

use crate::argv;

/// The service that gives the driver a shell. Upstream's name: tests know it.
const SERVICE: &str = "backdoor.service";

/// The service that gives the driver the journal.
const JOURNAL_SERVICE: &str = "tandem-journal.service";

/// Where the programs of these services are in a root that keeps what is written into it.
const PROGRAMS: &str = "/etc/tandem";

/// All changes of a VM's first boot; see [`guest_files::changes`]. `serial` is the device of its serial console, such as `ttyS0`.
pub fn changes(
    request: &StartRequest,
    machine_id: &str,
    serial: &str,
    names: impl Fn(&str) -> io::Result<Vec<OsString>>,
) -> io::Result<Vec<Change>> {
    let mut changes = guest_files::changes(request, machine_id, names)?;
    if matches!(request.machine.root, Root::Toplevel(_)) {
        // Its init would replace the rest.
        return Ok(changes);
    }
    let mut own = services(request, serial, UNITS, PROGRAMS);
    if request.machine.root == Root::Host {
        own.push(Change::Link { path: format!("{UNITS}/default.target"), target: TARGET.into() });
    }
    own.extend(leave_alone(&request.attachments, "/etc"));
    // The last of all machines' changes stays the last.
    let last = changes.len().saturating_sub(1);
    changes.splice(last..last, own);
    Ok(changes)
}

/// All changes below `/run` of a VM whose init fills its root anew; see [`runtime_files::changes`].
pub(crate) fn runtime_changes(request: &StartRequest, serial: &str) -> Vec<Change> {
    let mut changes = runtime_files::changes(request);
    changes.extend(services(request, serial, runtime_files::UNITS, runtime_files::PROGRAMS));
    changes.extend(leave_alone(&request.attachments, "/run"));
    changes
}

/// The services of the driver's, with their units and programs in these directories.
fn services(request: &StartRequest, serial: &str, units: &str, programs: &str) -> Vec<Change> {
    let (shell_program, journal_program) = (format!("{programs}/shell"), format!("{programs}/journal"));
    // For the default target of any root, which is not known here.
    let wanted =
        |name: &str| Change::Link { path: format!("{units}/basic.target.wants/{name}"), target: format!("../{name}") };
    let masked = |name: &str| Change::Link { path: format!("{units}/{name}"), target: "/dev/null".into() };
    vec![
        Change::write(format!("{units}/{SERVICE}"), service(&shell_program)),
        wanted(SERVICE),
        Change::Write { path: shell_program, mode: 0o755, content: shell(&request.machine.env) },
        Change::write(format!("{units}/{JOURNAL_SERVICE}"), journal_service(&journal_program)),
        wanted(JOURNAL_SERVICE),
        Change::Write { path: journal_program, mode: 0o755, content: journal() },
        // They would read what the driver says and write between the lines that it reads.
        masked("serial-getty@hvc0.service"),
        masked(&format!("serial-getty@{serial}.service")),
    ]
}

/// Keeps network services of the guest's from interfaces that have their addresses already.
fn leave_alone(attachments: &[Attachment], settings: &str) -> Vec<Change> {
    if attachments.is_empty() {
        return Vec::new();
    }
    let (mut networkd, mut network_manager) = ("[Match]\nName=".to_owned(), "[keyfile]\nunmanaged-devices=".to_owned());
    for attachment in attachments {
        let _ = write!(networkd, "{} ", attachment.interface);
        let _ = write!(network_manager, "interface-name:{};", attachment.interface);
    }
    networkd.push_str("\n[Link]\nUnmanaged=yes\n");
    network_manager.push('\n');
    vec![
        Change::write(format!("{settings}/systemd/network/00-tandem.network"), networkd),
        Change::write(format!("{settings}/NetworkManager/conf.d/00-tandem.conf"), network_manager),
    ]
}

fn service(program: &str) -> String {
    format!(
        "[Unit]\nDescription=Shell for the test driver\nConditionPathExists=/dev/hvc0\n\n\
         [Service]\nEnvironment=PATH={PATH}\nExecStart=/bin/sh {program}\nRestart=always\nRestartSec=1\n\
         # What a test left running must not hold up a shutdown.\nTimeoutStopSec=5\n"
    )
}

/// The program that runs the shell: bash, which takes its commands from the console hvc0 and answers there.
///
/// It is a child, not the service's first process: that one leads a session, and a terminal that it opened would become the session's own, so
/// that a command could be stopped for reading from it.
fn shell(env: &BTreeMap<String, String>) -> String {
    let mut text = String::from("# Runs a root shell for the test driver.\n[ ! -r /etc/profile ] || . /etc/profile\n");
    text.push_str("export USER=root HOME=/root DISPLAY=:0.0 PAGER=\n");
    for (name, value) in env {
        let _ = writeln!(text, "export {name}='{}'", value.replace('\'', r"'\''"));
    }
    text.push_str(
        "cd /tmp || cd /\n\
         while :; do\n\
         \x20 (\n\
         \x20   exec </dev/hvc0 >/dev/hvc0 2>/dev/console\n\
         \x20   stty raw -echo\n\
         \x20   echo 'Spawning backdoor root shell...'\n\
         \x20   PS1= exec bash --norc /dev/hvc0\n\
         \x20 )\n\
         \x20 sleep 1\n\
         done\n",
    );
    text
}

/// The unit that follows the journal. It is in nobody's way: `Type=idle` waits for the units that are starting (systemd.service(5)).
fn journal_service(program: &str) -> String {
    format!(
        "[Unit]\nDescription=Journal for the test driver\nAfter={SERVICE} systemd-journald.service\n\
         ConditionPathExistsGlob=/sys/class/virtio-ports/*\n\n\
         [Service]\nType=idle\nNice=19\nEnvironment=PATH={PATH}\nExecStart=/bin/sh {program}\nRestart=on-failure\nRestartSec=1\nTimeoutStopSec=1\n\
         # What it says of itself would be more to say.\nStandardOutput=null\nStandardError=null\n"
    )
}

/// The program that writes this boot's journal to its port, which it finds by its name: links to ports are udev's, which not every root has.
fn journal() -> String {
    format!(
        "# Follows the journal for the test driver.\n\
         for port in /sys/class/virtio-ports/*; do\n\
         \x20 read -r name <\"$port/name\" || continue\n\
         \x20 [ \"$name\" = {port} ] || continue\n\
         \x20 exec journalctl --quiet --boot --follow --lines=all --all --output=json \\\n\
         \x20   --output-fields=MESSAGE,_SYSTEMD_UNIT,UNIT,PRIORITY >\"/dev/${{port##*/}}\"\n\
         done\n",
        port = argv::JOURNAL
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_reaches_the_shell_as_it_is() {
        let env =
            BTreeMap::from([("A".to_owned(), "it's $HOME".to_owned()), ("B".to_owned(), "two\nlines".to_owned())]);
        let script = shell(&env);
        let (head, _) = script.split_once("cd /tmp").unwrap();
        let head = head.replace("[ ! -r /etc/profile ] || . /etc/profile", "");
        let output = std::process::Command::new("sh")
            .args(["-c", &format!("{head}\nprintf '%s|%s' \"$A\" \"$B\"")])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "it's $HOME|two\nlines");
    }

    #[test]
    fn the_programs_can_be_parsed() {
        for program in [shell(&BTreeMap::new()), journal()] {
            let mut sh = std::process::Command::new("sh");
            assert!(sh.args(["-n", "-c", &program]).status().unwrap().success(), "{program}");
        }
    }
}
