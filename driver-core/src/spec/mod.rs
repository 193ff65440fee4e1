//! What the user asked for: test files, checked as a whole.
//!
//! [`read`] goes through `file` (which form a test file has), `pep723`, `toml` or `json` (from text to one tree of values), then `run` and
//! `machine` (what each key means) and `conflict` (keys that exclude each other). All of them tell a `report` what is wrong and go on, so
//! that every problem is found at once. Disks are told by their content: `image` looks with `qcow2` and `raw`.

mod bytes;
mod configuration;
mod conflict;
mod duration;
mod file;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod image;
mod json;
mod machine;
mod name;
mod nearest;
mod path;
mod pep723;
mod problem;
mod qcow2;
mod raw;
mod report;
mod resource;
mod root;
mod run;
mod size;
mod toml;
mod toplevel;
mod unit;
mod value;
mod vm;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use duration::{InvalidDuration, parse as parse_duration};
pub use name::python_name;
pub use nearest::nearest;
pub use problem::{Problem, Whose, list};
pub use toplevel::{STORE, Toplevel, resolve_within};

/// Reads the test file at `path`: a Python file with a PEP 723 block, a TOML file or a JSON file, told apart by the extension.
///
/// Looks at the files, devices and directories that the test names, but changes nothing and starts nothing. Backend names and the
/// script's syntax are left to the caller. The error holds every problem, in the order of the file; it is never empty.
pub fn read(path: &Path) -> Result<TestSpec, Vec<Problem>> {
    match examine(path) {
        (Some(spec), problems) if problems.is_empty() => Ok(spec),
        (_, problems) => Err(problems),
    }
}

/// Reads a test file as far as it can be read, for further checks only: where there are problems, a key that is wrong has its default. The
/// backend of a machine that names none is empty.
pub fn examine(path: &Path) -> (Option<TestSpec>, Vec<Problem>) {
    file::examine(path)
}

/// The same for a configuration of upstream's test driver, whatever the file's name. [`examine`] knows such a file by its keys, if it is named
/// as JSON is.
pub fn examine_configuration(path: &Path) -> (Option<TestSpec>, Vec<Problem>) {
    file::examine_configuration(path)
}

/// The same for the text of one, which `about` names where something is wrong with it. The paths in it begin in the working directory.
pub fn examine_configuration_text(about: &Path, text: &str) -> (Option<TestSpec>, Vec<Problem>) {
    file::examine_configuration_text(about, text)
}

/// A whole test: its script and its machines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TestSpec {
    /// The test's name, by default that of its file.
    pub name: String,
    /// The Python script, as an absolute path.
    pub script: PathBuf,
    /// The versions of Python that the script is for, as PEP 723's `requires-python` has it.
    pub requires_python: Option<String>,
    /// The Python packages that the script needs, as PEP 723's `dependencies` has them.
    pub dependencies: Vec<String>,
    /// How long the whole run may take.
    pub global_timeout: Duration,
    /// How long each boot may take.
    pub boot_timeout: Duration,
    /// Whether machines are registered with systemd-machined.
    pub machined: Machined,
    /// What carries the LANs.
    pub lan: Lan,
    /// Whether people can log in to the machines by SSH while the test runs.
    pub ssh_backdoor: bool,
    /// The machines, sorted by name.
    pub machines: Vec<MachineSpec>,
    /// What people should know of the test's file although nothing is wrong with it.
    pub notes: Vec<String>,
}

/// One machine of a test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MachineSpec {
    /// Its name, which is a host name.
    pub name: String,
    /// The backend that makes it.
    pub backend: String,
    /// Where its files come from. Paths are absolute.
    pub root: Root,
    /// Its VLANs, in the order of its interfaces `eth1`, `eth2`, ...
    pub vlans: Vec<VlanId>,
    /// Units that a host-root guest starts beyond the basics.
    pub units: Vec<String>,
    /// Environment of commands.
    pub env: BTreeMap<String, String>,
    /// Device nodes of the host that the machine may use.
    pub devices: Vec<PathBuf>,
    /// Host directories that the machine sees.
    pub binds: Vec<Bind>,
    /// Processors, 1 to 255; none is the backend's own choice.
    pub cpus: Option<u32>,
    /// Memory in MiB, at least 96; none is the backend's own choice.
    pub memory: Option<u64>,
    /// The kernel image to boot, as an absolute path; none is one that the backend finds.
    pub kernel: Option<PathBuf>,
    /// The initramfs to boot, as an absolute path; none is one that the backend makes. What it boots brings its own network settings and
    /// command channel, and so test files give it only beside `kernel` and a root that is a disk image.
    pub initrd: Option<PathBuf>,
    /// Words for the kernel's command line, beyond those that the machine needs; none by default. One line.
    pub cmdline: Option<String>,
    /// How its instructions are run; by default the best way that there is.
    pub accel: Accel,
    /// Disks besides the root, in order; none by default. Images are never written to.
    pub disks: Vec<Disk>,
    /// Arguments for QEMU, one an item, after all others; none by default.
    pub qemu_args: Vec<String>,
    /// A program that boots the machine, by the contract of upstream's start scripts, as an absolute path. It brings all else that makes a VM
    /// or a container, and so test files give nothing of that beside it but a VM's `qemu_args`.
    pub start_script: Option<PathBuf>,
}

impl TestSpec {
    /// A test of these machines with no script, for use from Rust, and with the deadlines that test files have by default.
    pub fn new(name: impl Into<String>, mut machines: Vec<MachineSpec>) -> Self {
        machines.sort_by(|a, b| a.name.cmp(&b.name));
        Self {
            name: name.into(),
            script: PathBuf::new(),
            requires_python: None,
            dependencies: Vec::new(),
            global_timeout: run::GLOBAL_TIMEOUT,
            boot_timeout: run::BOOT_TIMEOUT,
            machined: Machined::default(),
            lan: Lan::default(),
            ssh_backdoor: false,
            machines,
            notes: Vec::new(),
        }
    }
}

impl MachineSpec {
    /// A machine as a test file that names only its backend declares it: the host's root, on VLAN 1.
    pub fn new(name: impl Into<String>, backend: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            backend: backend.into(),
            root: Root::Host,
            vlans: vec![VlanId(1)],
            units: Vec::new(),
            env: BTreeMap::new(),
            devices: Vec::new(),
            binds: Vec::new(),
            cpus: None,
            memory: None,
            kernel: None,
            initrd: None,
            cmdline: None,
            accel: Accel::default(),
            disks: Vec::new(),
            qemu_args: Vec::new(),
            start_script: None,
        }
    }

    /// The keys of a test file that say something of this machine which not every backend can honour.
    fn special_keys(&self) -> Vec<&'static str> {
        let keys = [
            ("devices", !self.devices.is_empty()),
            ("binds", !self.binds.is_empty()),
            ("cpus", self.cpus.is_some()),
            ("memory", self.memory.is_some()),
            ("kernel", self.kernel.is_some()),
            ("initrd", self.initrd.is_some()),
            ("cmdline", self.cmdline.is_some()),
            ("accel", self.accel != Accel::Auto),
            ("disks", !self.disks.is_empty()),
            ("qemu-args", !self.qemu_args.is_empty()),
            ("start-script", self.start_script.is_some()),
        ];
        keys.into_iter().filter(|(_, given)| *given).map(|(key, _)| key).collect()
    }

    /// A problem for each key of this machine that is neither common to all backends nor one of `honoured`; `cure` says what to do about it.
    pub fn refuse_all_but(&self, honoured: &[&str], cure: &str) -> Vec<Problem> {
        let refused = self.special_keys().into_iter().filter(|key| !honoured.contains(key));
        let problem = |key| {
            let subject = format!("machine `{}`: key `{key}`", self.name);
            Problem::user(subject, format!("backend `{}` has no such thing", self.backend), cure)
        };
        refused.map(problem).collect()
    }
}

/// Where a machine's files come from. The source is never written to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Root {
    /// The host's own `/`, without what is mounted below it.
    Host,
    /// A directory.
    Directory(PathBuf),
    /// A tar file, compressed or not.
    Tar(PathBuf),
    /// A disk's image, told by its content.
    Image(Image),
    /// A NixOS system in a store, told by what is in its directory. It fills a root that is empty at first.
    Toplevel(Toplevel),
}

/// The image of a disk. Its file is never written to, nor are those that it is based on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Absolute path on the host.
    pub path: PathBuf,
    /// What is in the file.
    pub format: ImageFormat,
}

/// How a disk is kept in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImageFormat {
    /// Byte by byte.
    Raw,
    /// QEMU's own format, version 2 or 3.
    Qcow2,
}

/// A disk besides the root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Disk {
    /// An empty one of this many MiB, at least 1.
    Empty(u64),
    /// One that begins as an image has it.
    Image(Image),
}

/// How a VM's instructions are run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Accel {
    /// By KVM where it is real, else by emulation.
    #[default]
    Auto,
    /// By KVM or not at all.
    Kvm,
    /// By emulation.
    Tcg,
}

/// A host directory or file that a machine sees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    /// Absolute path on the host.
    pub source: PathBuf,
    /// Absolute path in the machine.
    pub target: PathBuf,
    /// Whether the machine may write to it.
    pub writable: bool,
}

/// Whether machines are registered with systemd-machined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Machined {
    /// Where there is one on the system bus.
    #[default]
    Auto,
    /// Never.
    Never,
    /// Always; a host without one is an error.
    Require,
}

/// What carries the frames of LANs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lan {
    /// Bridges of the kernel where they can be made, else switches.
    #[default]
    Auto,
    /// Bridges of the kernel or nothing.
    Bridge,
    /// Switches in user space.
    Switch,
}

/// The number of a VLAN, 1 to 255.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct VlanId(u8);

impl VlanId {
    /// The VLAN with this number, if it is one.
    pub fn new(number: u16) -> Option<Self> {
        u8::try_from(number).ok().filter(|n| *n > 0).map(Self)
    }

    /// The number.
    pub fn number(self) -> u8 {
        self.0
    }
}

impl TryFrom<u16> for VlanId {
    type Error = String;

    fn try_from(number: u16) -> Result<Self, Self::Error> {
        Self::new(number).ok_or_else(|| format!("VLAN {number} is not one of 1 to 255"))
    }
}

impl From<VlanId> for u16 {
    fn from(vlan: VlanId) -> Self {
        vlan.0.into()
    }
}

impl std::fmt::Display for VlanId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
