//! Two hosts with Nix and a network between them.

use std::fs::{File, read_link};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::NixHost;
use crate::roots::run;

/// What each host's script begins with. They have the same files, and so the same ssh key, by which they are known to each other.
const PRELUDE: &str = r#"
printf '10.99.0.1 first\n10.99.0.2 second\n' >>/etc/hosts
hostname >/machine
key=$(cut -d ' ' -f 1,2 /etc/ssh/ssh_host_ed25519_key.pub)
echo "first,second $key" >/etc/ssh/ssh_known_hosts
"#;

/// One of the two.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// What its nix.conf says.
    pub settings: &'a str,
    /// What it does, as root.
    pub script: &'a str,
}

impl NixHost {
    /// Boots two hosts, `first` and `second`, which reach each other by these names, and runs a script in each; the output is that of the
    /// first one, then that of the second.
    ///
    /// `/machine` has the name of the host. The key pair `/etc/ssh/ssh_host_ed25519_key` is the same on both, as is its public half in `$key`;
    /// both know it as the other's. When the first host is done, there is a file `/pair/done` on the second one.
    pub fn run_pair(&self, tandem: &Path, first: Side, second: Side) -> io::Result<[Output; 2]> {
        let scratch = tempfile::tempdir()?;
        let networks = [Network::new()?, Network::new()?];
        let [here, there] = networks.each_ref().map(|network| network.0.id().to_string());
        let link = ["link", "add", "between", "type", "veth", "peer", "name", "between", "netns", &there];
        networks[0].ip(&link)?;
        for (network, address) in networks.iter().zip(["10.99.0.1/24", "10.99.0.2/24"]) {
            network.ip(&["link", "set", "lo", "up"])?;
            network.ip(&["address", "add", address, "dev", "between"])?;
            network.ip(&["link", "set", "between", "up"])?;
        }
        let boot = |side: Side, name, network: &str| {
            let mut boot = self.boot(side.settings);
            boot.name = name;
            boot.network = Some(namespace(network));
            boot.prelude.push_str(PRELUDE);
            boot.binds.push((scratch.path().into(), "/pair"));
            boot.run(tandem, side.script)
        };
        thread::scope(|scope| {
            let second = scope.spawn(|| boot(second, "second", &there));
            let first = boot(first, "first", &here);
            File::create(scratch.path().join("done"))?;
            let second = second.join().map_err(|_| io::Error::other("the second host's thread panicked"))?;
            Ok([first?, second?])
        })
    }
}

/// A network namespace, which lives as long as a process in it.
struct Network(Child);

impl Network {
    fn new() -> io::Result<Self> {
        let mut unshare = Command::new("unshare");
        // Not longer than this thread, whatever ends that.
        unshare.args(["--net", "setpriv", "--pdeathsig", "KILL", "sleep", "infinity"]);
        let child = unshare.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
        let network = Self(child);
        let (own, deadline) = (read_link(namespace("self"))?, Instant::now() + Duration::from_secs(10));
        while read_link(namespace(&network.0.id().to_string()))? == own {
            if Instant::now() > deadline {
                return Err(io::Error::other("unshare made no network namespace"));
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(network)
    }

    /// Runs `ip` in it.
    fn ip(&self, arguments: &[&str]) -> io::Result<()> {
        let namespace = namespace(&self.0.id().to_string());
        run(Command::new("nsenter").arg(format!("--net={}", namespace.display())).arg("ip").args(arguments))
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn namespace(process: &str) -> PathBuf {
    Path::new("/proc").join(process).join("ns/net")
}
