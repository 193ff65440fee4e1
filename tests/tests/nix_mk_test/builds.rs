//! What builds of tests keep, whatever the verdict.

use tandem_tests::nix::BUILDER;
use tandem_tests::{TestResult, requirement};

use crate::run;

#[test]
fn tests_are_builds_that_keep_what_their_scripts_put_out() -> TestResult {
    let Some(host) = requirement::nix_host() else { return Ok(()) };
    let script = r#"
        set -x
        out=$(build passing)
        [ "$(cd "$out"; find . | sort | xargs)" = ". ./directory ./directory/link ./kept" ]
        [ "$(cat "$out/directory/link")" = kept ]
        # The same again: what such a build keeps does not tell one run from another.
        build passing --check
        fails build failing 2> /root/log
        cat /root/log
        grep -F 'Exception: this is why' /root/log
        grep -F 'the attribute `report` of this test is a build that has its record' /root/log
        fails build failing --keep-failed 2> /root/log
        kept=$(sed -n "s/.*keeping build directory '\(.*\)'.*/\1/p" /root/log)
        find "$kept" -name events.jsonl | grep .
    "#;
    let said = run(&host, BUILDER, script)?;
    assert!(said.contains("left out, for the store cannot hold it: /build/record/fifo"), "{said}");
    Ok(())
}

#[test]
fn reports_hold_everything_whatever_the_verdict() -> TestResult {
    let Some(host) = requirement::nix_host() else { return Ok(()) };
    let script = r#"
        set -x
        report=$(build failing.report)
        ls -lR "$report"
        [ "$(cat "$report/status")" = 1 ]
        [ "$(cat "$report/status.of-script")" = 'of the script' ]
        [ "$(cat "$report/directory/link")" = kept ]
        grep -F 'this is why' "$report/events.jsonl"
        grep -F 'Exception: this is why' "$report/terminal.log"
        # The verdict is had of any builder, and says where the record is.
        fails build failing.checked --option system-features '' 2> /root/log
        cat /root/log
        grep -F 'Exception: this is why' /root/log
        grep -F "the test did not pass: status 1; its record is in $report" /root/log

        report=$(build passing.report)
        [ "$(cat "$report/status")" = 0 ]
        checked=$(build passing.checked)
        [ "$(readlink "$checked")" = "$report" ]

        # It is built once, unless it is told to be built again, or has another seed.
        fails build passing.report --check 2> /root/log
        cat /root/log
        grep -F 'may not be deterministic' /root/log
        nix-store --delete "$checked" "$report"
        [ "$(build passing.report)" = "$report" ]
        build passing.report 2> /root/log
        fails grep building /root/log

        [ "$(cat "$(build timeout.report)/status")" = 143 ]
    "#;
    run(&host, BUILDER, script)?;
    Ok(())
}

#[test]
fn there_is_no_report_of_what_did_not_begin() -> TestResult {
    let Some(host) = requirement::nix_host() else { return Ok(()) };
    let script = r#"
        for attribute in refused refused.report; do
            fails build "$attribute" 2> /root/log
            cat /root/log
            grep -F 'failed with exit code 2' /root/log
        done
        fails build undriven.report 2> /root/log
        cat /root/log
        grep -F 'failed with exit code 127' /root/log
    "#;
    let said = run(&host, BUILDER, script)?;
    assert!(said.contains("invalid syntax") && said.contains("tandem: not found"), "{said}");
    Ok(())
}

#[test]
fn distributions_are_seen_with_a_range_of_ids_and_without() -> TestResult {
    let Some(host) = requirement::nix_host() else { return Ok(()) };
    run(&host, BUILDER, "build range; build single; build programs")?;
    // Where a sandbox has a /bin/sh already.
    let settings = format!("{BUILDER}sandbox-paths = /bin/sh=/bin/sh /lib64 /lib /usr/lib\n");
    run(&host, &settings, "build range; build single")?;
    Ok(())
}

#[test]
fn drivers_run_outside_of_nix() -> TestResult {
    let Some(host) = requirement::nix_host() else { return Ok(()) };
    // A host outside of Nix with the distribution's programs, which are in a mount namespace of the script's.
    let script = r#"
        driver=$(build passing.driver)
        interactive=$(build passing.driverInteractive)
        cat > /root/outside <<'END'
            set -eux
            mount --bind "$DISTRIBUTION/usr" /usr
            "$1/bin/tandem-test" --no-color -o out
            [ "$(cat out/kept)" = kept ]
            [ -s out/events.jsonl ]
            /package/bin/tandem check "$1/test.json"
            echo 'print("at the prompt", 1 + 1)' | "$2/bin/tandem-test" --no-color -o other > /root/log
            cat /root/log
            grep -F 'at the prompt 2' /root/log
END
        unshare --mount bash /root/outside "$driver" "$interactive"
    "#;
    run(&host, BUILDER, script)?;
    Ok(())
}
