//! QEMU's command line (qemu(1)), as pure functions of what a machine is made of.
//!
//! Everything that a guest or the driver talks through is an open descriptor or a socket in the run's own directory; nothing listens on the
//! network.

use std::fmt::Write;
use std::os::fd::RawFd;
use std::path::Path;

use crate::accel::Accel;
use crate::arch::Arch;

/// All that QEMU is told.
#[derive(Clone, Copy, Debug)]
pub struct Machine<'a> {
    /// The machine's name, shown in process lists.
    pub name: &'a str,
    /// The architecture.
    pub arch: &'a Arch,
    /// How instructions are run.
    pub accel: Accel,
    /// Processors.
    pub cpus: u32,
    /// Memory in MiB.
    pub memory: u64,
    /// Kernel image.
    pub kernel: &'a Path,
    /// Initramfs.
    pub initrd: &'a Path,
    /// The kernel's command line, beyond its console.
    pub cmdline: &'a str,
    /// Whether the guest may reboot; otherwise QEMU ends when it does.
    pub allow_reboot: bool,
    /// Sockets of virtiofsd, each with the tag of its share.
    pub shares: &'a [(&'a str, &'a Path)],
    /// Disks in order.
    pub disks: &'a [Disk<'a>],
    /// Network interfaces in order.
    pub interfaces: &'a [Interface],
    /// The driver's ends of these are sockets.
    pub channels: Channels,
    /// What the test adds; it comes last, so that it can override.
    pub extra: &'a [String],
}

/// A disk.
#[derive(Clone, Copy, Debug)]
pub struct Disk<'a> {
    /// Its file.
    pub path: &'a Path,
    /// `raw` or `qcow2`.
    pub format: &'a str,
    /// What the file is a layer above.
    pub base: Option<Base<'a>>,
    /// How a guest can tell it from others: `/dev/disk/by-id/virtio-SERIAL`.
    pub serial: &'a str,
}

/// An image that is only read.
#[derive(Clone, Copy, Debug)]
pub struct Base<'a> {
    /// Its file, open for reading only: QEMU could not open it by itself.
    pub descriptor: RawFd,
    /// `raw` or `qcow2`.
    pub format: &'a str,
}

/// A network interface.
#[derive(Clone, Copy, Debug)]
pub struct Interface {
    /// What it is plugged into.
    pub netdev: Netdev,
    /// Its MAC address.
    pub mac: [u8; 6],
}

/// What an interface is plugged into, by a descriptor of the driver's.
#[derive(Clone, Copy, Debug)]
pub enum Netdev {
    /// A tap.
    Tap(RawFd),
    /// A socket, each datagram of which is a frame. QEMU has this since 7.2.
    Dgram(RawFd),
}

/// Descriptors of connected sockets.
#[derive(Clone, Copy, Debug)]
pub struct Channels {
    /// Of QMP.
    pub qmp: RawFd,
    /// Of the serial console.
    pub serial: RawFd,
    /// Of the command channel, /dev/hvc0 in the guest.
    pub shell: RawFd,
    /// Of a second QMP.
    pub launch: RawFd,
    /// Of the port [`JOURNAL`] in the guest, if it has one.
    pub journal: Option<RawFd>,
}

/// The name of the port that takes the guest's journal: `/dev/virtio-ports/NAME`.
pub const JOURNAL: &str = "io.tandem.journal";

impl Machine<'_> {
    /// The arguments, without the program's name.
    pub fn argv(&self) -> Vec<String> {
        [
            self.base(),
            self.boot(),
            self.channels(),
            self.shares(),
            self.disks(),
            self.interfaces(),
            self.screen(),
            self.extra.to_vec(),
        ]
        .concat()
    }

    fn base(&self) -> Vec<String> {
        let (accel, cpu) = match self.accel {
            Accel::Kvm => ("kvm", "host"),
            Accel::Tcg => ("tcg,thread=multi", "max"),
        };
        words(&[
            "-name",
            &format!("guest={},process=tandem-{}", escape(self.name), escape(self.name)),
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            // QEMU needs no privilege and starts no program once it runs.
            "-sandbox",
            "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
            "-machine",
            &format!("{},memory-backend=memory", self.arch.machine),
            "-accel",
            accel,
            "-cpu",
            cpu,
            "-smp",
            &self.cpus.to_string(),
            "-m",
            &format!("{}M", self.memory),
            // virtiofsd reads and writes the guest's memory.
            "-object",
            &format!("memory-backend-memfd,id=memory,size={}M,share=on", self.memory),
            "-device",
            "virtio-rng-pci",
            // The guest tells by it that its kernel panicked, and still says all that it has to say.
            "-device",
            "pvpanic-pci",
            "-action",
            if self.allow_reboot { "reboot=reset,panic=none" } else { "reboot=shutdown,panic=none" },
        ])
    }

    fn boot(&self) -> Vec<String> {
        let console = format!("console={} {}", self.arch.serial, self.cmdline);
        words(&["-kernel", &path(self.kernel), "-initrd", &path(self.initrd), "-append", console.trim()])
    }

    fn channels(&self) -> Vec<String> {
        let Channels { qmp, serial, shell, launch, journal } = self.channels;
        let mut channels = words(&[
            "-chardev",
            &format!("socket,id=qmp,fd={qmp}"),
            "-mon",
            "chardev=qmp,mode=control",
            "-chardev",
            &format!("socket,id=launch,fd={launch}"),
            "-mon",
            "chardev=launch,mode=control",
            "-chardev",
            &format!("socket,id=serial,fd={serial}"),
            "-serial",
            "chardev:serial",
            "-device",
            "virtio-serial-pci",
            "-chardev",
            &format!("socket,id=shell,fd={shell}"),
            "-device",
            "virtconsole,chardev=shell",
        ]);
        if let Some(journal) = journal {
            channels.extend(words(&[
                "-chardev",
                &format!("socket,id=journal,fd={journal}"),
                "-device",
                &format!("virtserialport,chardev=journal,name={JOURNAL}"),
            ]));
        }
        channels
    }

    fn screen(&self) -> Vec<String> {
        // The tablet is a pointer that knows where on the screen it is.
        let devices = [self.arch.screen, "virtio-tablet-pci"].into_iter().chain(self.arch.keyboard);
        devices.flat_map(|device| words(&["-device", device])).collect()
    }

    fn shares(&self) -> Vec<String> {
        let share = |(number, (tag, socket)): (usize, &(&str, &Path))| {
            words(&[
                "-chardev",
                &format!("socket,id=share{number},path={}", escape(&path(socket))),
                "-device",
                &format!("vhost-user-fs-pci,chardev=share{number},tag={}", escape(tag)),
            ])
        };
        self.shares.iter().enumerate().flat_map(share).collect()
    }

    fn disks(&self) -> Vec<String> {
        let disk = |(number, disk): (usize, &Disk<'_>)| {
            let mut block = format!(
                "driver={},node-name=disk{number},discard=unmap,file.driver=file,file.filename={}",
                disk.format,
                escape(&path(disk.path))
            );
            let mut arguments = Vec::new();
            if let Some(Base { descriptor, format }) = disk.base {
                // A descriptor is named to block drivers as member of a set.
                arguments = words(&["-add-fd", &format!("fd={descriptor},set={descriptor}")]);
                let _ = write!(
                    block,
                    ",backing.driver={format},backing.read-only=on,\
                     backing.file.driver=file,backing.file.filename=/dev/fdset/{descriptor}"
                );
            }
            let device = format!("virtio-blk-pci,drive=disk{number},serial={}", escape(disk.serial));
            arguments.extend(words(&["-blockdev", &block, "-device", &device]));
            arguments
        };
        self.disks.iter().enumerate().flat_map(disk).collect()
    }

    fn interfaces(&self) -> Vec<String> {
        let interface = |(number, interface): (usize, &Interface)| {
            let mac = interface.mac.map(|byte| format!("{byte:02x}")).join(":");
            let id = netdev(number);
            let backend = match interface.netdev {
                Netdev::Tap(descriptor) => format!("tap,id={id},fd={descriptor}"),
                Netdev::Dgram(descriptor) => format!("dgram,id={id},local.type=fd,local.str={descriptor}"),
            };
            words(&["-netdev", &backend, "-device", &format!("virtio-net-pci,netdev={id},mac={mac}")])
        };
        self.interfaces.iter().enumerate().flat_map(interface).collect()
    }
}

/// The name by which QEMU knows what the interface with this index is plugged into.
pub fn netdev(index: usize) -> String {
    format!("net{index}")
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn path(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// A value inside an option: QEMU reads a doubled comma as one (qemu(1), "Standard options").
fn escape(value: &str) -> String {
    value.replace(',', ",,")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::{AARCH64, X86_64};

    fn machine<'a>() -> Machine<'a> {
        Machine {
            name: "web",
            arch: &X86_64,
            accel: Accel::Tcg,
            cpus: 2,
            memory: 512,
            kernel: Path::new("/boot/vmlinuz"),
            initrd: Path::new("/state/initrd"),
            cmdline: "quiet",
            allow_reboot: false,
            shares: &[],
            disks: &[],
            interfaces: &[],
            channels: Channels { qmp: 3, serial: 4, shell: 5, launch: 6, journal: None },
            extra: &[],
        }
    }

    /// The values of an option.
    fn values<'a>(argv: &'a [String], option: &str) -> Vec<&'a str> {
        argv.iter()
            .zip(argv.iter().skip(1))
            .filter(|(name, _)| *name == option)
            .map(|(_, value)| value.as_str())
            .collect()
    }

    #[test]
    fn size_and_accelerator() {
        let argv = machine().argv();
        assert_eq!((values(&argv, "-smp"), values(&argv, "-m")), (vec!["2"], vec!["512M"]));
        assert_eq!((values(&argv, "-accel"), values(&argv, "-cpu")), (vec!["tcg,thread=multi"], vec!["max"]));
        let argv = Machine { accel: Accel::Kvm, ..machine() }.argv();
        assert_eq!((values(&argv, "-accel"), values(&argv, "-cpu")), (vec!["kvm"], vec!["host"]));
    }

    #[test]
    fn the_kernel_has_its_console_on_the_serial_line() {
        assert_eq!(values(&machine().argv(), "-append"), ["console=ttyS0 quiet"]);
        assert_eq!(values(&Machine { cmdline: "", ..machine() }.argv(), "-append"), ["console=ttyS0"]);
    }

    #[test]
    fn interfaces_keep_their_order_and_their_address() {
        let interfaces = [
            Interface { netdev: Netdev::Tap(7), mac: [0x52, 0x54, 0, 0x12, 1, 0xa] },
            Interface { netdev: Netdev::Dgram(8), mac: [0x52, 0x54, 0, 0x12, 2, 0xa] },
        ];
        let argv = Machine { interfaces: &interfaces, ..machine() }.argv();
        assert_eq!(values(&argv, "-netdev"), ["tap,id=net0,fd=7", "dgram,id=net1,local.type=fd,local.str=8"]);
        assert!(argv.contains(&"virtio-net-pci,netdev=net1,mac=52:54:00:12:02:0a".to_owned()));
    }

    #[test]
    fn commas_in_paths_do_not_end_an_option() {
        let disks = [Disk { path: Path::new("/a,b.img"), format: "raw", base: None, serial: "root" }];
        let argv = Machine { disks: &disks, shares: &[("root", Path::new("/s,t"))], ..machine() }.argv();
        assert_eq!(
            values(&argv, "-blockdev"),
            ["driver=raw,node-name=disk0,discard=unmap,file.driver=file,file.filename=/a,,b.img"]
        );
        assert!(argv.contains(&"socket,id=share0,path=/s,,t".to_owned()));
    }

    #[test]
    fn a_base_is_a_descriptor_that_is_only_read() {
        let base = Some(Base { descriptor: 9, format: "raw" });
        let disks = [Disk { path: Path::new("root.qcow2"), format: "qcow2", base, serial: "root" }];
        let argv = Machine { disks: &disks, ..machine() }.argv();
        assert_eq!(values(&argv, "-add-fd"), ["fd=9,set=9"]);
        let block = values(&argv, "-blockdev")[0];
        assert!(block.ends_with(
            "filename=root.qcow2,backing.driver=raw,backing.read-only=on,backing.file.driver=file,backing.file.filename=/dev/fdset/9"
        ), "{block}");
        assert!(argv.contains(&"virtio-blk-pci,drive=disk0,serial=root".to_owned()));
    }

    #[test]
    fn a_reboot_ends_qemu_unless_it_is_allowed() {
        assert_eq!(values(&machine().argv(), "-action"), ["reboot=shutdown,panic=none"]);
        let argv = Machine { allow_reboot: true, ..machine() }.argv();
        assert_eq!(values(&argv, "-action"), ["reboot=reset,panic=none"]);
    }

    #[test]
    fn there_is_a_screen_and_what_goes_with_it() {
        let devices = |arch: &'static Arch| values(&Machine { arch, ..machine() }.argv(), "-device").join(" ");
        let (x86, arm) = (devices(&X86_64), devices(&AARCH64));
        assert!(x86.ends_with("VGA virtio-tablet-pci"), "{x86}");
        assert!(arm.ends_with("virtio-gpu-pci virtio-tablet-pci virtio-keyboard-pci"), "{arm}");
    }

    #[test]
    fn the_journal_has_a_port_where_somebody_reads_it() {
        let port = "virtserialport,chardev=journal,name=io.tandem.journal";
        let argv = |journal| {
            let channels = Channels { journal, ..machine().channels };
            Machine { channels, ..machine() }.argv()
        };
        assert!(values(&argv(Some(7)), "-device").contains(&port));
        assert!(!values(&argv(None), "-device").contains(&port));
    }

    #[test]
    fn what_the_test_adds_comes_last() {
        let extra = ["-device".to_owned(), "VGA".to_owned()];
        assert!(Machine { extra: &extra, ..machine() }.argv().ends_with(&extra));
    }
}
