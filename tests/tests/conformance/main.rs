//! What every backend promises, tested on the fake and on containers. VMs have a program of their own, `qemu_conformance`.

use std::sync::Arc;

use driver_core::fake::{FakeBackend, Reply};
use driver_core::spec::{MachineSpec, Root};
use tandem_tests::conformance::{Cannot, Group, ONE, Power, Subject, TWO, containers, run_group};
use tandem_tests::{TestResult, requirement};
use tempfile::TempDir;

/// Fakes whose commands are run by the host's bash, each in a directory of its own.
async fn fake(group: Group) -> TestResult {
    if !requirement::root() {
        return Ok(());
    }
    let directory = TempDir::new()?;
    let backend = FakeBackend::new();
    for name in [ONE, TWO] {
        let files = directory.path().join(name);
        std::fs::create_dir(&files)?;
        let machine = backend.machine(name);
        machine.reply("", Reply::host(files));
        // The host's own systemd is nobody's to ask.
        machine.reply("systemctl", Reply::fail(1, "there is no systemd"));
        machine.reply("/run/systemd/system", Reply::fail(1, ""));
    }
    let cannot = |power, reason| Cannot { power, reason };
    let subject = Subject {
        name: "fake",
        backend: Arc::new(backend),
        machine: MachineSpec::new("", "fake"),
        cannot: vec![
            cannot(Power::Files, "its files are the host's"),
            cannot(Power::Units, "no systemd"),
            cannot(Power::Console, "its console says what the test's script has it say"),
            cannot(Power::Terminal, "no console that takes input"),
            cannot(Power::Lan, "its network is the host's"),
            cannot(Power::Screen, "no screen"),
            cannot(Power::ScreenText, "no screen"),
            cannot(Power::Keyboard, "no keyboard"),
            cannot(Power::Pointer, "no pointer"),
            cannot(Power::Monitor, "no QEMU monitor"),
            cannot(Power::Qmp, "no QEMU monitor"),
        ],
    };
    run_group(&subject, group).await.passed()
}

async fn nspawn(group: Group) -> TestResult {
    if !requirement::containers() {
        return Ok(());
    }
    run_group(&containers(Root::Host), group).await.passed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fake_machines_that_run() -> TestResult {
    fake(Group::Running).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fake_machines_on_and_off() -> TestResult {
    fake(Group::Power).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nspawn_machines_that_run() -> TestResult {
    nspawn(Group::Running).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nspawn_machines_on_and_off() -> TestResult {
    nspawn(Group::Power).await
}
