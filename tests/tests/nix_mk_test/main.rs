//! Tests as derivations of plain Nix: what `nix/mk-test.nix` makes of them, and what builds of them do.

mod builds;
mod evaluation;
mod machines;
mod refusals;
mod wrong;

use std::io;
use std::path::Path;
use std::process::Output;

use tandem_tests::nix::NixHost;
use tandem_tests::requirement;

const TANDEM: &str = env!("CARGO_BIN_EXE_tandem-under-test");

/// What scripts begin with. `build ATTRIBUTE` builds one of `builds.nix`, `fails COMMAND...` does what `!` does not where `set -e` is on.
const PRELUDE: &str = r#"
mkdir -p /package/bin
cp "$(command -v tandem)" /package/bin/tandem
build() { nix-build --no-out-link /project/tests/tests/nix_mk_test/builds.nix --arg tandem /package -A "$@"; }
fails() { if "$@"; then echo "this should fail: $*"; exit 1; fi; }
"#;

/// Runs a script in a host whose Nix has these settings. Its output comes back if it succeeds.
fn run(host: &NixHost, settings: &str, script: &str) -> io::Result<String> {
    let output = host.run(Path::new(TANDEM), settings, &format!("{PRELUDE}\n{script}"))?;
    let said = said(&output);
    assert!(output.status.success(), "{said}");
    Ok(said)
}

/// Evaluates an attribute of one of the files of this test.
fn evaluate(host: &NixHost, file: &str, attribute: &[&str]) -> io::Result<Output> {
    let file = format!("tests/tests/nix_mk_test/{file}");
    let options = ["nix-instantiate", "--eval", "--strict", "--json", &file];
    host.nix(&[], &[&options[..], attribute].concat())
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The host's files, which need no boot for evaluation.
fn nix() -> Option<NixHost> {
    requirement::nix()
}
