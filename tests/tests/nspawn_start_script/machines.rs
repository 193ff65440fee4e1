//! Machines with start scripts.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use driver_core::spec::{MachineSpec, VlanId};
use tandem_tests::TestResult;
use tandem_tests::upstream::Container;
use tempfile::TempDir;

/// A directory with start scripts.
pub(crate) struct Scripts(TempDir);

impl Scripts {
    pub(crate) fn make() -> TestResult<Self> {
        Ok(Self(tempfile::Builder::new().prefix("tandem-test-").tempdir()?))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a program.
    pub(crate) fn executable(path: &Path, text: &str) -> io::Result<()> {
        fs::write(path, text)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))
    }

    /// A machine that boots a container.
    pub(crate) fn machine(&self, name: &str, node: u8, vlans: &[u8]) -> TestResult<MachineSpec> {
        self.boots(&Container::new(name, node, vlans))
    }

    /// The same of a container that there is more to say about.
    pub(crate) fn boots(&self, container: &Container) -> TestResult<MachineSpec> {
        let vlans = container.interfaces.iter().map(|interface| VlanId::new(interface.vlan.into()).ok_or("no VLAN"));
        Ok(MachineSpec {
            start_script: Some(container.write(self.path())?),
            vlans: vlans.collect::<Result<_, _>>()?,
            ..MachineSpec::new(&*container.name, "container")
        })
    }
}

/// Whether a process runs that has this word among its arguments.
pub(crate) fn runs(word: &str) -> io::Result<bool> {
    for entry in fs::read_dir("/proc")? {
        let arguments = fs::read(entry?.path().join("cmdline")).unwrap_or_default();
        if arguments.split(|byte| *byte == 0).any(|argument| argument == word.as_bytes()) {
            return Ok(true);
        }
    }
    Ok(false)
}
