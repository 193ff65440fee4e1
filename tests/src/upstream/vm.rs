//! A Debian VM made to NixOS' guest contract, and scripts that start it as `run-NAME-vm` does.
//!
//! The guest is built once and lies in the user's cache under a name that tells its content. Its kernel is Debian's for real machines: that
//! for virtual ones has no 9p.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use backend_qemu::initramfs::{self, Contents, Source};
use backend_qemu::kernel::Kernel;
use backend_qemu::volume::{FileSystem, Volume};
use driver_core::spec::MachineSpec;
use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;

use crate::images::file_system;
use crate::roots::{SmallRoot, cache, hash, remove, run};

/// What the guest has beyond a minimal Debian.
pub const PACKAGES: &str = "systemd,systemd-sysv,udev,dbus,bash,coreutils,iproute2,iputils-ping,kmod,login,netcat-openbsd,\
                        openssh-server,socat,util-linux";

/// The modules that the guest loads by itself, as directories or files below `kernel/`.
const MODULES: [&str; 18] = [
    "crypto/crc32c_generic.ko",
    "fs/9p",
    "fs/efivarfs",
    "fs/ext4",
    "fs/fscache",
    "fs/jbd2",
    "fs/mbcache.ko",
    "fs/netfs",
    "drivers/block/virtio_blk.ko",
    "drivers/char/hw_random",
    "drivers/char/virtio_console.ko",
    "drivers/net/net_failover.ko",
    "drivers/net/virtio_net.ko",
    "drivers/virtio",
    "lib/crc16.ko",
    "net/9p",
    "net/core",
    "net/vmw_vsock",
];

/// Units that would only make the boot longer, or would take the consoles.
const MASKED: [&str; 26] = [
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "dev-hugepages.mount",
    "dev-mqueue.mount",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "modprobe@configfs.service",
    "modprobe@dm_mod.service",
    "modprobe@drm.service",
    "modprobe@efi_pstore.service",
    "modprobe@fuse.service",
    "modprobe@loop.service",
    "serial-getty@hvc0.service",
    "serial-getty@ttyS0.service",
    "ssh.service",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "systemd-hwdb-update.service",
    "systemd-journal-flush.service",
    "systemd-logind.service",
    "systemd-pcrphase.service",
    "systemd-update-utmp.service",
    "systemd-networkd.service",
    "kmod-static-nodes.service",
];

/// What is written over the Debian: path, mode, content.
const FILES: [(&str, u32, &str); 11] = [
    ("etc/fstab", 0o644, include_str!("vm/fstab")),
    ("etc/hostname", 0o644, "guest\n"),
    ("etc/ssh/sshd_config.d/test.conf", 0o644, "PermitRootLogin yes\nPermitEmptyPasswords yes\nUsePAM no\n"),
    ("etc/systemd/journald.conf.d/test.conf", 0o644, include_str!("vm/journald.conf")),
    ("etc/systemd/system.conf.d/test.conf", 0o644, include_str!("vm/manager.conf")),
    ("etc/systemd/system/backdoor.service", 0o644, include_str!("vm/backdoor.service")),
    ("etc/systemd/system/interfaces.service", 0o644, include_str!("vm/interfaces.service")),
    ("etc/systemd/system/systemd-udev-trigger.service.d/test.conf", 0o644, include_str!("vm/trigger.conf")),
    // The shares are mounted there while other things are thrown away.
    ("etc/tmpfiles.d/tmp.conf", 0o644, "d /tmp 1777 root root -\n"),
    ("usr/local/sbin/backdoor", 0o755, include_str!("vm/backdoor.sh")),
    ("usr/local/sbin/interfaces", 0o755, include_str!("vm/interfaces.sh")),
];

/// Where Debian has the firmware for VMs.
pub const FIRMWARE: &str = "/usr/share/OVMF";

/// The guest: what its machines boot from.
#[derive(Clone, Debug)]
pub struct Guest {
    /// A raw disk with one ext4 file system.
    pub disk: PathBuf,
    /// A kernel with 9p, and its modules.
    pub kernel: Kernel,
}

impl Guest {
    /// Takes the guest from the cache, or builds it, which needs a Debian mirror and about a minute.
    pub fn build() -> io::Result<Self> {
        let root = SmallRoot::with(PACKAGES)?;
        let cache = cache()?;
        let lock = File::create(cache.join("lock-upstream-vm"))?;
        flock(&lock, FlockOperation::LockExclusive)?;
        let kernel = kernel_package()?;
        let words: Vec<&str> = FILES.iter().flat_map(|(path, _, content)| [*path, *content]).collect();
        let words = [&words[..], &MODULES, &MASKED, &[PACKAGES, &kernel]].concat();
        let directory = cache.join(format!("upstream-vm-{:016x}", hash(&words)));
        let release = kernel.trim_start_matches("linux-image-");
        let (disk, image) = (directory.join("disk.img"), directory.join(format!("boot/vmlinuz-{release}")));
        if disk.exists() {
            return Ok(Self { disk, kernel: Kernel::at(&image).map_err(io::Error::other)? });
        }
        remove(&directory)?;
        fs::create_dir_all(directory.join("boot"))?;
        fs::create_dir_all(directory.join("lib/modules"))?;
        let building = cache.join("building-upstream-vm");
        remove(&building)?;
        fs::create_dir(&building)?;
        let (package, files) = (building.join("kernel"), building.join("root"));
        unpack_kernel(&kernel, &package)?;
        run(Command::new("cp").arg("-a").arg(&root.directory).arg(&files))?;
        fs::copy(package.join(format!("boot/vmlinuz-{release}")), &image)?;
        furnish(&files, &package, release)?;
        let modules = format!("lib/modules/{release}");
        run(Command::new("cp").arg("-a").arg(files.join(&modules)).arg(directory.join("lib/modules")))?;
        let unfinished = building.join("disk.img");
        file_system(&unfinished, 900, Some(&files))?;
        fs::rename(&unfinished, &disk)?;
        remove(&building)?;
        Ok(Self { disk, kernel: Kernel::at(&image).map_err(io::Error::other)? })
    }
}

/// Debian's newest kernel for real machines, as a package.
fn kernel_package() -> io::Result<String> {
    let output =
        Command::new("apt-cache").args(["depends", "--important", "linux-image-amd64"]).env("LC_ALL", "C").output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let package = said.lines().find_map(|line| line.trim().strip_prefix("Depends: "));
    package.map(str::to_owned).ok_or_else(|| io::Error::other("apt-cache knows no linux-image-amd64"))
}

fn unpack_kernel(package: &str, target: &Path) -> io::Result<()> {
    fs::create_dir(target)?;
    run(Command::new("apt-get").args(["download", "--quiet", package]).current_dir(target))?;
    for entry in fs::read_dir(target)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "deb") {
            run(Command::new("dpkg-deb").arg("--extract").arg(path).arg(target))?;
        }
    }
    let release = package.trim_start_matches("linux-image-");
    run(Command::new("/usr/sbin/depmod").arg("-b").arg(target).arg(release))
}

fn initrd(kernel: &Kernel) -> io::Result<Vec<u8>> {
    let contents = Contents {
        root: Source::Disk { device: "/dev/vda", volumes: &[Volume { partition: None, kind: FileSystem::Ext4 }] },
        attachments: &[],
        shares: &[],
        scratch: &[],
        modes: &[],
        changes: &[],
        inits: &["/sbin/init"],
    };
    initramfs::build(kernel, &contents).map_err(io::Error::other)
}

/// Makes a test guest of a Debian.
fn furnish(root: &Path, package: &Path, release: &str) -> io::Result<()> {
    for (path, mode, content) in FILES {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap_or(root))?;
        fs::write(&path, content)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
    }
    for directory in ["tmp/shared", "tmp/xchg"] {
        fs::create_dir(root.join(directory))?;
    }
    let units = root.join("etc/systemd/system");
    for unit in MASKED {
        let _ = fs::remove_file(units.join(unit));
        symlink("/dev/null", units.join(unit))?;
    }
    let wanted = units.join("multi-user.target.wants");
    fs::create_dir_all(&wanted)?;
    for unit in ["backdoor.service", "interfaces.service"] {
        symlink(format!("../{unit}"), wanted.join(unit))?;
    }
    let default = units.join("default.target");
    let _ = fs::remove_file(&default);
    symlink("/lib/systemd/system/multi-user.target", default)?;
    // As tests of a machine's sshd start it, so that boots are not longer for it.
    fs::write(units.join("sshd-test.service"), SSHD)?;
    // Root has an empty password.
    let shadow = root.join("etc/shadow");
    let text = fs::read_to_string(&shadow)?;
    fs::write(&shadow, text.replace("root:*:", "root::").replace("root:!:", "root::"))?;
    let modules = root.join("lib/modules").join(release);
    let from = package.join("lib/modules").join(release);
    fs::create_dir_all(&modules)?;
    for list in ["modules.order", "modules.builtin", "modules.builtin.modinfo"] {
        fs::copy(from.join(list), modules.join(list))?;
    }
    for module in MODULES {
        let target = modules.join("kernel").join(module);
        fs::create_dir_all(target.parent().unwrap_or(&modules))?;
        run(Command::new("cp").arg("-a").arg(from.join("kernel").join(module)).arg(&target))?;
    }
    run(Command::new("/usr/sbin/depmod").arg("-b").arg(root).arg(release))
}

const SSHD: &str = "[Unit]\nDescription=SSH for the test\n\n[Service]\nRuntimeDirectory=sshd\n\
                    ExecStart=/usr/sbin/sshd -D -e\nKillMode=process\n";

/// Machines with start scripts for a guest.
#[derive(Debug)]
pub struct Machines {
    guest: Guest,
    directory: TempDir,
}

/// What differs from machine to machine.
#[derive(Clone, Debug)]
pub struct Machine<'a> {
    /// Its name.
    pub name: &'a str,
    /// The number in its addresses: its place, from 1, in the sorted names of all machines.
    pub node: u8,
    /// The VLANs that it is on.
    pub vlans: &'a [u8],
    /// Tags of 9p shares.
    pub shares: &'a [&'a str],
    /// Where UEFI firmware lies, if it boots by that.
    pub firmware: &'a str,
    /// More for the kernel's command line.
    pub cmdline: &'a str,
}

impl<'a> Machine<'a> {
    /// A machine without VLANs, with the two shares that each has upstream.
    pub fn new(name: &'a str) -> Self {
        Self { name, node: 1, vlans: &[], shares: &["xchg", "shared"], firmware: "", cmdline: "" }
    }
}

impl Machines {
    /// Machines that boot `guest`.
    pub fn new(guest: Guest) -> io::Result<Self> {
        let directory = tempfile::Builder::new().prefix("tandem-test-").tempdir()?;
        fs::write(directory.path().join("initrd"), initrd(&guest.kernel)?)?;
        Ok(Self { guest, directory })
    }

    /// Where the scripts lie.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Writes `run-NAME-vm`.
    pub fn script(&self, machine: &Machine<'_>) -> io::Result<PathBuf> {
        let Machine { name, node, vlans, shares, firmware, cmdline } = machine;
        let numbered = || (1..).zip(vlans.iter());
        let mac = |vlan: u8| format!("52:54:00:12:{vlan:02X}:{node:02X}");
        let nics: Vec<String> =
            numbered().map(|(number, vlan): (u8, _)| format!("'{number},{vlan},{}'", mac(*vlan))).collect();
        let interfaces: Vec<String> = numbered()
            .map(|(number, vlan): (u8, _)| {
                let mac = mac(*vlan).to_lowercase();
                format!("test.if=eth{number},{mac},192.168.{vlan}.{node}/24,2001:db8:{vlan}::{node}/64")
            })
            .collect();
        let assignments = format!(
            "NAME='{name}' BASE='{}' KERNEL='{}' INITRD='{}' SEEN='{}' FIRMWARE='{firmware}'\n\
             CMDLINE='loglevel=4 net.ifnames=0 systemd.hostname={name} {} {cmdline}'\nNICS=({}) SHARES=({})\n",
            self.guest.disk.display(),
            self.guest.kernel.image.display(),
            self.directory().join("initrd").display(),
            self.directory().display(),
            interfaces.join(" "),
            nics.join(" "),
            shares.join(" "),
        );
        let (first, rest) = include_str!("vm/start.sh").split_once('\n').unwrap_or_default();
        let path = self.directory().join(format!("run-{name}-vm"));
        fs::write(&path, format!("{first}\n{assignments}{rest}"))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        Ok(path)
    }

    /// The machine as a test declares it.
    pub fn spec(&self, machine: &Machine<'_>) -> Result<MachineSpec, Box<dyn std::error::Error + Send + Sync>> {
        let mut spec = MachineSpec::new(machine.name, "vm");
        spec.vlans.clear();
        for vlan in machine.vlans {
            spec.vlans.push(driver_core::spec::VlanId::new((*vlan).into()).ok_or("no such VLAN")?);
        }
        spec.start_script = Some(self.script(machine)?);
        Ok(spec)
    }

    /// What a machine's script has seen: its `arguments`, its `environment`, its `directory`, a line each.
    pub fn seen(&self, machine: &str, what: &str) -> io::Result<Vec<String>> {
        let text = fs::read_to_string(self.directory().join(format!("{machine}.{what}")))?;
        Ok(text.lines().map(str::to_owned).collect())
    }
}
