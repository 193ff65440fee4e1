//! What a user namespace or the sandbox of a Nix build lets its root do, found out by doing it where it is gone at once.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use driver_core::mount::Detached;
use driver_core::need::{Cure, Need, Place};
use driver_core::run::cgroup;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

const GROUP: &str = "sandbox";

/// What this sandbox can give.
pub(super) async fn needs(place: Place) -> Vec<Need> {
    let probe = move || vec![cgroup2(), host_root(), set_user_id(place)];
    // The probes take a moment, and a sandbox may have strange file systems.
    tokio::task::spawn_blocking(probe).await.unwrap_or_default()
}

/// Cgroups where none are mounted.
fn cgroup2() -> Need {
    const NAME: &str = "cgroup2";
    const PURPOSE: &str = "containers have cgroups of their own";
    let mountpoint = Path::new("/sys/fs/cgroup");
    if !cgroup::of_process(std::process::id().cast_signed()).unwrap_or_default().is_empty() {
        return Need::ok(GROUP, NAME, PURPOSE, "cgroups are mounted here");
    }
    let tried = in_own_mounts(|| {
        let flags = MsFlags::empty();
        Ok(mount(Some("none"), mountpoint, Some("cgroup2"), flags, None::<&str>)?)
    });
    match tried {
        Ok(()) => Need::ok(GROUP, NAME, PURPOSE, "it is not mounted here, and can be"),
        Err(error) => {
            let found = format!("it can be mounted neither by the sandbox nor by the driver: {error}");
            let cure =
                Cure::new("give the sandbox a cgroup namespace of its own, as Nix does with its feature `cgroups`");
            Need::limited(GROUP, NAME, PURPOSE, found, cure)
        }
    }
}

/// The root file system alone, as machines with `root = "host"` see it.
fn host_root() -> Need {
    const NAME: &str = "host root";
    const PURPOSE: &str = "machines with `root = \"host\"` have this system's files";
    match in_own_mounts(|| Detached::copy(Path::new("/")).map(drop)) {
        Ok(()) => Need::ok(GROUP, NAME, PURPOSE, "it can be shown without what is mounted on it"),
        Err(error) => {
            let cure = Cure::new("name a directory, a tar file or an image as `root`");
            Need::limited(GROUP, NAME, PURPOSE, format!("the kernel does not let it be shown here: {error}"), cure)
        }
    }
}

/// Does something in a thread of its own that has the mounts to itself.
fn in_own_mounts(act: impl FnOnce() -> io::Result<()> + Send) -> io::Result<()> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS)?;
            mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?;
            act()
        });
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread that tried it panicked")))
    })
}

/// Files that change the user who runs them.
fn set_user_id(place: Place) -> Need {
    const NAME: &str = "setuid";
    const PURPOSE: &str = "sudo, su, mount and others are such files";
    let made = || {
        let directory = tempfile::tempdir()?;
        let file = directory.path().join("file");
        fs::write(&file, "")?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o4755))
    };
    match (made(), place) {
        (Ok(()), _) => Need::ok(GROUP, NAME, PURPOSE, "files may have the bit"),
        (Err(error), place) => {
            let stored = if place == Place::NixBuild { ", and files in the store have lost it" } else { "" };
            let found = format!("no file may have the bit here ({error}){stored}");
            Need::limited(GROUP, NAME, PURPOSE, found, Cure::new("use VMs for tests of such programs"))
        }
    }
}
