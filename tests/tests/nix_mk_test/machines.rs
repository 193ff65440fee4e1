//! Tests with machines as builds.

use tandem_tests::nix::BUILDER;
use tandem_tests::{TestResult, host_lock, requirement};

use crate::run;

#[test]
fn containers_are_built() -> TestResult {
    let Some(host) = requirement::nix_host() else { return Ok(()) };
    let _lock = host_lock::shared()?;
    let script = r#"
        out=$(build two-containers)
        [ "$(cd "$out"; find . -type f)" = ./from/hostname ]
        [ "$(cat "$out/from/hostname")" = client ]
        nix-build --no-out-link /project/examples/nix --arg tandem /package --argstr distribution "$DISTRIBUTION"
    "#;
    run(&host, BUILDER, script)?;
    Ok(())
}

#[test]
fn vms_are_built_on_builders_without_ranges() -> TestResult {
    let Some(host) = requirement::nix_host() else { return Ok(()) };
    let _lock = host_lock::shared()?;
    let script = r#"
        out=$(build one-vm)
        [ "$(cat "$out/hostname")" = vm ]
        [ -s "$out/seen.png" ]
    "#;
    run(&host, "experimental-features = nix-command\nsandbox = true\nsubstituters =\n", script)?;
    Ok(())
}

#[test]
fn containers_and_vms_share_lans_with_devnet() -> TestResult {
    let Some(host) = requirement::nix_host() else { return Ok(()) };
    let _lock = host_lock::shared()?;
    run(&host, BUILDER, "build lan-with-devnet")?;
    Ok(())
}

#[test]
fn containers_and_vms_share_lans_without_devnet() -> TestResult {
    let Some(host) = requirement::nix_host() else { return Ok(()) };
    let _lock = host_lock::shared()?;
    let settings = BUILDER.replace("extra-sandbox-paths = /dev/net\n", "").replace(" devnet", "");
    run(&host, &settings, "build lan-without-devnet")?;
    Ok(())
}

#[test]
fn reports_hold_the_logs_of_machines() -> TestResult {
    let Some(host) = requirement::nix_host() else { return Ok(()) };
    let _lock = host_lock::shared()?;
    let script = r#"
        report=$(build failing-machine.report)
        find "$report" -type f
        [ "$(cat "$report/status")" = 1 ]
        grep -F 'Multi-User System' "$report/web/console.log"
        grep -F 'in the journal' "$report/web/journal.jsonl"
        grep -F 'missing.service' "$report/terminal.log" "$report/events.jsonl"
        [ "$(cat "$report/copied/hostname")" = web ]
        [ -s "$report/lan.pcapng" ]
        fails build failing-machine.checked
        fails build failing-machine
    "#;
    run(&host, BUILDER, script)?;
    Ok(())
}
