//! A NixOS system as its configuration is built: the "toplevel", a directory in a Nix store. It is no root. Its init fills an empty one.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::report::{Report, quote};

/// Where a machine has the store.
pub const STORE: &str = "/nix/store";

/// What a NixOS system has whose initrd is a systemd: there `init` is systemd itself, and this is what fills the root and then executes it.
const PREPARE: &str = "prepare-root";

/// How many links lead to one file at most, as for the kernel (`path_resolution(7)`).
const LINKS: u32 = 40;

/// A NixOS system in a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Toplevel {
    /// The store on the host: `/nix/store`, or a directory `nix/store` elsewhere, as `nix --store` makes them.
    pub store: PathBuf,
    /// The system's path within the store.
    pub path: PathBuf,
}

impl Toplevel {
    /// The system in this directory, if a store holds it. Links in the path are followed.
    pub fn at(path: &Path) -> io::Result<Option<Self>> {
        let path = path.canonicalize()?;
        let store = path.ancestors().find(|ancestor| ancestor.ends_with(STORE.trim_start_matches('/')));
        Ok(store
            .and_then(|store| Some(Self { store: store.to_owned(), path: path.strip_prefix(store).ok()?.to_owned() })))
    }

    /// Its path in the machine.
    pub fn in_machine(&self) -> PathBuf {
        Path::new(STORE).join(&self.path)
    }

    /// What fills the root, by its path in the machine.
    pub fn init(&self) -> PathBuf {
        let init = if self.find(PREPARE).is_ok() { PREPARE } else { "init" };
        self.in_machine().join(init)
    }

    /// Where the host has one of its files. Links lead where they lead in the machine.
    pub fn find(&self, name: &str) -> io::Result<PathBuf> {
        self.resolve(&self.in_machine().join(name))
    }

    /// Where the host has a file that the machine has at this path. Of the machine's files, there is only the store.
    pub fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        resolve_within(self.root(), path)
    }

    /// Where the machine's `/` would be on the host for its store to be where it is.
    pub fn root(&self) -> &Path {
        self.store.ancestors().nth(2).unwrap_or(Path::new("/"))
    }

    /// The text of one of its files; none if there is no such file.
    fn read(&self, name: &str) -> String {
        let file = self.find(name).ok().filter(|file| file.is_file());
        file.and_then(|file| fs::read_to_string(file).ok()).unwrap_or_default()
    }

    /// The words that its configuration has for the kernel's command line.
    pub fn kernel_params(&self) -> String {
        let text = self.read("kernel-params");
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

/// Where the host has a file that a process in `root` would find at `path`. It is there, and no link leads to it.
///
/// Step by step, because this must work where `/proc` is another pid namespace's. What is in a store does not change meanwhile.
pub fn resolve_within(root: &Path, path: &Path) -> io::Result<PathBuf> {
    let mut found = PathBuf::new();
    let mut rest: Vec<OsString> = parts(path).rev().collect();
    let mut links = 0;
    while let Some(part) = rest.pop() {
        if part == ".." {
            found.pop();
            continue;
        }
        let next = found.join(&part);
        if !fs::symlink_metadata(root.join(&next))?.is_symlink() {
            found = next;
            continue;
        }
        links += 1;
        if links > LINKS {
            return Err(io::Error::from_raw_os_error(libc::ELOOP));
        }
        let target = fs::read_link(root.join(&next))?;
        if target.is_absolute() {
            found = PathBuf::new();
        }
        rest.extend(parts(&target).rev());
    }
    Ok(root.join(found))
}

/// The names in a path, and the steps upwards.
fn parts(path: &Path) -> impl DoubleEndedIterator<Item = OsString> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    })
}

/// Whether a directory is a NixOS system and not a root, which would have `usr`.
pub(super) fn is_one(directory: &Path) -> bool {
    let has = |name: &str| fs::symlink_metadata(directory.join(name)).is_ok();
    has("nixos-version") && has("init") && !has("usr")
}

/// Checks a directory that is a NixOS system.
pub(super) fn read(path: &Path, report: &mut Report<'_>) -> Option<Toplevel> {
    let shown = quote(&path.to_string_lossy());
    let toplevel = match Toplevel::at(path) {
        Ok(Some(toplevel)) => toplevel,
        Ok(None) => {
            report.problem(
                format!("{shown} is a NixOS system outside of a store: its files name others in {STORE}"),
                "give its path in /nix/store, or in a directory `nix/store` that holds all that it needs",
            );
            return None;
        }
        Err(error) => {
            report.path(path, &error, "run as a user who may read it");
            return None;
        }
    };
    let init = toplevel.init();
    match toplevel.resolve(&init).and_then(fs::metadata) {
        Ok(found) if found.is_file() && found.permissions().mode() & 0o111 != 0 => {}
        found => {
            let why = found.err().map_or_else(|| "it is no program".to_owned(), |error| error.to_string());
            let text = format!("{shown} is a NixOS system whose `init` cannot be executed: {why}");
            report.problem(text, "build or copy it anew, with all that it needs (`nix copy`, `nix-store --verify`)");
        }
    }
    if is_systemd(&toplevel) {
        report.problem(
            format!("{shown} is a NixOS system whose own initrd fills the root, and machines here boot without it"),
            "build it with `system.nixos-init.enable = false`",
        );
    }
    let system = toplevel.read("system");
    if !runs_here(system.trim(), std::env::consts::ARCH) {
        report.problem(
            format!("{shown} is a NixOS system for {}, and this host is {}", system.trim(), std::env::consts::ARCH),
            "build it for this host's architecture",
        );
    }
    Some(toplevel)
}

/// Whether the init is systemd itself, which fills no root.
fn is_systemd(toplevel: &Toplevel) -> bool {
    let init = toplevel.init();
    if !init.ends_with("init") {
        return false;
    }
    let same = || -> io::Result<bool> {
        let (init, systemd) = (toplevel.resolve(&init)?, toplevel.find("systemd/lib/systemd/systemd")?);
        // Opening anything else might take for ever.
        if !init.is_file() || !systemd.is_file() {
            return Ok(false);
        }
        let (mut init, mut systemd) = (File::open(init)?, File::open(systemd)?);
        let (mut one, mut two) = (Vec::new(), Vec::new());
        init.read_to_end(&mut one)?;
        systemd.read_to_end(&mut two)?;
        Ok(one == two)
    };
    same().unwrap_or(false)
}

/// Whether a host of this architecture can run programs for such a system, as Nix calls them. One that does not say is taken for one that can.
fn runs_here(system: &str, architecture: &str) -> bool {
    match system.split_once('-') {
        None => true,
        Some(("i686", _)) if architecture == "x86_64" => true,
        Some((of, _)) => of == architecture,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::super::list;
    use super::*;

    /// A store with a system in it, whose `sw` leads through an absolute link.
    fn store() -> (tempfile::TempDir, PathBuf) {
        let root = tempfile::tempdir().unwrap();
        let system = root.path().join("nix/store/abc-nixos-system-box-25.05");
        for (name, mode, text) in [
            ("abc-nixos-system-box-25.05/init", 0o555, "#!/nix/store/sh"),
            ("abc-nixos-system-box-25.05/nixos-version", 0o444, "25.05"),
            ("abc-nixos-system-box-25.05/kernel-params", 0o444, "loglevel=4 lsm=bpf\n"),
            ("def-systemd/lib/systemd/systemd", 0o555, "\x7fELF"),
        ] {
            let path = root.path().join("nix/store").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
        symlink("/nix/store/def-systemd", system.join("systemd")).unwrap();
        (root, system)
    }

    fn said(path: &Path) -> (Option<Toplevel>, String) {
        let mut problems = Vec::new();
        let toplevel = read(path, &mut Report::new(Path::new("t"), &mut problems));
        (toplevel, list(&problems))
    }

    #[test]
    fn links_lead_where_they_lead_in_the_machine() {
        let (root, system) = store();
        symlink(&system, root.path().join("result")).unwrap();
        let (toplevel, problems) = said(&root.path().join("result"));
        assert_eq!(problems, "");
        let toplevel = toplevel.unwrap();
        let root = root.path().canonicalize().unwrap();
        assert_eq!(toplevel.store, root.join("nix/store"));
        assert_eq!(toplevel.root(), root);
        assert_eq!(toplevel.init(), Path::new("/nix/store/abc-nixos-system-box-25.05/init"));
        let systemd = root.join("nix/store/def-systemd/lib/systemd/systemd");
        assert_eq!(toplevel.find("systemd/lib/systemd/systemd").unwrap(), systemd);
        assert_eq!(toplevel.kernel_params(), "loglevel=4 lsm=bpf");
        assert!(toplevel.find("kernel").is_err());
    }

    #[test]
    fn links_do_not_lead_out_or_around() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::create_dir_all(at("a/b")).unwrap();
        fs::write(at("a/b/file"), "").unwrap();
        for (link, target) in
            [("a/up", "../a/b"), ("a/far", "../../../../a/b/file"), ("full", "/a/up/file"), ("x", "/y"), ("y", "x")]
        {
            symlink(target, at(link)).unwrap();
        }
        for path in ["a/b/file", "/a/up/file", "a/far", "/full", "../../a/b/./file"] {
            assert_eq!(resolve_within(root.path(), Path::new(path)).unwrap(), at("a/b/file"), "{path}");
        }
        let errno = |path: &str| resolve_within(root.path(), Path::new(path)).unwrap_err().raw_os_error();
        assert_eq!(errno("x"), Some(libc::ELOOP));
        assert_eq!(errno("a/none"), Some(libc::ENOENT));
        assert_eq!(errno("a/b/file/more"), Some(libc::ENOTDIR));
    }

    #[test]
    fn what_fills_the_root_is_found() {
        let (root, system) = store();
        let prepared = "/nix/store/abc-nixos-system-box-25.05/prepare-root";
        // As where the initrd is a systemd.
        fs::remove_file(system.join("init")).unwrap();
        fs::copy(root.path().join("nix/store/def-systemd/lib/systemd/systemd"), system.join("init")).unwrap();
        let (_, problems) = said(&system);
        assert!(problems.contains("whose own initrd fills the root"), "{problems}");
        assert!(problems.ends_with("build it with `system.nixos-init.enable = false`"), "{problems}");
        fs::copy(system.join("init"), system.join("prepare-root")).unwrap();
        let (toplevel, problems) = said(&system);
        assert_eq!((toplevel.unwrap().init().as_path(), problems.as_str()), (Path::new(prepared), ""));
    }

    #[test]
    fn systems_that_cannot_be_booted_are_told() {
        let (root, system) = store();
        fs::set_permissions(system.join("init"), fs::Permissions::from_mode(0o444)).unwrap();
        fs::write(system.join("system"), "riscv64-linux").unwrap();
        let (_, problems) = said(&system);
        assert!(problems.contains("whose `init` cannot be executed: it is no program; build or copy"), "{problems}");
        assert!(problems.contains("is a NixOS system for riscv64-linux, and this host is "), "{problems}");
        let elsewhere = root.path().join("elsewhere");
        fs::rename(&system, &elsewhere).unwrap();
        assert!(is_one(&elsewhere));
        let (toplevel, problems) = said(&elsewhere);
        assert_eq!(toplevel, None);
        assert!(problems.contains("is a NixOS system outside of a store: its files name others in /nix/store; give"));
        fs::create_dir(elsewhere.join("usr")).unwrap();
        assert!(!is_one(&elsewhere));
    }

    #[test]
    fn architectures_are_nixs() {
        assert!(runs_here("x86_64-linux", "x86_64") && runs_here("i686-linux", "x86_64") && runs_here("", "x86_64"));
        assert!(!runs_here("aarch64-linux", "x86_64") && !runs_here("i686-linux", "aarch64"));
    }
}
