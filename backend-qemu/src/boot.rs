//! One boot of a VM: from its files to a QEMU that runs.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use driver_core::backend::{Descriptors, StartRequest};
use driver_core::guest_files::machine_id;
use driver_core::mount::Detached;
use driver_core::run::within;
use driver_core::spec::Root;
use netbridge::{InterfaceName, Port};
use tokio::process::Child;

use crate::accel::Accel;
use crate::arch::Arch;
use crate::argv::{Channels, Disk, Interface, Machine};
use crate::guest_files;
use crate::initramfs::{self, Contents, Source, Upper};
use crate::kernel::Kernel;
use crate::process;

/// Memory of a VM in MiB.
const MEMORY: u64 = 1024;

/// Largest size of what a guest writes. The file takes only what is written.
const UPPER_SIZE: &str = "8G";

/// What a VM boots with, found out before.
#[derive(Clone, Debug)]
pub(crate) struct Tools {
    pub(crate) arch: &'static Arch,
    pub(crate) qemu: PathBuf,
    pub(crate) virtiofsd: PathBuf,
    pub(crate) accel: Accel,
    pub(crate) kernel: Kernel,
}

/// A QEMU that runs. Dropping it ends the VM.
#[derive(Debug)]
pub(crate) struct Boot {
    /// QEMU, or the program that becomes it.
    pub(crate) qemu: Child,
    /// What QEMU needs while it runs.
    pub(crate) helpers: Vec<Child>,
    /// The driver's ends of these do not block.
    pub(crate) qmp: UnixStream,
    pub(crate) serial: UnixStream,
    pub(crate) shell: UnixStream,
    /// The guest's journal as JSON, where the driver has a say in what the guest runs.
    pub(crate) journal: Option<UnixStream>,
    /// The LANs' side of its interfaces.
    pub(crate) ports: Vec<Port>,
}

/// Boots a VM as far as QEMU's start.
pub(crate) async fn start(tools: &Tools, request: &StartRequest, descriptors: &Descriptors) -> io::Result<Boot> {
    let (ports, taps) = plug(request, descriptors).await?;
    let (qmp, its_qmp) = process::channel()?;
    let (serial, its_serial) = process::channel()?;
    let (shell, its_shell) = process::channel()?;
    let (tools, request) = (tools.clone(), request.clone());
    let job = move || {
        let files = prepare(&tools, &request)?;
        let socket = request.state.join("root.socket");
        let virtiofsd = process::share(&tools.virtiofsd, &files.share, &socket)?;
        let channels =
            Channels { qmp: its_qmp.as_raw_fd(), serial: its_serial.as_raw_fd(), shell: its_shell.as_raw_fd() };
        let interfaces: Vec<Interface> = taps
            .iter()
            .zip(&request.attachments)
            .map(|(tap, attachment)| Interface { tap: tap.as_raw_fd(), mac: attachment.mac })
            .collect();
        let argv = Machine {
            name: &request.machine.name,
            arch: tools.arch,
            accel: tools.accel,
            cpus: 1,
            memory: MEMORY,
            kernel: &tools.kernel.image,
            initrd: &files.initrd,
            cmdline: "panic=-1 net.ifnames=0 systemd.show_status=1",
            shares: &[("root", &socket)],
            disks: &[Disk { path: &files.upper, format: "raw", serial: "upper" }],
            interfaces: &interfaces,
            channels,
            extra: &[],
        }
        .argv();
        let mut inherited: Vec<OwnedFd> = vec![its_qmp, its_serial, its_shell];
        inherited.extend(taps);
        Ok((process::qemu(&tools.qemu, &argv, &inherited)?, virtiofsd))
    };
    let (qemu, virtiofsd) = within(&descriptors.init, job).await?;
    Ok(Boot { qemu, helpers: vec![virtiofsd], qmp, serial, shell, journal: None, ports })
}

/// Plugs the VM's taps in.
async fn plug(request: &StartRequest, descriptors: &Descriptors) -> io::Result<(Vec<Port>, Vec<OwnedFd>)> {
    let (mut ports, mut taps) = (Vec::new(), Vec::new());
    for attachment in &request.attachments {
        let segment = descriptors.segments.get(&attachment.vlan);
        let segment = segment.ok_or_else(|| io::Error::other(format!("VLAN {} has no segment", attachment.vlan)))?;
        let name = InterfaceName::new(attachment.port_name()).map_err(io::Error::other)?;
        let (port, tap) = segment.tap(name).await.map_err(io::Error::other)?;
        ports.push(port);
        taps.push(tap);
    }
    Ok((ports, taps))
}

struct Files {
    share: PathBuf,
    initrd: PathBuf,
    upper: PathBuf,
}

/// Makes the VM's files, or takes those of an earlier boot. Runs inside the run's namespaces.
fn prepare(tools: &Tools, request: &StartRequest) -> io::Result<Files> {
    let state = &request.state;
    let files = Files { share: state.join("share"), initrd: state.join("initrd"), upper: state.join("upper.img") };
    if files.initrd.exists() {
        return Ok(files);
    }
    let source = match &request.machine.root {
        Root::Host => Path::new("/"),
        Root::Directory(path) => path,
        Root::Tar(_) | Root::Image(_) => return Err(io::Error::other("a VM's root cannot be such a file yet")),
    };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(state)?;
    fs::create_dir_all(&files.share)?;
    let copy = Detached::copy(source)?;
    copy.restrict(libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NODEV)?;
    copy.attach(&files.share)?;
    fs::File::create(&files.upper)?;
    let made = Command::new("mke2fs").args(["-q", "-F", "-t", "ext4"]).arg(&files.upper).arg(UPPER_SIZE).output()?;
    if !made.status.success() {
        return Err(io::Error::other(format!("mke2fs: {}", String::from_utf8_lossy(&made.stderr).trim())));
    }
    let names = |directory: &str| match fs::read_dir(files.share.join(directory.trim_start_matches('/'))) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
        Ok(entries) => entries.map(|entry| Ok(entry?.file_name())).collect(),
    };
    let changes = guest_files::changes(request, &machine_id()?, tools.arch.serial, names)?;
    let contents = Contents {
        root: Source::Share { tag: "root", upper: Upper::Disk("/dev/vda") },
        attachments: &request.attachments,
        shares: &[],
        // The files of others, which its systemd would delete one by one.
        scratch: &["/tmp"],
        changes: &changes,
        init: "/sbin/init",
    };
    let archive = initramfs::build(&tools.kernel, &contents).map_err(io::Error::other)?;
    let unfinished = state.join("initrd.new");
    fs::write(&unfinished, archive)?;
    fs::rename(unfinished, &files.initrd)?;
    Ok(files)
}
