//! Sandboxes keep what every backend promises, but for this list.

use std::process::Command;
use std::sync::Arc;

use driver_core::spec::MachineSpec;
use tandem_tests::conformance::{Cannot, Power, Subject, run};
use tandem_tests::{TestResult, requirement};
use third_backend::Sandbox;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sandboxes_conform() -> TestResult {
    if !requirement::root() {
        return Ok(());
    }
    let cannot = |power, reason| Cannot { power, reason };
    let subject = Subject {
        name: "third",
        backend: Arc::new(Sandbox),
        machine: MachineSpec::new("", "sandbox"),
        cannot: vec![
            cannot(Power::Units, "no systemd"),
            cannot(Power::Terminal, "no console that takes input"),
            cannot(Power::Screen, "no screen"),
            cannot(Power::ScreenText, "no screen"),
            cannot(Power::Keyboard, "no keyboard"),
            cannot(Power::Pointer, "no pointer"),
            cannot(Power::Monitor, "no QEMU monitor"),
            cannot(Power::Qmp, "no QEMU monitor"),
        ],
    };
    run(&subject).await.passed()
}

#[test]
fn its_own_tandem_runs_a_test() -> TestResult {
    if !requirement::root() {
        return Ok(());
    }
    let output = tempdir()?;
    let hello = concat!(env!("CARGO_MANIFEST_DIR"), "/hello.py");
    let ended = Command::new(env!("CARGO_BIN_EXE_tandem-sandbox")).args(["run", hello, "-o"]).arg(&output).output()?;
    std::fs::remove_dir_all(output)?;
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    Ok(())
}

fn tempdir() -> std::io::Result<std::path::PathBuf> {
    let directory = std::env::temp_dir().join(format!("third-backend-{}", std::process::id()));
    std::fs::create_dir(&directory)?;
    Ok(directory)
}
