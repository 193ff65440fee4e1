//! Containers as a subject.

use std::sync::Arc;

use backend_nspawn::Nspawn;
use driver_core::spec::{MachineSpec, Root};

use super::{Cannot, Power, Subject};

/// Containers with this root. What they cannot do is what is listed, and nothing else.
pub fn containers(root: Root) -> Subject {
    let cannot = |power, reason| Cannot { power, reason };
    Subject {
        name: "nspawn",
        backend: Arc::new(Nspawn::new()),
        machine: MachineSpec { root, ..MachineSpec::new("", "container") },
        cannot: vec![
            cannot(Power::Keyboard, "no keyboard"),
            cannot(Power::Pointer, "no pointer"),
            cannot(Power::Screen, "no screen"),
            cannot(Power::ScreenText, "no screen"),
            cannot(Power::Qmp, "no QEMU monitor"),
            cannot(Power::Monitor, "no QEMU monitor"),
        ],
    }
}
