//! What a start script's mount namespace needs to be like for systemd-nspawn, and to have nothing of the host's changed.
//!
//! Upstream prepares a build sandbox in this way. Here it is all done in the script's own mount namespace, whatever the host is.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use driver_core::guest_files::{MACHINE_ID, machine_id};
use driver_core::mount::{Detached, bind_recursive, mount};
use nix::mount::MsFlags;

/// `CGROUP2_SUPER_MAGIC` of linux/magic.h.
const CGROUP2: i64 = 0x6367_7270;

/// What systemd-nspawn and start scripts keep below /run, and what tells them of the host's systemd.
const OWN: [&str; 3] = ["netns", "nixos-nspawn", "systemd"];

/// Prepares the calling process's mount namespace, which must be its own. Its network and pid namespaces are those that /sys and /proc shall
/// show. `state` is to be the container's root directory.
pub(super) fn make(state: &Path) -> io::Result<()> {
    mount(Path::new("none"), Path::new("/"), None, MsFlags::MS_REC | MsFlags::MS_SLAVE, None)?;
    show_kernel()?;
    // Programs that change users work in a container, though not where its files lie for the host.
    bind_recursive(state, state)?;
    match mount(Path::new("none"), state, None, MsFlags::MS_REMOUNT | MsFlags::MS_BIND, None) {
        // What forbids them is locked in a sandbox, which has none of them anyway.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
        other => other?,
    }
    let run = Path::new("/run");
    // Only the root of a build sandbox has none.
    fs::create_dir_all(run)?;
    shadow(run, &OWN)?;
    for (directory, mode) in [("netns", 0o755), ("nixos-nspawn", 0o755), ("systemd", 0o755), ("systemd/nspawn", 0o755)]
    {
        fs::create_dir(run.join(directory))?;
        fs::set_permissions(run.join(directory), Permissions::from_mode(mode))?;
    }
    show_run_in_var()?;
    identify()
}

/// Shows the namespaces' own /proc, /sys and cgroups.
fn show_kernel() -> io::Result<()> {
    let plain = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Path::new("proc"), Path::new("/proc"), Some("proc"), plain, None)?;
    // Inside a sandbox none may be mounted; then the script sees other interfaces there than it has.
    let _ = mount(Path::new("sysfs"), Path::new("/sys"), Some("sysfs"), plain, None);
    let cgroups = Path::new("/sys/fs/cgroup");
    #[expect(clippy::useless_conversion, reason = "the type differs between architectures")]
    if rustix::fs::statfs(cgroups).is_ok_and(|found| i64::from(found.f_type) == CGROUP2) {
        return Ok(());
    }
    mount(Path::new("cgroup2"), cgroups, Some("cgroup2"), plain, None)
}

/// Makes /var/run the same as /run.
fn show_run_in_var() -> io::Result<()> {
    let (var, link) = (Path::new("/var"), Path::new("/var/run"));
    let is_same = |found: &fs::Metadata| {
        fs::metadata("/run").is_ok_and(|run| (run.dev(), run.ino()) == (found.dev(), found.ino()))
    };
    match fs::metadata(link) {
        Ok(found) if is_same(&found) => Ok(()),
        Ok(_) => bind_recursive(Path::new("/run"), link),
        Err(_) => {
            // Only the root of a build sandbox has no /var.
            fs::create_dir_all(var)?;
            shadow(var, &["run"])?;
            symlink("/run", link)
        }
    }
}

/// Has an /etc/os-release, and a machine id.
fn identify() -> io::Result<()> {
    let (etc, release, id) = (Path::new("/etc"), Path::new("/etc/os-release"), Path::new(MACHINE_ID));
    let has_release = release.exists();
    let has_id = fs::read(id).is_ok_and(|text| !text.is_empty());
    if has_release && has_id {
        return Ok(());
    }
    let missing = [("os-release", has_release), ("machine-id", has_id)];
    let missing: Vec<&str> = missing.iter().filter(|(_, there)| !there).map(|(name, _)| *name).collect();
    shadow(etc, &missing)?;
    if !has_release {
        fs::write(release, "")?;
    }
    if !has_id {
        fs::write(id, format!("{}\n", machine_id()?))?;
    }
    Ok(())
}

/// Replaces a directory by one that shows all that is in it but what is `hidden`, and in which files can be made.
fn shadow(directory: &Path, hidden: &[&str]) -> io::Result<()> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        if !hidden.iter().any(|hidden| name == *hidden) {
            // What is gone by now, or cannot be shown twice, is left out.
            entries.extend(Entry::of(&directory.join(&name)).ok().map(|entry| (name, entry)));
        }
    }
    mount(Path::new("tmpfs"), directory, Some("tmpfs"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, Some("mode=0755"))?;
    entries.into_iter().try_for_each(|(name, entry): (OsString, _)| entry.place(&directory.join(name)))
}

/// What is in a directory, to be shown in another one.
enum Entry {
    Link(PathBuf),
    Directory(Detached),
    File(Detached),
}

impl Entry {
    fn of(path: &Path) -> io::Result<Self> {
        let kind = fs::symlink_metadata(path)?.file_type();
        if kind.is_symlink() {
            return fs::read_link(path).map(Self::Link);
        }
        let copy = Detached::copy_recursive(path)?;
        Ok(if kind.is_dir() { Self::Directory(copy) } else { Self::File(copy) })
    }

    fn place(self, path: &Path) -> io::Result<()> {
        match self {
            Self::Link(target) => symlink(target, path),
            Self::Directory(copy) => {
                fs::create_dir(path)?;
                copy.attach(path)
            }
            Self::File(copy) => {
                fs::File::create(path)?;
                copy.attach(path)
            }
        }
    }
}

#[cfg(test)]
mod tests;
