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
    /// The device that shows a screen. On x86 every kernel has text on it, without a driver.
    pub screen: &'static str,
    /// The device of the keyboard, where the machine type has none.
    pub keyboard: Option<&'static str>,
    /// The GPT type of this architecture's root partition (Discoverable Partitions Specification).
    pub root_partition: &'static str,
    /// Flags in /proc/cpuinfo of which one tells that the processor can run guests; empty where a usable /dev/kvm is proof enough.
    pub kvm_flags: &'static [&'static str],
}

/// 64-bit x86.
pub const X86_64: Arch = Arch {
    name: "x86_64",
    qemu: "qemu-system-x86_64",
    machine: "q35",
    serial: "ttyS0",
    screen: "VGA",
    keyboard: None,
    root_partition: "4f68bce3-e8cd-4db1-96e7-fbcaf984b709",
    kvm_flags: &["vmx", "svm"],
};

/// 64-bit Arm.
pub const AARCH64: Arch = Arch {
    name: "aarch64",
    qemu: "qemu-system-aarch64",
    machine: "virt,gic-version=max",
    serial: "ttyAMA0",
    screen: "virtio-gpu-pci",
    keyboard: Some("virtio-keyboard-pci"),
    root_partition: "b921b045-1df0-41c3-af44-4c6f280d3fae",
    kvm_flags: &[],
};

const TABLE: [Arch; 2] = [X86_64, AARCH64];

impl Arch {
    /// This host's own, if VMs can be made on it.
    pub fn of_host() -> Option<&'static Self> {
        TABLE.iter().find(|arch| arch.name == std::env::consts::ARCH)
    }
}
