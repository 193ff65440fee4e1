//! What every backend promises, tested on VMs. A program of its own, so that nothing else runs beside their boots.

use std::sync::Arc;

use driver_core::spec::MachineSpec;
use tandem_tests::conformance::{Cannot, Group, Power, Subject, run_group};
use tandem_tests::{TestResult, requirement};

async fn qemu(group: Group) -> TestResult {
    if !requirement::virtual_machines() || !requirement::program("tesseract") {
        return Ok(());
    }
    let cannot = |power, reason| Cannot { power, reason };
    let subject = Subject {
        name: "qemu",
        backend: Arc::new(backend_qemu::Qemu::new()),
        machine: MachineSpec::new("", "vm"),
        // Commands come in by one shell on a console of the guest's.
        cannot: vec![
            cannot(Power::StderrApart, "its standard error is the guest's console"),
            cannot(Power::Overlap, "it has one shell"),
            cannot(Power::Profile, "its one shell has read the profile"),
        ],
    };
    run_group(&subject, group).await.passed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn machines_that_run() -> TestResult {
    qemu(Group::Running).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn machines_on_and_off() -> TestResult {
    qemu(Group::Power).await
}
