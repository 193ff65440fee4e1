//! The files that make a root a machine's own: its identity, and for a host root what keeps the host's own services out.
//!
//! These are plain values; a backend writes them where its machine finds them.

use std::ffi::OsString;
use std::fmt::Write;
use std::io;

use rustix::rand::{GetRandomFlags, getrandom};

use crate::backend::StartRequest;
use crate::network::HostEntry;
use crate::spec::Root;

/// The target that a machine with the host's root boots instead of the host's default.
pub const TARGET: &str = "tandem.target";

/// Where units are that belong to this machine alone.
pub const UNITS: &str = "/etc/systemd/system";

/// A change to a file in a machine's root. Paths are absolute, and links in them are those of the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Replaces a file, or the link in its place, and makes its directory if that is missing. It belongs to the machine's root user.
    Write {
        /// Where it is.
        path: String,
        /// Its permissions.
        mode: u32,
        /// All of it.
        content: String,
    },
    /// Replaces a file by a symbolic link.
    Link {
        /// Where it is.
        path: String,
        /// Where it leads.
        target: String,
    },
    /// Removes a file, a link, or a directory with all in it; a missing one is no error.
    Remove {
        /// Where it is.
        path: String,
    },
    /// Lets root in without a password: the second field of root's line in `/etc/shadow` becomes empty, or in `/etc/passwd` where that has it.
    EmptyRootPassword,
}

impl Change {
    /// Writes a file that everybody may read.
    pub fn write(path: impl Into<String>, content: impl Into<String>) -> Self {
        Self::Write { path: path.into(), mode: 0o644, content: content.into() }
    }

    /// Hides a unit for good (systemd.unit(5), "masked").
    pub fn mask(unit: &str) -> Self {
        Self::Link { path: format!("{UNITS}/{unit}"), target: "/dev/null".into() }
    }

    fn remove(path: impl Into<String>) -> Self {
        Self::Remove { path: path.into() }
    }
}

/// All changes of a machine's first boot. `names` lists a directory of the root as it is, where a missing one has none.
///
/// The machine id comes last, so that who finds it knows that everything else is there.
pub fn changes(
    request: &StartRequest,
    machine_id: &str,
    names: impl Fn(&str) -> io::Result<Vec<OsString>>,
) -> io::Result<Vec<Change>> {
    let machine = &request.machine;
    let mut changes = vec![
        Change::write("/etc/hostname", format!("{}\n", machine.name)),
        Change::write("/etc/hosts", hosts(&machine.name, &request.hosts)),
        Change::EmptyRootPassword,
    ];
    if machine.root == Root::Host {
        changes.extend(mask_host(names)?);
        changes.push(Change::write(format!("{UNITS}/{TARGET}"), target(&machine.units)));
    }
    // A complete id: without one, systemd takes this for a first boot and enables every unit that a preset names (machine-id(5)).
    changes.push(Change::Write { path: MACHINE_ID.into(), mode: 0o444, content: format!("{machine_id}\n") });
    Ok(changes)
}

/// Where a machine's id is.
pub const MACHINE_ID: &str = "/etc/machine-id";

/// Makes a machine id (machine-id(5)).
pub fn machine_id() -> io::Result<String> {
    let mut bytes = [0_u8; 16];
    getrandom(&mut bytes, GetRandomFlags::empty())?;
    // Version 4, variant 1, as systemd makes them.
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    Ok(bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

/// Hides what belongs to the host as a machine: its file systems, name servers, keys and the units that were enabled on it.
fn mask_host(names: impl Fn(&str) -> io::Result<Vec<OsString>>) -> io::Result<Vec<Change>> {
    let mut changes = vec![
        Change::write("/etc/fstab", ""),
        Change::Write { path: "/etc/crypttab".into(), mode: 0o600, content: String::new() },
        Change::write("/etc/resolv.conf", ""),
        // By it systemd takes a VM, too, for a container (systemd-detect-virt(1)).
        Change::remove("/.dockerenv"),
    ];
    let names = |directory: &str| -> io::Result<Vec<String>> {
        Ok(names(directory)?.into_iter().filter_map(|name| name.into_string().ok()).collect())
    };
    let keys = names("/etc/ssh")?.into_iter().filter(|name| name.starts_with("ssh_host_"));
    changes.extend(keys.map(|name| Change::remove(format!("/etc/ssh/{name}"))));
    let enabling = |name: &String| {
        name == "default.target" || [".wants", ".requires", ".upholds"].iter().any(|ending| name.ends_with(ending))
    };
    changes.extend(names(UNITS)?.into_iter().filter(enabling).map(|name| Change::remove(format!("{UNITS}/{name}"))));
    Ok(changes)
}

fn target(units: &[String]) -> String {
    let mut text = "[Unit]\nDescription=Basics and the units of the test\nRequires=basic.target\nAfter=basic.target\n\
                    Wants=dbus.service systemd-user-sessions.service\nAllowIsolate=yes\n"
        .to_owned();
    for unit in units {
        let _ = writeln!(text, "Wants={unit}\nAfter={unit}");
    }
    text
}

pub(crate) fn hosts(own: &str, entries: &[HostEntry]) -> String {
    let mut text = String::from(
        "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\nff02::1 ip6-allnodes\nff02::2 ip6-allrouters\n",
    );
    if entries.iter().all(|entry| entry.name != own) {
        // As Debian has it: a machine without a network still knows its own name.
        let _ = writeln!(text, "127.0.1.1 {own}");
    }
    for entry in entries {
        let _ = writeln!(text, "{} {}", entry.address, entry.name);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::spec::{MachineSpec, Machined};

    fn request(root: Root) -> StartRequest {
        let units = vec!["nginx.service".into()];
        let machine = MachineSpec { root, vlans: Vec::new(), units, ..MachineSpec::new("web", "vm") };
        StartRequest {
            run: "run".into(),
            machine,
            hosts: Vec::new(),
            attachments: Vec::new(),
            state: "/state".into(),
            shared: "/nowhere".into(),
            sockets: "/sockets".into(),
            cgroups: Vec::new(),
            first_id: None,
            allow_reboot: false,
            boot_timeout: Duration::from_secs(1),
            vsock: None,
            machined: Machined::Never,
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "the shape that `changes` takes")]
    fn names(directory: &str) -> io::Result<Vec<OsString>> {
        let names: &[&str] = match directory {
            "/etc/ssh" => &["ssh_config", "ssh_host_rsa_key"],
            UNITS => &["multi-user.target.wants", "default.target", "own.service", "x.service.requires"],
            other => panic!("nobody asks for {other}"),
        };
        Ok(names.iter().map(OsString::from).collect())
    }

    #[test]
    fn the_hosts_own_things_are_hidden() {
        let changes = changes(&request(Root::Host), "abc", names).unwrap();
        let removed: Vec<_> = changes
            .iter()
            .filter_map(|change| match change {
                Change::Remove { path } => Some(path.as_str()),
                _ => None,
            })
            .collect();
        assert_eq!(
            removed,
            [
                "/.dockerenv",
                "/etc/ssh/ssh_host_rsa_key",
                "/etc/systemd/system/multi-user.target.wants",
                "/etc/systemd/system/default.target",
                "/etc/systemd/system/x.service.requires"
            ]
        );
        assert_eq!(
            changes.last().unwrap(),
            &Change::Write { path: "/etc/machine-id".into(), mode: 0o444, content: "abc\n".into() }
        );
        let target = changes.iter().find_map(|change| match change {
            Change::Write { path, content, .. } if path.ends_with("/tandem.target") => Some(content),
            _ => None,
        });
        assert!(target.unwrap().contains("Wants=nginx.service\nAfter=nginx.service\n"));
    }

    #[test]
    fn a_root_of_its_own_keeps_its_units() {
        let changes = changes(&request(Root::Directory("/root".into())), "abc", |_| panic!("not asked for")).unwrap();
        assert!(!changes.iter().any(|change| matches!(change, Change::Remove { .. })));
        assert!(changes.contains(&Change::write("/etc/hostname", "web\n")));
    }

    #[test]
    fn hosts_have_loopback_and_the_others() {
        let entry = |address: &str, name: &str| HostEntry { address: address.parse().unwrap(), name: name.into() };
        let text = hosts("a", &[entry("192.168.1.1", "a"), entry("2001:db8:1::2", "b")]);
        assert!(text.starts_with("127.0.0.1 localhost\n"));
        assert!(text.ends_with("192.168.1.1 a\n2001:db8:1::2 b\n"));
        assert!(!text.contains("127.0.1.1"));
        assert!(hosts("a", &[]).ends_with("127.0.1.1 a\n"));
    }

    #[test]
    fn machine_ids_differ() {
        let (one, two) = (machine_id().unwrap(), machine_id().unwrap());
        assert_eq!(one.len(), 32);
        assert_ne!(one, two);
    }
}
