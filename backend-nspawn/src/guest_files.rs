//! What Tandem writes into a machine's root: its identity, and for a host root what keeps the host's own services out.

use std::fmt::Write;
use std::io;

use driver_core::backend::StartRequest;
use driver_core::network::HostEntry;
use driver_core::spec::Root;

use crate::tree::Tree;

/// The target that a host-root guest boots instead of the host's default.
pub(crate) const TARGET: &str = "tandem.target";

const UNITS: &str = "/etc/systemd/system";

/// Writes all files of a machine's first boot.
pub(crate) fn write(tree: &Tree, request: &StartRequest) -> io::Result<()> {
    let machine = &request.machine;
    tree.write("/etc/hostname", &format!("{}\n", machine.name), 0o644)?;
    tree.write("/etc/hosts", &hosts(&machine.name, &request.hosts), 0o644)?;
    // A complete id: without one, systemd takes this for a first boot and enables every unit that a preset names (machine-id(5)).
    tree.write("/etc/machine-id", &format!("{}\n", machine_id()?), 0o444)?;
    empty_root_password(tree)?;
    if machine.root == Root::Host {
        mask_host(tree)?;
        tree.write(&format!("{UNITS}/{TARGET}"), &target(&machine.units), 0o644)?;
    }
    Ok(())
}

/// Hides what belongs to the host as a machine: its file systems, name servers, keys and the units that were enabled on it.
fn mask_host(tree: &Tree) -> io::Result<()> {
    tree.write("/etc/fstab", "", 0o644)?;
    tree.write("/etc/crypttab", "", 0o600)?;
    tree.write("/etc/resolv.conf", "", 0o644)?;
    for name in tree.list("/etc/ssh")? {
        if name.to_str().is_some_and(|name| name.starts_with("ssh_host_")) {
            tree.remove(&format!("/etc/ssh/{}", name.display()))?;
        }
    }
    for name in tree.list(UNITS)? {
        let Some(name) = name.to_str() else { continue };
        let enabling = [".wants", ".requires", ".upholds"].iter().any(|ending| name.ends_with(ending));
        if enabling || name == "default.target" {
            tree.remove(&format!("{UNITS}/{name}"))?;
        }
    }
    Ok(())
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

fn hosts(own: &str, entries: &[HostEntry]) -> String {
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

/// Lets root in without a password (shadow(5), passwd(5)).
fn empty_root_password(tree: &Tree) -> io::Result<()> {
    for file in ["/etc/shadow", "/etc/passwd"] {
        match tree.read(file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
            Ok(text) => {
                let shadowed = file == "/etc/passwd" && text.lines().any(|line| line.starts_with("root:x:"));
                if !shadowed {
                    tree.overwrite(file, &without_root_password(&text))?;
                }
            }
        }
    }
    Ok(())
}

fn without_root_password(text: &str) -> String {
    text.lines()
        .map(|line| match line.strip_prefix("root:").and_then(|rest| rest.split_once(':')) {
            Some((_password, rest)) => format!("root::{rest}\n"),
            None => format!("{line}\n"),
        })
        .collect()
}

fn machine_id() -> io::Result<String> {
    let mut bytes = [0_u8; 16];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    // Version 4, variant 1, as systemd makes them.
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    Ok(bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_roots_password_goes() {
        let shadow = "root:$y$abc:19000:0:99999:7:::\ndaemon:*:19000:0:99999:7:::\nrooted:!:1::::::\n";
        let expected = "root::19000:0:99999:7:::\ndaemon:*:19000:0:99999:7:::\nrooted:!:1::::::\n";
        assert_eq!(without_root_password(shadow), expected);
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

    #[test]
    fn units_are_wanted_and_waited_for() {
        let text = target(&["nginx.service".into()]);
        assert!(text.contains("Wants=nginx.service\nAfter=nginx.service\n"));
    }
}
