//! A real Nix: hosts with a daemon of their own, and evaluation without one.
//!
//! What their stores hold is prepared once. Each host and each evaluation has a store of its own, which is thrown away.

mod pair;
mod store;

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::roots;
use crate::systemd_host::Boot;
pub use pair::Side;
pub use store::Store;

/// What a host has installed.
const PACKAGES: &str = "systemd,systemd-sysv,systemd-container,dbus,bash,coreutils,iproute2,iputils-ping,util-linux,procps,\
    python3-minimal,nix-bin,nix-setup-systemd,ca-certificates,openssh-client,openssh-server";

/// The settings of a builder for all tests.
pub const BUILDER: &str = "\
experimental-features = nix-command flakes auto-allocate-uids cgroups
auto-allocate-uids = true
extra-system-features = uid-range devnet nixos-test
extra-sandbox-paths = /dev/net
sandbox = true
substituters =
";

/// The settings of [`BUILDER`] with these lines, each in the place of the one that sets the same.
pub fn settings(lines: &str) -> String {
    fn key(line: &str) -> &str {
        let key = line.split('=').next().unwrap_or(line).trim();
        key.strip_prefix("extra-").unwrap_or(key)
    }
    let others = BUILDER.lines().filter(|line| lines.lines().all(|own| key(own) != key(line)));
    others.chain(lines.lines()).flat_map(|line| [line, "\n"]).collect()
}

/// What scripts begin with. The machine's /dev/net/tun is a node of its own, so that its mode is nobody else's; were it this host's,
/// it would be a mount.
const PRELUDE: &str = r"
export HOME=/root NIX_REMOTE=daemon
! mountpoint -q /dev/net/tun
chmod 666 /dev/net/tun
systemctl start nix-daemon.socket
. /etc/nix-test
# Gives the daemon other settings: `settings <<< TEXT`.
settings() {
    cat >/etc/nix/nix.conf
    systemctl stop nix-daemon.socket nix-daemon.service
    # Not too often for systemd, either.
    systemctl reset-failed nix-daemon.socket nix-daemon.service
    systemctl start nix-daemon.socket
}
";

/// The files of a host with Nix, from which any number can be booted.
#[derive(Clone, Debug)]
pub struct NixHost {
    root: PathBuf,
    /// What their stores hold.
    pub store: Store,
}

impl NixHost {
    /// Takes the files from the cache, or builds them, which needs a Debian mirror and some two minutes.
    pub fn build() -> io::Result<Self> {
        let root = roots::debian("trixie", PACKAGES)?;
        let store = Store::build(&root)?;
        Ok(Self { root, store })
    }

    /// Boots a host whose Nix has these settings and runs a bash script in it as root. Its output is standard output and error together.
    ///
    /// The daemon runs, and is what Nix uses unless the script says otherwise by `NIX_REMOTE`. `tandem` is on the `PATH`, `/project` is the
    /// project's directory, `$DISTRIBUTION` the store path of a Debian that can boot in containers and VMs and has the programs to run them.
    /// `settings <<<TEXT` gives the daemon other settings.
    pub fn run(&self, tandem: &Path, settings: &str, script: &str) -> io::Result<Output> {
        self.run_with(tandem, settings, &[], script)
    }

    /// The same on a host that sees directories of this one, read-only.
    pub fn run_with(
        &self,
        tandem: &Path,
        settings: &str,
        binds: &[(PathBuf, &'static str)],
        script: &str,
    ) -> io::Result<Output> {
        let mut boot = self.boot(settings);
        boot.binds.extend_from_slice(binds);
        boot.run(tandem, script)
    }

    fn boot(&self, settings: &str) -> Boot<'_> {
        let mut boot = Boot::of(&self.root);
        boot.name = "builder";
        boot.binds.push((project().into(), "/project"));
        boot.setup = include_str!("setup.sh");
        boot.environment = vec![("STORE", self.store.directory.clone().into()), ("SETTINGS", settings.into())];
        boot.prelude = PRELUDE.into();
        boot.patience = 400;
        boot
    }

    /// Runs a program of Nix without a daemon and without booting anything, as `nix-instantiate`. The working directory is the project's,
    /// `/project`; directories of this host that the arguments name are to be listed in `directories`.
    pub fn nix<S: AsRef<std::ffi::OsStr>>(&self, directories: &[&Path], command: &[S]) -> io::Result<Output> {
        let work = tempfile::tempdir()?;
        let directories: Vec<String> = directories.iter().map(|path| path.display().to_string()).collect();
        Command::new("timeout")
            .args(["--kill-after=5", "60", "unshare", "--pid", "--fork", "--kill-child", "--mount", "--net"])
            .args(["bash", "-c", include_str!("evaluate.sh"), "evaluate"])
            .args(command)
            .env("ROOT", &self.root)
            .env("WORK", work.path())
            .env("PROJECT", project())
            .env("DIRECTORIES", directories.join("\n"))
            .env("SETUP", include_str!("setup.sh"))
            .env("STORE", &self.store.directory)
            .env("SETTINGS", BUILDER)
            .stdin(Stdio::null())
            .output()
    }
}

/// The project's directory.
pub fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stand_in_for_those_that_set_the_same() {
        let settings = settings("system-features = kvm\nsandbox = false\nmax-jobs = 1");
        let lines: Vec<&str> = settings.lines().collect();
        assert!(lines.contains(&"auto-allocate-uids = true") && lines.contains(&"max-jobs = 1"), "{settings}");
        assert!(lines.contains(&"system-features = kvm") && !settings.contains("uid-range"), "{settings}");
        assert!(lines.contains(&"sandbox = false") && !lines.contains(&"sandbox = true"), "{settings}");
    }
}
