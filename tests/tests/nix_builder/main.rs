//! Builders: what a real Nix makes of tests on hosts that are set up for them, and on those that are not.

mod cases;
mod refusals;
mod two_machines;

use std::path::Path;

use tandem_tests::{TestResult, requirement};

/// The program under test.
fn tandem() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_tandem-under-test"))
}

#[test]
fn nix_evaluates_without_a_host() -> TestResult {
    let Some(host) = requirement::nix() else { return Ok(()) };
    let output = host.nix(&[], &["nix-instantiate", "--eval", "--strict", "--json", "--expr", "{ a = 1 + 1; }"])?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), r#"{"a":2}"#);
    Ok(())
}
