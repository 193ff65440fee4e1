//! What the user asked for: test files, checked as a whole.

mod problem;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use problem::{Problem, Whose, list};

/// A whole test: its script and its machines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TestSpec {
    /// The test's name, by default that of its file.
    pub name: String,
    /// The Python script.
    pub script: PathBuf,
    /// How long the whole run may take.
    pub global_timeout: Duration,
    /// How long each boot may take.
    pub boot_timeout: Duration,
    /// Whether machines are registered with systemd-machined.
    pub machined: Machined,
    /// The machines, sorted by name.
    pub machines: Vec<MachineSpec>,
}

/// One machine of a test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MachineSpec {
    /// Its name, which is a host name.
    pub name: String,
    /// The backend that makes it.
    pub backend: String,
    /// Where its files come from.
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
