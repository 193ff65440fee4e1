//! What makes a root a machine's own whose init fills it anew at each boot: whatever was written into it before would be replaced.
//!
//! It lies below `/run`, which the init finds mounted, and is the machine's until that goes down.

use crate::backend::StartRequest;
use crate::guest_files::{Change, hosts};

/// Where units are that come before those of the root's own (systemd.unit(5), "Unit File Load Path").
pub const UNITS: &str = "/run/systemd/system.control";

/// Where the programs of such units are.
pub const PROGRAMS: &str = "/run/tandem";

/// Environment of such units: systemd's, and before it where NixOS has its programs.
pub const PATH: &str =
    "/run/wrappers/bin:/run/current-system/sw/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The unit that makes the root the machine's own.
const SERVICE: &str = "tandem-root.service";

/// What a machine's systemd is told on its command line: to mount no file systems of its configuration, because its root is none of them
/// (systemd-fstab-generator(8)), and its name, which would else be that of its configuration (kernel-command-line(7)).
pub fn words(machine: &str) -> [String; 2] {
    ["fstab=no".to_owned(), format!("systemd.hostname={machine}")]
}

/// The files below [`UNITS`] and [`PROGRAMS`]. They are made before each boot.
pub fn changes(request: &StartRequest) -> Vec<Change> {
    let hosts = hosts(&request.machine.name, &request.hosts);
    vec![
        Change::Write { path: format!("{PROGRAMS}/root"), mode: 0o755, content: program(&hosts) },
        Change::write(format!("{UNITS}/{SERVICE}"), service()),
        Change::Link { path: format!("{UNITS}/basic.target.wants/{SERVICE}"), target: format!("../{SERVICE}") },
    ]
}

/// Before anything that would look up a name or let somebody in.
fn service() -> String {
    format!(
        "[Unit]\nDescription=Names for the test, and root without a password\nDefaultDependencies=no\n\
         After=local-fs.target\nBefore=basic.target shutdown.target\nConflicts=shutdown.target\n\n\
         [Service]\nType=oneshot\nRemainAfterExit=yes\nTimeoutStartSec=30\nEnvironment=PATH={PATH}\n\
         ExecStart=/bin/sh {PROGRAMS}/root\n"
    )
}

/// What the root has stays, behind what is ours. Where /etc is read-only, a mount hides its file. What fails is said in the journal.
fn program(hosts: &str) -> String {
    let hosts = hosts.trim_end();
    format!(
        "# Makes this root the machine's own for the test driver.\n\
         hosts='{hosts}'\n\
         case $(cat /etc/hosts) in\n\
         \"$hosts\"*) ;;\n\
         *)\n\
         \x20 {{ printf '%s\\n' \"$hosts\"; cat /etc/hosts; }} >{PROGRAMS}/hosts\n\
         \x20 {{ cp {PROGRAMS}/hosts /etc/hosts.tandem && mv -f /etc/hosts.tandem /etc/hosts; }} ||\n\
         \x20   mount --bind {PROGRAMS}/hosts /etc/hosts\n\
         esac\n\
         if grep -qs '^root:[^:]' /etc/shadow; then sed -i 's/^root:[^:]*:/root::/' /etc/shadow; fi\n\
         if grep -qs '^root:[^x:]' /etc/passwd; then sed -i 's/^root:[^:]*:/root::/' /etc/passwd; fi\n\
         exit 0\n"
    )
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use super::*;

    /// What the program makes of these files of /etc, each by its name.
    fn run(files: &[(&str, &str)]) -> Vec<String> {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        for (name, text) in files {
            fs::write(at(name), text).unwrap();
        }
        let root = root.path().to_str().unwrap();
        let script = program("192.168.1.1 a\n192.168.1.2 b\n").replace("/etc/", &format!("{root}/"));
        let script = script.replace(PROGRAMS, &format!("{root}/run"));
        fs::create_dir(format!("{root}/run")).unwrap();
        for _ in 0..2 {
            assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
        }
        files.iter().map(|(name, _)| fs::read_to_string(at(name)).unwrap()).collect()
    }

    #[test]
    fn names_come_before_those_that_the_root_has_and_only_once() {
        let made = run(&[("hosts", "127.0.0.2 a\n")]);
        assert_eq!(made, ["192.168.1.1 a\n192.168.1.2 b\n127.0.0.2 a\n"]);
    }

    #[test]
    fn only_roots_password_goes() {
        let made = run(&[("passwd", "root:x:0:0\nrooted:y:1:1\n"), ("shadow", "root:!:1::\nbin:!:1::\n")]);
        assert_eq!(made, ["root:x:0:0\nrooted:y:1:1\n", "root::1::\nbin:!:1::\n"]);
        assert_eq!(run(&[("passwd", "root:abc:0:0\n")]), ["root::0:0\n"]);
    }
}
