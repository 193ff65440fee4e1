//! Machines with start scripts.

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
