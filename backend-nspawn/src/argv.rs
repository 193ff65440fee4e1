//! The command line of systemd-nspawn (systemd-nspawn(1)), as a pure function.

use std::path::{Path, PathBuf};

use driver_core::guest_files::TARGET;
use driver_core::spec::Root;

use crate::toplevel;

/// Where things lie for systemd-nspawn, in the small root that it runs in.
pub(crate) mod place {
    pub(crate) const MACHINE: &str = "/machine";
    pub(crate) const SYS: &str = "/machine-sys";
    pub(crate) const NOTIFY: &str = "/run/notify";
    pub(crate) const BINDS: &str = "/binds";
    pub(crate) const DEVICES: &str = "/devices";
}

/// A file or directory that the machine sees: where it lies for systemd-nspawn, where the machine sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) source: String,
    pub(crate) target: String,
    pub(crate) writable: bool,
}

/// The arguments, the program's name first.
pub(crate) fn argv(name: &str, root: &Root, shown: &[Shown]) -> Vec<String> {
    let mut argv: Vec<String> = [
        "systemd-nspawn",
        "--quiet",
        // Scopes and registrations are made by us, or not at all.
        "--register=no",
        "--keep-unit",
        // Its user and network namespaces are ours already.
        "--private-users=no",
        "--network-namespace-path=/proc/self/ns/net",
        "--capability=CAP_NET_ADMIN",
        "--notify-ready=yes",
        "--console=interactive",
        "--link-journal=no",
        "--resolv-conf=off",
        "--timezone=off",
        "--setenv=SYSTEMD_COLORS=0",
        // The kernel lets a user namespace mount a fresh /proc or /sys only where one is fully visible already.
        "--bind=/proc:/run/host/proc",
    ]
    .map(Into::into)
    .into();
    argv.push(format!("--directory={}", place::MACHINE));
    argv.push(format!("--bind={}:/run/host/sys", place::SYS));
    argv.push(format!("--machine={name}"));
    for bind in shown {
        let option = if bind.writable { "--bind" } else { "--bind-ro" };
        argv.push(format!("{option}={}:{}", escape(&bind.source), escape(&bind.target)));
    }
    match root {
        // The init is where it says, and not where systemd-nspawn would look for one.
        Root::Toplevel(system) => argv.extend(toplevel::init(name, system)),
        Root::Host => argv.extend(["--boot".to_owned(), format!("systemd.unit={TARGET}")]),
        _ => argv.push("--boot".to_owned()),
    }
    argv
}

/// Environment of systemd-nspawn itself.
pub(crate) fn env() -> Vec<String> {
    vec![
        format!("NOTIFY_SOCKET={}", place::NOTIFY),
        // Its lock file would lie beside the root, where it may not write; ours is the run's.
        "SYSTEMD_NSPAWN_LOCK=0".into(),
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into(),
        "LANG=C.UTF-8".into(),
    ]
}

/// Paths in `--bind` end at a colon unless it is escaped.
fn escape(path: &str) -> String {
    path.replace('\\', "\\\\").replace(':', "\\:")
}

/// Finds systemd-nspawn on the host.
pub(crate) fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/bin", "/run/current-system/sw/bin"].map(Into::into))
        .map(|directory| directory.join("systemd-nspawn"))
        .find(|program| is_executable(program))
        // In the small root it is at the place that links lead to, not at a link.
        .and_then(|program| program.canonicalize().ok())
}

fn is_executable(path: &Path) -> bool {
    path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use driver_core::spec::Toplevel;

    use super::*;

    #[test]
    fn host_roots_boot_our_target_and_others_their_own() {
        assert_eq!(argv("a", &Root::Host, &[]).last().unwrap(), "systemd.unit=tandem.target");
        let own = argv("a", &Root::Directory("/x".into()), &[]);
        assert_eq!(own[own.len() - 2..], ["--machine=a", "--boot"]);
    }

    #[test]
    fn a_nixos_system_boots_by_its_init() {
        let system = Toplevel { store: "/srv/nix/store".into(), path: "abc-nixos-system-box".into() };
        let argv = argv("a", &Root::Toplevel(system), &[]);
        let init = ["/nix/store/abc-nixos-system-box/init", "fstab=no", "systemd.hostname=a"];
        assert_eq!(argv[argv.len() - 3..], init);
        assert!(!argv.contains(&"--boot".to_owned()));
    }

    #[test]
    fn binds_say_whether_they_are_writable_and_survive_colons() {
        let bind = |writable| Shown { source: "/binds/0".into(), target: "/mnt/a:b".into(), writable };
        let argv = argv("a", &Root::Directory("/x".into()), &[bind(true), bind(false)]);
        assert_eq!(
            argv[argv.len() - 3..argv.len() - 1],
            ["--bind=/binds/0:/mnt/a\\:b", "--bind-ro=/binds/0:/mnt/a\\:b"]
        );
    }
}
