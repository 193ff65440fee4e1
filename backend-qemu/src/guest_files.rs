//! What Tandem writes into a VM's root beyond what every machine gets: its command channel, and what keeps others from its devices.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write;
use std::io;

use driver_core::backend::StartRequest;
use driver_core::guest_files::{self, Change, TARGET, UNITS};
use driver_core::network::Attachment;
use driver_core::spec::Root;

use crate::argv;

/// The service that gives the driver a shell. Upstream's name: tests know it.
const SERVICE: &str = "backdoor.service";

/// The program of that service.
const SHELL: &str = "/etc/tandem/shell";

/// The service that gives the driver the journal, and its program.
const JOURNAL_SERVICE: &str = "tandem-journal.service";
const JOURNAL: &str = "/etc/tandem/journal";

/// All changes of a VM's first boot; see [`guest_files::changes`]. `serial` is the device of its serial console, such as `ttyS0`.
pub fn changes(
    request: &StartRequest,
    machine_id: &str,
    serial: &str,
    names: impl Fn(&str) -> io::Result<Vec<OsString>>,
) -> io::Result<Vec<Change>> {
    let mut changes = guest_files::changes(request, machine_id, names)?;
    let mut own = vec![
        Change::Write { path: SHELL.into(), mode: 0o755, content: shell(&request.machine.env) },
        Change::write(format!("{UNITS}/{SERVICE}"), service()),
        // For the default target of any root, which is not known here.
        Change::Link { path: format!("{UNITS}/basic.target.wants/{SERVICE}"), target: format!("../{SERVICE}") },
        Change::Write { path: JOURNAL.into(), mode: 0o755, content: journal() },
        Change::write(format!("{UNITS}/{JOURNAL_SERVICE}"), journal_service()),
        Change::Link {
            path: format!("{UNITS}/basic.target.wants/{JOURNAL_SERVICE}"),
            target: format!("../{JOURNAL_SERVICE}"),
        },
        // They would read what the driver says and write between the lines that it reads.
        Change::mask("serial-getty@hvc0.service"),
        Change::mask(&format!("serial-getty@{serial}.service")),
    ];
    if request.machine.root == Root::Host {
        own.push(Change::Link { path: format!("{UNITS}/default.target"), target: TARGET.into() });
    }
    own.extend(leave_alone(&request.attachments));
    // The last of all machines' changes stays the last.
    let last = changes.len().saturating_sub(1);
    changes.splice(last..last, own);
    Ok(changes)
}

/// Keeps network services of the guest's from interfaces that have their addresses already.
fn leave_alone(attachments: &[Attachment]) -> Vec<Change> {
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
        Change::write("/etc/systemd/network/00-tandem.network", networkd),
        Change::write("/etc/NetworkManager/conf.d/00-tandem.conf", network_manager),
    ]
}

fn service() -> String {
    format!(
        "[Unit]\nDescription=Shell for the test driver\nConditionPathExists=/dev/hvc0\n\n\
         [Service]\nExecStart=/bin/sh {SHELL}\nRestart=always\nRestartSec=1\n\
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
fn journal_service() -> String {
    format!(
        "[Unit]\nDescription=Journal for the test driver\nAfter={SERVICE} systemd-journald.service\n\
         ConditionPathExistsGlob=/sys/class/virtio-ports/*\n\n\
         [Service]\nType=idle\nNice=19\nExecStart=/bin/sh {JOURNAL}\nRestart=on-failure\nRestartSec=1\nTimeoutStopSec=1\n\
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
