//! A container's `run-NAME-nspawn`, the `run-nspawn` that it runs, and the system that this boots: a systemd of the host's /usr, whose init
//! finds an empty root directory and fills it, as that of NixOS does.

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use super::executable;
use crate::TestResult;

/// Files of /etc that the host's programs need, those of them that there are.
const ETC: [&str; 9] = [
    "passwd",
    "group",
    "nsswitch.conf",
    "ld.so.cache",
    "pam.d",
    "security",
    "login.defs",
    "alternatives",
    "bash.bashrc",
];

/// What the container boots: the least with a bus.
const TARGET: &str = "[Unit]\nRequires=basic.target\nWants=dbus.socket dbus.service network-addresses.service\n\
                      After=basic.target dbus.service network-addresses.service\nAllowIsolate=yes\n";

/// One network interface.
#[derive(Clone, Debug)]
pub struct Interface {
    /// Its name in the container.
    pub name: String,
    /// The VLAN that it is on.
    pub vlan: u8,
}

/// A container, as a test's Nix code declares it.
#[derive(Clone, Debug)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// Its number among all machines of the test, from 1: the last part of its addresses.
    pub node: u8,
    /// Its interfaces.
    pub interfaces: Vec<Interface>,
    /// Names and numbers of all machines of the test, for /etc/hosts.
    pub hosts: Vec<(String, u8)>,
    /// More options for systemd-nspawn.
    pub options: Vec<String>,
    /// Shell commands that init runs before systemd.
    pub init: String,
}

impl Container {
    /// A container with `eth1`, `eth2`, ... on these VLANs.
    pub fn new(name: &str, node: u8, vlans: &[u8]) -> Self {
        let interface = |(index, vlan): (usize, &u8)| Interface { name: format!("eth{}", index + 1), vlan: *vlan };
        Self {
            name: name.to_owned(),
            node,
            interfaces: vlans.iter().enumerate().map(interface).collect(),
            hosts: Vec::new(),
            options: Vec::new(),
            init: String::new(),
        }
    }

    /// Writes all that it takes below `directory` and returns the path of its start script.
    pub fn write(&self, directory: &Path) -> TestResult<PathBuf> {
        let system = directory.join(format!("{}-system", self.name));
        self.write_system(&system)?;
        let wrapper = directory.join("run-nspawn");
        let python = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output()?;
        let python = String::from_utf8(python.stdout)?;
        executable(&wrapper, &format!("#!{}\n{}", python.trim(), include_str!("run-nspawn.py")))?;
        let interface = |it: &Interface| json!({"name": it.name, "vlan": it.vlan, "assignIP": true});
        let interfaces = json!(self.interfaces.iter().map(interface).collect::<Vec<_>>());
        let cmdline = json!(["systemd.unit=test.target", "--log-target=console", "--show-status=yes"]);
        let name = &self.name;
        let (system, wrapper) = (system.display(), wrapper.display());
        let options = self.options.iter().fold(String::new(), |text, option| text + " '" + option + "'");
        // systemd-nspawn of other distributions than NixOS wants a /usr, and the programs there their loader.
        let text = format!(
            "#!/bin/sh\n\
             root=${{RUN_NSPAWN_ROOT_DIR:-./{name}-root}}\n\
             mkdir -p \"$root/usr\"\n\
             for link in bin sbin lib lib32 lib64; do\n\
             [ ! -e /usr/$link ] || [ -e \"$root/$link\" ] || ln -s usr/$link \"$root/$link\"\n\
             done\n\
             exec {wrapper} --container-name {name} --root-dir ./{name}-root --interfaces-json '{interfaces}' \
             --init /system/init --cmdline-json '{cmdline}' --private-network --machine={name} --bind-ro=/usr:/usr \
             --bind-ro={system}:/system --private-users=no --bind=/proc:/run/host/proc --bind=/sys:/run/host/sys \
             --keep-unit --register=no --notify-ready=yes{options} \"$@\"\n"
        );
        let script = directory.join(format!("run-{name}-nspawn"));
        executable(&script, &text)?;
        Ok(script)
    }

    /// Writes what the container boots.
    fn write_system(&self, system: &Path) -> TestResult {
        let units = system.join("etc/systemd/system");
        fs::create_dir_all(&units)?;
        for name in ETC {
            let source = Path::new("/etc").join(name);
            if source.exists() {
                // A failure is no matter: links in it may lead nowhere.
                Command::new("cp").arg("-aL").args([&source, &system.join("etc")]).output()?;
            }
        }
        let etc = |name: &str, text: String| fs::write(system.join("etc").join(name), text);
        etc("shadow", "root::19000:0:99999:7:::\n".into())?;
        fs::set_permissions(system.join("etc/shadow"), fs::Permissions::from_mode(0o640))?;
        etc("hostname", format!("{}\n", self.name))?;
        etc("hosts", self.hosts())?;
        etc("profile", "export PROFILE_WAS_READ=yes PATH=/usr/local/bin:/usr/bin:/usr/sbin:/bin:/sbin\n".into())?;
        fs::write(units.join("test.target"), TARGET)?;
        let text = format!(
            "[Unit]\nDefaultDependencies=no\nBefore=basic.target\n\
             [Service]\nType=oneshot\nRemainAfterExit=yes\n{}",
            self.addresses()
        );
        fs::write(units.join("network-addresses.service"), text)?;
        let init = include_str!("init.sh").replace("@commands@", &self.init);
        executable(&system.join("init"), &init)?;
        Ok(())
    }

    fn hosts(&self) -> String {
        let mut text = String::from("127.0.0.1 localhost\n::1 localhost\n");
        let vlan = self.interfaces.first().map_or(1, |interface| interface.vlan);
        for (name, node) in &self.hosts {
            let _ = write!(text, "192.168.{vlan}.{node} {name}\n2001:db8:{vlan}::{node} {name}\n");
        }
        text
    }

    /// What gives its interfaces their addresses.
    fn addresses(&self) -> String {
        let node = self.node;
        let start = |text: String, Interface { name, vlan }: &Interface| {
            text + &format!(
                "ExecStart=ip address add 192.168.{vlan}.{node}/24 dev {name}\n\
                 ExecStart=ip address add 2001:db8:{vlan}::{node}/64 dev {name} nodad\n\
                 ExecStart=ip link set {name} up\n"
            )
        };
        let starts = self.interfaces.iter().fold(String::new(), start);
        if starts.is_empty() { "ExecStart=true\n".into() } else { starts }
    }
}
