//! QEMU's command line (qemu(1)), as pure functions of what a machine is made of.
//!
//! Everything that a guest or the driver talks through is an open descriptor or a socket in the run's own directory; nothing listens on the
//! network.

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
    /// How a guest can tell it from others: `/dev/disk/by-id/virtio-SERIAL`.
    pub serial: &'a str,
}

/// A network interface: a tap of the driver's.
#[derive(Clone, Copy, Debug)]
pub struct Interface {
    /// The tap's descriptor.
    pub tap: RawFd,
    /// Its MAC address.
    pub mac: [u8; 6],
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
}

impl Machine<'_> {
    /// The arguments, without the program's name.
    pub fn argv(&self) -> Vec<String> {
        [self.base(), self.boot(), self.channels(), self.shares(), self.disks(), self.interfaces(), self.extra.to_vec()]
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
        ])
    }

    fn boot(&self) -> Vec<String> {
        let console = format!("console={} {}", self.arch.serial, self.cmdline);
        words(&["-kernel", &path(self.kernel), "-initrd", &path(self.initrd), "-append", console.trim()])
    }

    fn channels(&self) -> Vec<String> {
        let Channels { qmp, serial, shell } = self.channels;
        words(&[
            "-chardev",
            &format!("socket,id=qmp,fd={qmp}"),
            "-mon",
            "chardev=qmp,mode=control",
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
        ])
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
            words(&[
                "-drive",
                &format!("if=none,id=disk{number},file={},format={}", escape(&path(disk.path)), disk.format),
                "-device",
                &format!("virtio-blk-pci,drive=disk{number},serial={}", escape(disk.serial)),
            ])
        };
        self.disks.iter().enumerate().flat_map(disk).collect()
    }

    fn interfaces(&self) -> Vec<String> {
        let interface = |(number, interface): (usize, &Interface)| {
            let mac = interface.mac.map(|byte| format!("{byte:02x}")).join(":");
            words(&[
                "-netdev",
                &format!("tap,id=net{number},fd={}", interface.tap),
                "-device",
                &format!("virtio-net-pci,netdev=net{number},mac={mac}"),
            ])
        };
        self.interfaces.iter().enumerate().flat_map(interface).collect()
    }
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

    const ARCH: Arch = Arch { name: "x86_64", qemu: "q", machine: "q35", serial: "ttyS0", kvm_flags: &[] };

    fn machine<'a>() -> Machine<'a> {
        Machine {
            name: "web",
            arch: &ARCH,
            accel: Accel::Tcg,
            cpus: 2,
            memory: 512,
            kernel: Path::new("/boot/vmlinuz"),
            initrd: Path::new("/state/initrd"),
            cmdline: "quiet",
            shares: &[],
            disks: &[],
            interfaces: &[],
            channels: Channels { qmp: 3, serial: 4, shell: 5 },
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
            Interface { tap: 7, mac: [0x52, 0x54, 0, 0x12, 1, 0xa] },
            Interface { tap: 8, mac: [0x52, 0x54, 0, 0x12, 2, 0xa] },
        ];
        let argv = Machine { interfaces: &interfaces, ..machine() }.argv();
        assert_eq!(values(&argv, "-netdev"), ["tap,id=net0,fd=7", "tap,id=net1,fd=8"]);
        assert!(argv.contains(&"virtio-net-pci,netdev=net1,mac=52:54:00:12:02:0a".to_owned()));
    }

    #[test]
    fn commas_in_paths_do_not_end_an_option() {
        let disks = [Disk { path: Path::new("/a,b.qcow2"), format: "qcow2", serial: "root" }];
        let argv = Machine { disks: &disks, shares: &[("root", Path::new("/s,t"))], ..machine() }.argv();
        assert_eq!(values(&argv, "-drive"), ["if=none,id=disk0,file=/a,,b.qcow2,format=qcow2"]);
        assert!(argv.contains(&"socket,id=share0,path=/s,,t".to_owned()));
    }

    #[test]
    fn what_the_test_adds_comes_last() {
        let extra = ["-device".to_owned(), "VGA".to_owned()];
        assert!(Machine { extra: &extra, ..machine() }.argv().ends_with(&extra));
    }
}
