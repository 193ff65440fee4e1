//! A VM's files in its state directory, made at its first boot and kept until the run is over.
//!
//! The directory is root's, and nobody else may list it or add to it. What QEMU opens in it belongs to QEMU's user, who differs from VM to
//! VM and reaches this directory only because QEMU starts in it.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};
use std::process::Command;

use driver_core::backend::StartRequest;
use driver_core::guest_files::machine_id;
use driver_core::mount::Detached;
use driver_core::ownerless::MODES;
use driver_core::spec::{Disk, Image, ImageFormat, MachineSpec, Root};

use crate::guest_files;
use crate::image;
use crate::initramfs::{self, Contents, Place, Scratch, Share};
use crate::tools::{ROOT_TAG, Tools, has_files, has_share, is_packed};
use crate::{packed, tar};

/// Largest size of what a guest writes above a root that it cannot write. The file takes only what is written.
const UPPER_SIZE: &str = "8G";

/// Where an init can be: what systemd-nspawn tries, and where NixOS has it.
const INITS: [&str; 4] = ["/sbin/init", "/lib/systemd/systemd", "/usr/lib/systemd/systemd", "/init"];

/// Where the root is mounted.
const SHARE: &str = "share";

/// Where the kernel's modules are mounted, and their tag.
const MODULES: &str = "modules";

/// The files of a tar.
const UNPACKED: &str = "unpacked";

/// Where directories are that were packed, beside the machines' own: no machine has this name.
const PACKED: &str = "packed_";

/// Made when all files are complete.
const COMPLETE: &str = "complete";

const MIB: u64 = 1024 * 1024;

/// What a VM boots from. Files of its own have relative paths, which begin in its state directory.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) kernel: PathBuf,
    pub(crate) initrd: PathBuf,
    /// What virtiofsd shows: the root comes first.
    pub(crate) shares: Vec<Shown>,
    /// The root or what is written above it comes first.
    pub(crate) disks: Vec<Stored>,
    /// What QEMU inherits beside its channels.
    pub(crate) open: Vec<File>,
}

/// A directory whose files virtiofsd shows.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) tag: &'static str,
    /// Its read-only mount.
    pub(crate) directory: PathBuf,
}

/// A disk that is kept in a file.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) path: PathBuf,
    pub(crate) format: &'static str,
    /// The image that it is a layer above, as an index of [`Files::open`].
    pub(crate) base: Option<(usize, &'static str)>,
    pub(crate) serial: String,
}

/// Makes the state directory, with the files of a root that is a tar, unless an earlier boot has. Runs inside the run's namespaces, on a thread
/// that is not used again.
pub(crate) fn begin(request: &StartRequest) -> io::Result<()> {
    let state = &request.state;
    if state.join(COMPLETE).exists() {
        return Ok(());
    }
    // Of an attempt that failed halfway nothing may remain.
    for mounted in [SHARE, MODULES] {
        let _ = nix::mount::umount2(&state.join(mounted), nix::mount::MntFlags::MNT_DETACH);
    }
    let _ = fs::remove_dir_all(state);
    fs::DirBuilder::new().recursive(true).mode(0o711).create(state)?;
    let Root::Tar(archive) = &request.machine.root else { return Ok(()) };
    let unpacked = state.join(UNPACKED);
    fs::DirBuilder::new().mode(0o755).create(&unpacked)?;
    tar::unpack(archive, &unpacked)
}

/// Makes the other files, or takes those of an earlier boot. Runs inside the run's namespaces.
pub(crate) fn prepare(tools: &Tools, request: &StartRequest) -> io::Result<Files> {
    let complete = request.state.join(COMPLETE);
    if !complete.exists() {
        make(tools, request)?;
        fs::write(complete, "")?;
    }
    let mut files = Files {
        kernel: PathBuf::new(),
        initrd: PathBuf::from("initrd"),
        shares: Vec::new(),
        disks: Vec::new(),
        open: Vec::new(),
    };
    files.kernel = files.image(&tools.kernel.image, request, "kernel")?;
    if let Some(initrd) = &request.machine.initrd {
        files.initrd = files.image(initrd, request, "initrd")?;
    }
    match &request.machine.root {
        _ if has_share(&request.machine) => {
            files.shares.push(Shown { tag: ROOT_TAG, directory: request.state.join(SHARE) });
            files.disks.push(Stored::raw("upper.img", "upper"));
        }
        Root::Image(image) => files.layer(image, "root")?,
        Root::Directory(directory) if is_packed(&request.machine) => files.layer(&pack(directory, request)?, "root")?,
        // What the test's own initrd boots has no root by us.
        _ => {}
    }
    let modules = modules(tools, &request.machine);
    if modules.is_some() && !is_packed(&request.machine) {
        files.shares.push(Shown { tag: MODULES, directory: request.state.join(MODULES) });
    }
    for (disk, number) in request.machine.disks.iter().zip(1..) {
        let serial = format!("disk{number}");
        match disk {
            Disk::Empty(_) => files.disks.push(Stored::raw(&format!("{serial}.img"), &serial)),
            Disk::Image(image) => files.layer(image, &serial)?,
        }
    }
    if let Some(modules) = modules.filter(|_| is_packed(&request.machine)) {
        // After the others, which a guest knows by their places.
        files.layer(&pack(modules, request)?, MODULES)?;
    }
    Ok(files)
}

impl Stored {
    fn raw(path: &str, serial: &str) -> Self {
        Self { path: path.into(), format: "raw", base: None, serial: serial.into() }
    }
}

impl Files {
    /// A layer above an image.
    fn layer(&mut self, image: &Image, serial: &str) -> io::Result<()> {
        let base = Some((self.open.len(), image::format(image)));
        self.open.push(open(&image.path)?);
        let path = format!("{serial}.qcow2").into();
        self.disks.push(Stored { path, format: "qcow2", base, serial: serial.into() });
        Ok(())
    }

    /// The path by which QEMU can read a kernel or initrd of the host's: a descriptor where everybody may read the file, though perhaps not
    /// reach it, else a copy.
    fn image(&mut self, path: &Path, request: &StartRequest, name: &str) -> io::Result<PathBuf> {
        let file = open(path)?;
        if file.metadata()?.permissions().mode() & 0o004 == 0 {
            let copy = request.state.join(name);
            fs::copy(path, &copy).map_err(|error| about(path, &error))?;
            own(&copy, request.first_id)?;
            return Ok(name.into());
        }
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        self.open.push(file);
        Ok(path.into())
    }
}

fn make(tools: &Tools, request: &StartRequest) -> io::Result<()> {
    let (state, owner) = (&request.state, request.first_id);
    if has_share(&request.machine) {
        share(request)?;
        if let Some(modules) = modules(tools, &request.machine) {
            show(modules, &state.join(MODULES), Detached::copy)?;
        }
        let upper = state.join("upper.img");
        make_upper(&upper)?;
        own(&upper, owner)?;
    } else if let Root::Image(image) = &request.machine.root {
        layer(image, &state.join("root.qcow2"), owner)?;
    } else if let (Root::Directory(directory), true) = (&request.machine.root, is_packed(&request.machine)) {
        layer(&pack(directory, request)?, &state.join("root.qcow2"), owner)?;
        if let Some(modules) = modules(tools, &request.machine) {
            layer(&pack(modules, request)?, &state.join(format!("{MODULES}.qcow2")), owner)?;
        }
    }
    for (disk, number) in request.machine.disks.iter().zip(1..) {
        match disk {
            Disk::Empty(size) => {
                let path = state.join(format!("disk{number}.img"));
                File::create(&path)?.set_len(size.saturating_mul(MIB))?;
                own(&path, owner)?;
            }
            Disk::Image(image) => layer(image, &state.join(format!("disk{number}.qcow2")), owner)?,
        }
    }
    if request.machine.initrd.is_none() {
        let initrd = state.join("initrd");
        fs::write(&initrd, archive(tools, request)?)?;
        own(&initrd, owner)?;
    }
    Ok(())
}

/// The image of a directory, which all machines of the run share.
fn pack(directory: &Path, request: &StartRequest) -> io::Result<Image> {
    // In the run's own directory, with which it goes; the state may lie elsewhere.
    let (run, beside) = (request.sockets.parent(), request.state.parent());
    let place = beside.filter(|beside| run.is_some_and(|run| beside.starts_with(run))).unwrap_or(&request.sockets);
    Ok(Image { path: packed::image(directory, &place.join(PACKED))?, format: ImageFormat::Raw })
}

/// Mounts the root's files read-only where virtiofsd shows them.
fn share(request: &StartRequest) -> io::Result<()> {
    let unpacked = request.state.join(UNPACKED);
    let source = match &request.machine.root {
        Root::Directory(path) => path,
        Root::Toplevel(system) => &system.store,
        Root::Tar(_) => &unpacked,
        Root::Host | Root::Image(_) => Path::new("/"),
    };
    // Inside a build of Nix's, each path of the store is a mount of its own.
    let copy =
        if matches!(request.machine.root, Root::Toplevel(_)) { Detached::copy_recursive } else { Detached::copy };
    show(source, &request.state.join(SHARE), copy)
}

/// Mounts a directory read-only at a place that is made for it.
fn show(source: &Path, target: &Path, copy: fn(&Path) -> io::Result<Detached>) -> io::Result<()> {
    fs::create_dir(target)?;
    let copy = copy(source)?;
    copy.restrict(libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NODEV)?;
    copy.attach(target)
}

/// The modules of the machine's kernel, if its root does not have them where it looks for them.
fn modules<'t>(tools: &'t Tools, machine: &MachineSpec) -> Option<&'t Path> {
    let modules = tools.kernel.modules.as_deref().filter(|_| has_files(machine))?;
    let root = match &machine.root {
        Root::Host => Some(Path::new("/")),
        Root::Directory(root) => Some(root.as_path()),
        // A NixOS system's own are in the store, where its programs look.
        Root::Toplevel(_) if machine.kernel.is_none() => return None,
        Root::Toplevel(_) | Root::Tar(_) | Root::Image(_) => None,
    };
    let has = |root: &Path| {
        // As it is when links are followed, like the kernel's.
        let root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
        ["lib/modules", "usr/lib/modules"].iter().any(|place| modules.starts_with(root.join(place)))
    };
    (!root.is_some_and(has)).then_some(modules)
}

fn make_upper(path: &Path) -> io::Result<()> {
    File::create(path)?;
    let made = Command::new("mke2fs").args(["-q", "-F", "-t", "ext4"]).arg(path).arg(UPPER_SIZE).output();
    let made = made.map_err(|error| io::Error::new(error.kind(), format!("mke2fs: {error}")))?;
    if made.status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("mke2fs: {}", String::from_utf8_lossy(&made.stderr).trim())))
}

fn layer(image: &Image, path: &Path, owner: Option<u32>) -> io::Result<()> {
    image::layer(image, path).map_err(|error| about(&image.path, &error))?;
    own(path, owner)
}

/// The initramfs of a VM that brings none.
fn archive(tools: &Tools, request: &StartRequest) -> io::Result<Vec<u8>> {
    let packed = is_packed(&request.machine);
    let root = match &request.machine.root {
        Root::Directory(directory) if packed => directory.clone(),
        _ => request.state.join(SHARE),
    };
    let names = |directory: &str| match fs::read_dir(root.join(directory.trim_start_matches('/'))) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
        Ok(entries) => entries.map(|entry| Ok(entry?.file_name())).collect(),
    };
    let changes = guest_files::changes(request, &machine_id()?, tools.arch.serial, names)?;
    let place = if packed { Place::Disk(after(&request.machine)) } else { Place::Tag(MODULES.into()) };
    let runtime = guest_files::runtime_changes(request, tools.arch.serial);
    let root = &request.machine.root;
    let scratch = match root {
        // Guests empty it when they boot, and the host's is full of things that are none of theirs.
        Root::Host => Some(Scratch { target: "/tmp", mode: 0o1777, changes: &[] }),
        Root::Toplevel(_) => Some(Scratch { target: "/run", mode: 0o755, changes: &runtime }),
        _ => None,
    };
    let init = match root {
        Root::Toplevel(system) => Some(system.init().display().to_string()),
        _ => None,
    };
    let init = init.as_deref().map(|init| [init]);
    let shares = modules(tools, &request.machine)
        .map(|_| Share { place, target: format!("/lib/modules/{}", tools.kernel.release) });
    let modes: &[_] = if packed { &MODES } else { &[] };
    let contents = Contents {
        root: tools.source(root),
        attachments: &request.attachments,
        shares: shares.as_slice(),
        scratch: scratch.as_slice(),
        modes,
        changes: &changes,
        inits: init.as_ref().map_or(&INITS[..], |init| &init[..]),
    };
    initramfs::build(&tools.kernel, &contents).map_err(io::Error::other)
}

/// The device of the disk that comes after the root's and the machine's own.
fn after(machine: &MachineSpec) -> String {
    // As the kernel counts them (its `virtblk_name_format`): z, aa, ab.
    let mut number = machine.disks.len() + 1;
    let mut letters = Vec::new();
    loop {
        letters.insert(0, char::from(b'a' + u8::try_from(number % 26).unwrap_or_default()));
        match number / 26 {
            0 => break format!("/dev/vd{}", letters.iter().collect::<String>()),
            rest => number = rest - 1,
        }
    }
}

/// Gives a file to QEMU's user, and to nobody else.
pub(crate) fn own(path: &Path, owner: Option<u32>) -> io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    // Not what a link leads to, though only root can put one here.
    if owner.is_some() { lchown(path, owner, owner) } else { Ok(()) }
}

fn open(path: &Path) -> io::Result<File> {
    File::open(path).map_err(|error| about(path, &error))
}

fn about(path: &Path, error: &dyn std::fmt::Display) -> io::Error {
    io::Error::other(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disks_are_named_as_the_kernel_does() {
        for (disks, device) in [(0, "vdb"), (24, "vdz"), (25, "vdaa"), (51, "vdba")] {
            let machine = MachineSpec { disks: vec![Disk::Empty(1); disks], ..MachineSpec::new("m", "vm") };
            assert_eq!(after(&machine), format!("/dev/{device}"));
        }
    }
}
