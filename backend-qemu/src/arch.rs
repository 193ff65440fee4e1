//! What differs between architectures, in one table.

/// The facts of one architecture.
#[derive(Debug, PartialEq, Eq)]
pub struct Arch {
    /// Its name, as Rust and the kernel have it.
    pub name: &'static str,
    /// The program that emulates it.
    pub qemu: &'static str,
    /// QEMU's machine type, with its options.
    pub machine: &'static str,
    /// The device of the serial console in a guest.
    pub serial: &'static str,
    /// Flags in /proc/cpuinfo of which one tells that the processor can run guests; empty where a usable /dev/kvm is proof enough.
    pub kvm_flags: &'static [&'static str],
}

const TABLE: [Arch; 2] = [
    Arch { name: "x86_64", qemu: "qemu-system-x86_64", machine: "q35", serial: "ttyS0", kvm_flags: &["vmx", "svm"] },
    Arch {
        name: "aarch64",
        qemu: "qemu-system-aarch64",
        machine: "virt,gic-version=max",
        serial: "ttyAMA0",
        kvm_flags: &[],
    },
];

impl Arch {
    /// This host's own, if VMs can be made on it.
    pub fn of_host() -> Option<&'static Self> {
        TABLE.iter().find(|arch| arch.name == std::env::consts::ARCH)
    }
}
