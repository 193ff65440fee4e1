//! Builders: what a real Nix makes of tests on hosts that are set up for them, and on those that are not.

use std::path::Path;

use tandem_tests::nix::BUILDER;
use tandem_tests::{TestResult, requirement};

const TANDEM: &str = env!("CARGO_BIN_EXE_tandem-under-test");

#[test]
fn builder_runs_a_sandbox_with_a_range_of_users() -> TestResult {
    let Some(host) = requirement::nix_host() else { return Ok(()) };
    let script = r#"
        nix-build --no-out-link - <<'NIX'
        let distribution = builtins.storePath (builtins.getEnv "DISTRIBUTION"); in
        derivation {
          name = "range";
          system = builtins.currentSystem;
          builder = "${distribution}/usr/bin/busybox";
          args = [ "sh" "-c" "busybox() { ${distribution}/usr/bin/busybox \"$@\"; }; busybox cat /proc/self/uid_map; busybox ls -l /dev/net; : < /dev/net/tun; echo x > $out" ];
          requiredSystemFeatures = [ "uid-range" "devnet" "nixos-test" ];
        }
NIX
    "#;
    let output = host.run(Path::new(TANDEM), BUILDER, script)?;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let map = said.lines().find(|line| line.trim_end().ends_with(" 65536"));
    assert!(map.is_some_and(|line| line.trim_start().starts_with("0 ")), "{said}");
    Ok(())
}

#[test]
fn nix_evaluates_without_a_host() -> TestResult {
    let Some(host) = requirement::nix() else { return Ok(()) };
    let output = host.nix(&[], &["nix-instantiate", "--eval", "--strict", "--json", "--expr", "{ a = 1 + 1; }"])?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), r#"{"a":2}"#);
    Ok(())
}
