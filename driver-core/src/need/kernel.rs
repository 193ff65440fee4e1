//! What the kernel must have: namespaces and file systems.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Cure, Need};

/// The namespaces that runs and machines live in, and the kernel's options for them.
const NAMESPACES: [(&str, &str); 6] = [
    ("user", "USER_NS"),
    ("mnt", "NAMESPACES"),
    ("pid", "PID_NS"),
    ("net", "NET_NS"),
    ("uts", "UTS_NS"),
    ("cgroup", "CGROUPS"),
];

/// How many namespaces of a kind a user may have, enough for anybody.
const MANY: u64 = 10_000;

/// Namespaces of these kinds, which the kernel has and of which more may be made.
pub fn namespaces(group: &str, purpose: &str, kinds: &[&str]) -> Need {
    namespaces_below(Path::new("/"), group, purpose, kinds)
}

fn namespaces_below(root: &Path, group: &str, purpose: &str, kinds: &[&str]) -> Need {
    const NAME: &str = "namespaces";
    for (kind, option) in NAMESPACES.iter().filter(|(kind, _)| kinds.contains(kind)) {
        if !root.join("proc/self/ns").join(kind).exists() {
            let cure = Cure::new(format!("use a kernel with CONFIG_{option}"));
            return Need::missing(group, NAME, purpose, format!("this kernel has no {kind} namespaces"), cure);
        }
        let limit = root.join(format!("proc/sys/user/max_{kind}_namespaces"));
        if fs::read_to_string(limit).is_ok_and(|limit| limit.trim() == "0") {
            let cure = Cure::sysctl("raise the limit", &format!("user.max_{kind}_namespaces"), MANY);
            return Need::missing(group, NAME, purpose, format!("this host allows no {kind} namespaces"), cure);
        }
    }
    Need::ok(group, NAME, purpose, kinds.join(", "))
}

/// A file system that the kernel has, or has as a module that it loads when it is first asked for.
pub fn file_system(group: &str, name: &str, purpose: &str, option: &str) -> Need {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    file_system_below(Path::new("/"), &release, group, name, purpose, option)
}

fn file_system_below(root: &Path, release: &str, group: &str, name: &str, purpose: &str, option: &str) -> Need {
    let known = fs::read_to_string(root.join("proc/filesystems"));
    if known.is_ok_and(|text| text.lines().any(|line| line.rsplit('\t').next() == Some(name))) {
        return Need::ok(group, name, purpose, format!("Linux {release} has it"));
    }
    let cure = Cure::module(format!("load it, or use a kernel with CONFIG_{option}"), name);
    let Some(directory) = modules(root, release) else {
        let found = format!(
            "Linux {release} has not loaded it, and its modules are not seen here: it may load it when it is asked for"
        );
        return Need::limited(group, name, purpose, found, cure);
    };
    if fs::read_to_string(directory.join("modules.dep")).is_ok_and(|list| list.contains(&format!("/{name}.ko"))) {
        return Need::ok(group, name, purpose, format!("a module of Linux {release}, loaded when it is asked for"));
    }
    Need::missing(group, name, purpose, format!("Linux {release} does not have it"), cure)
}

/// Where the modules of the running kernel are; NixOS has a place of its own.
fn modules(root: &Path, release: &str) -> Option<PathBuf> {
    let places = ["lib/modules", "usr/lib/modules", "run/booted-system/kernel-modules/lib/modules"];
    places.iter().map(|place| root.join(place).join(release)).find(|place| place.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn namespaces_are_there_and_allowed() {
        let has = |files: &[(&str, &str)]| {
            let need = namespaces_below(root(files).path(), "every test", "", &["pid", "user"]);
            need.problem().map(|problem| problem.to_string())
        };
        let (pid, user) = (("proc/self/ns/pid", ""), ("proc/self/ns/user", ""));
        assert_eq!(has(&[pid, user, ("proc/sys/user/max_user_namespaces", "10\n")]), None);
        assert!(has(&[user]).unwrap().contains("no pid namespaces; use a kernel with CONFIG_PID_NS"));
        let told = has(&[pid, user, ("proc/sys/user/max_user_namespaces", "0\n")]).unwrap();
        assert!(told.contains("allows no user namespaces") && told.contains("sysctl user.max_user_namespaces=10000"));
    }

    #[test]
    fn a_file_system_is_known_or_can_be_loaded() {
        let need = |files: &[(&str, &str)]| {
            file_system_below(root(files).path(), "6.1", "containers", "overlay", "", "OVERLAY_FS")
        };
        assert_eq!(need(&[("proc/filesystems", "nodev\ttmpfs\nnodev\toverlay\n")]).found, "Linux 6.1 has it");
        let module = need(&[("lib/modules/6.1/modules.dep", "kernel/fs/overlayfs/overlay.ko.xz:\n")]);
        assert!(!module.is_missing() && module.found.contains("module"));
        let none = ("lib/modules/6.1/modules.dep", "kernel/fs/ext4/ext4.ko:\n");
        let told = need(&[("proc/filesystems", "nodev\toverlayish\n\text4\n"), none]).problem().unwrap().to_string();
        // As in a sandbox, where the kernel may load it all the same.
        assert!(!need(&[("proc/filesystems", "nodev\ttmpfs\n")]).is_missing());
        assert!(told.contains("modprobe overlay") && told.contains("boot.kernelModules = [ \"overlay\" ];"), "{told}");
    }
}
