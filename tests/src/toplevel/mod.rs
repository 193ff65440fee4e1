//! A stand-in for a NixOS system: a directory in a store with the files that such a system has, whose init finds an empty root and fills it.
//! What it boots is a Debian that lies in the same store.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use backend_qemu::kernel::Kernel;
use rustix::fs::{FlockOperation, flock};

use crate::roots::{SmallRoot, cache, hash, remove, run};

const PACKAGES: &str =
    "systemd,systemd-sysv,dbus,bash,coreutils,iproute2,iputils-ping,mount,util-linux,busybox-static,procps,login";

/// What every path in the store begins with.
const HASH: &str = "0c0zmbs9ahkz3wmkwvzgp2xsdbmzvbdg";

/// Its machines have other names.
pub const NAME: &str = "nixos";

/// Part of the other system's name.
const PREPARED: &str = "prepared";

const INIT: &str = include_str!("init.sh");

/// A file system that no machine has, as systems for upstream's VMs name some.
const FSTAB: &str =
    "/dev/disk/by-label/nixos / ext4 x-initrd.mount 0 1\nnix-store /nix/.ro-store 9p trans=virtio 0 0\n";

/// A command channel of its own, as systems for upstream's VMs have one.
const BACKDOOR: &str = "[Service]\nExecStart=/bin/false\n[Install]\nWantedBy=multi-user.target\n";

/// The system and its store. They lie in the user's cache and stay there.
#[derive(Clone, Debug)]
pub struct System {
    /// Its directory.
    pub directory: PathBuf,
    /// The same as it is built with a systemd in its initrd: the init is systemd, and another program fills the root.
    pub prepared: PathBuf,
    /// The kernel that it has.
    pub kernel: Kernel,
}

impl System {
    /// Takes it from the cache, or builds it, which needs a Debian mirror and some thirty seconds.
    pub fn build() -> io::Result<Self> {
        let debian = SmallRoot::with(PACKAGES)?;
        let kernel = Kernel::of_host().or_else(Kernel::cached).map_or_else(Kernel::download, Ok);
        let kernel = kernel.map_err(io::Error::other)?;
        let cache = cache()?;
        let lock = File::create(cache.join("lock-toplevel"))?;
        flock(&lock, FlockOperation::LockExclusive)?;
        let name = format!("toplevel-{:016x}", hash(&[include_str!("mod.rs"), INIT, &kernel.release]));
        let store = cache.join(&name).join("nix/store");
        let built = Self { directory: system(&store, NAME), prepared: system(&store, PREPARED), kernel };
        if cache.join(&name).exists() {
            return Ok(built);
        }
        let building = cache.join("building-toplevel");
        remove(&building)?;
        let store = building.join("nix/store");
        fs::create_dir_all(&store)?;
        run(Command::new("cp").arg("-al").arg(&debian.directory).arg(path(&store, "debian")))?;
        copy_kernel(&store, &built.kernel)?;
        make_etc(&store)?;
        make_system(&store, &built.kernel)?;
        make_prepared(&store)?;
        fs::rename(building, cache.join(name))?;
        Ok(built)
    }

    /// The store that it lies in.
    pub fn store(&self) -> &Path {
        self.directory.parent().unwrap_or(&self.directory)
    }
}

fn path(store: &Path, name: &str) -> PathBuf {
    store.join(format!("{HASH}-{name}"))
}

fn system(store: &Path, name: &str) -> PathBuf {
    path(store, &format!("nixos-system-{name}-25.05"))
}

/// Where the machine has it.
fn in_machine(name: &str) -> String {
    path(Path::new("/nix/store"), name).display().to_string()
}

/// An image, and its modules in two paths that are linked.
fn copy_kernel(store: &Path, kernel: &Kernel) -> io::Result<()> {
    let below = format!("lib/modules/{}", kernel.release);
    let (files, lists) = (path(store, "linux").join(&below), path(store, "kernel-modules").join(&below));
    let modules = kernel.modules.as_deref().ok_or_else(|| io::Error::other("the kernel has no modules"))?;
    fs::create_dir_all(&files)?;
    fs::create_dir_all(&lists)?;
    fs::copy(&kernel.image, path(store, "linux").join("bzImage"))?;
    run(Command::new("cp").arg("-a").arg(modules.join("kernel")).arg(&files))?;
    for list in ["modules.dep", "modules.builtin"] {
        fs::copy(modules.join(list), lists.join(list))?;
    }
    symlink(format!("{}/{below}/kernel", in_machine("linux")), lists.join("kernel"))
}

fn make_etc(store: &Path) -> io::Result<()> {
    let etc = path(store, "etc").join("etc");
    fs::create_dir_all(path(store, "etc"))?;
    run(Command::new("cp").arg("-a").arg(path(store, "debian").join("etc")).arg(&etc))?;
    for gone in ["machine-id", "resolv.conf", "mtab", "hosts", "hostname", "fstab", "profile"] {
        let _ = fs::remove_file(etc.join(gone));
    }
    fs::write(etc.join("hostname"), format!("{NAME}\n"))?;
    fs::write(
        etc.join("hosts"),
        format!("127.0.0.1 localhost\n::1 localhost\n127.0.0.2 {NAME}\n10.9.8.7 of-its-own\n"),
    )?;
    fs::write(etc.join("fstab"), FSTAB)?;
    fs::write(
        etc.join("profile"),
        "export PROFILE_WAS_READ=yes PATH=/run/current-system/sw/bin:/run/current-system/sw/sbin\n",
    )?;
    let shadow = fs::read_to_string(etc.join("shadow"))?;
    let others = shadow.lines().filter(|line| !line.starts_with("root:")).collect::<Vec<_>>().join("\n");
    fs::write(etc.join("shadow"), format!("root:!:19000:0:99999:7:::\n{others}\n"))?;
    let units = etc.join("systemd/system");
    fs::write(units.join("backdoor.service"), BACKDOOR)?;
    fs::create_dir_all(units.join("multi-user.target.wants"))?;
    symlink("../backdoor.service", units.join("multi-user.target.wants/backdoor.service"))
}

fn make_system(store: &Path, kernel: &Kernel) -> io::Result<()> {
    let own = system(store, NAME);
    fs::create_dir(&own)?;
    let name = own.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let init = INIT.replace("@debian@", &in_machine("debian")).replace("@system@", &format!("/nix/store/{name}"));
    fs::write(own.join("init"), init)?;
    fs::set_permissions(own.join("init"), fs::Permissions::from_mode(0o555))?;
    fs::write(own.join("nixos-version"), "25.05")?;
    fs::write(own.join("system"), format!("{}-linux", std::env::consts::ARCH))?;
    fs::write(own.join("kernel-params"), format!("loglevel=4 of-its-own=1 uname={}\n", kernel.release))?;
    for (link, target) in [
        ("kernel", format!("{}/bzImage", in_machine("linux"))),
        ("kernel-modules", in_machine("kernel-modules")),
        ("etc", format!("{}/etc", in_machine("etc"))),
        ("sw", format!("{}/usr", in_machine("debian"))),
        ("systemd", format!("{}/usr", in_machine("debian"))),
    ] {
        symlink(target, own.join(link))?;
    }
    Ok(())
}

fn make_prepared(store: &Path) -> io::Result<()> {
    let (first, own) = (system(store, NAME), system(store, PREPARED));
    run(Command::new("cp").arg("-a").arg(&first).arg(&own))?;
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let init = fs::read_to_string(own.join("init"))?.replace(&name(&first), &name(&own));
    fs::remove_file(own.join("init"))?;
    fs::write(own.join("prepare-root"), init)?;
    fs::set_permissions(own.join("prepare-root"), fs::Permissions::from_mode(0o555))?;
    fs::copy(path(store, "debian").join("usr/lib/systemd/systemd"), own.join("init"))?;
    Ok(())
}
