//! The Python package's own tests.

use std::path::Path;

#[test]
fn python_unit_tests() {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("python");
    let mut tests = std::process::Command::new("python3");
    tests
        .args(["-B", "-m", "unittest", "discover", "-s", "tests", "-t", "."])
        .current_dir(&python)
        .env("PYTHONPATH", &python);
    let output = tests.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
