//! Builders that are not set up for a test, and what is said of it: by Nix where it refuses, else by the build, before anything boots.

use tandem_tests::nix::BUILDER;
use tandem_tests::{TestResult, requirement};

use crate::run;

/// Builds an attribute, which must fail and say this.
fn refuses(attribute: &str, expected: &str) -> String {
    format!(
        "echo '--- {attribute}'\nif build {attribute} >/root/log 2>&1; then cat /root/log; echo 'it was built'; exit 1; fi\ncat /root/log\n\
         grep -qF -- '{expected}' /root/log || {{ echo 'it does not say: {expected}'; exit 1; }}\n"
    )
}

/// The daemon reads its settings when it starts. This is not the only start in a short time.
const RESTART: &str =
    "systemctl reset-failed nix-daemon.socket nix-daemon.service; systemctl restart nix-daemon.service";

const LINES: [&str; 3] = [
    "auto-allocate-uids = true",
    "experimental-features = nix-command flakes auto-allocate-uids cgroups",
    "extra-system-features = uid-range",
];

#[test]
fn nix_refuses_builders_without_a_feature() -> TestResult {
    let Some(host) = requirement::nix_host() else { return Ok(()) };
    let has = |features: &str| {
        format!(
            "sed -i '/system-features/d' /etc/nix/nix.conf; echo 'system-features = {features}' >> /etc/nix/nix.conf\n{RESTART}\n"
        )
    };
    let script = refuses("special", "with features {cuda, nixos-test} is required to build")
        + &has("nixos-test")
        + &refuses("containers", "with features {nixos-test, uid-range} is required to build")
        + &has("nixos-test uid-range")
        + &refuses("mixed", "with features {devnet, nixos-test, uid-range} is required to build")
        + &refuses("vm", "with features {kvm, nixos-test} is required to build");
    run(&host, BUILDER, &script)?;
    Ok(())
}

#[test]
fn nix_refuses_builders_that_cannot_have_ranges() -> TestResult {
    let Some(host) = requirement::nix_host() else { return Ok(()) };
    let cases = [
        (
            "auto-allocate-uids = true",
            "",
            "feature 'uid-range' requires the setting 'auto-allocate-uids' to be enabled",
        ),
        (
            " auto-allocate-uids cgroups",
            "",
            "feature 'uid-range' requires the setting 'auto-allocate-uids' to be enabled",
        ),
        (" cgroups", "", "experimental Nix feature 'cgroups' is disabled"),
        ("sandbox = true", "sandbox = false", "feature 'uid-range' is only supported in sandboxed builds"),
    ];
    let script = cases.map(|(from, to, expected)| {
        let settings = BUILDER.replace(from, to);
        let refused = refuses("containers", &expected.replace('\'', r"'\''"));
        format!("cat > /etc/nix/nix.conf <<'END'\n{settings}END\n{RESTART}\n{refused}")
    });
    let script = script.concat();
    run(&host, BUILDER, &script)?;
    Ok(())
}

#[test]
fn builds_refuse_containers_without_a_range() -> TestResult {
    let Some(host) = requirement::nix_host() else { return Ok(()) };
    let said = run(
        &host,
        BUILDER,
        &refuses("without-range", "containers (db web) need a range of user ids, and this build has one"),
    )?;
    for line in
        ["`uid-range = false`", "sandbox = true", "sudo systemctl restart nix-daemon.service"].iter().chain(&LINES)
    {
        assert!(said.contains(line), "{line}: {said}");
    }
    Ok(())
}

#[test]
fn builds_refuse_containers_outside_of_sandboxes() -> TestResult {
    let Some(host) = requirement::nix_host() else { return Ok(()) };
    let unsafe_settings =
        BUILDER.replace("sandbox = true", "sandbox = false").replace("auto-allocate-uids = true\n", "");
    let refused = refuses(
        "without-range",
        "this build is in no sandbox, and its containers (db web) would be root on this machine",
    );
    let covering = refuses("passing", "would cover this machine");
    // By the daemon as one of its users, then by root alone, as root.
    let single_user = "systemctl stop nix-daemon.socket nix-daemon.service\nexport NIX_REMOTE=local\n\
        echo 'build-users-group =' >> /etc/nix/nix.conf\n";
    let said = run(&host, &unsafe_settings, &format!("{refused}{covering}{single_user}{refused}{covering}"))?;
    for line in ["sandbox = true"].iter().chain(&LINES) {
        assert!(said.contains(line), "{line}: {said}");
    }
    Ok(())
}

#[test]
fn builds_refuse_a_device_that_they_cannot_open() -> TestResult {
    let Some(host) = requirement::nix_host() else { return Ok(()) };
    let refused = refuses("mixed", "a build cannot open /dev/net/tun. Run `chmod 666 /dev/net/tun`");
    let script = format!(
        "chmod 600 /dev/net/tun\n{refused}chmod 666 /dev/net/tun\n\
         sed -i '/extra-sandbox-paths/d' /etc/nix/nix.conf; {RESTART}\n{refused}"
    );
    let said = run(&host, BUILDER, &script)?;
    for line in
        ["`requiredFeatures.devnet = false`", "extra-sandbox-paths = /dev/net", "extra-system-features = devnet"]
    {
        assert!(said.contains(line), "{line}: {said}");
    }
    Ok(())
}

#[test]
fn drivers_refuse_roots_that_are_no_systems() -> TestResult {
    let Some(host) = requirement::nix_host() else { return Ok(()) };
    let script = refuses("no-system", "is no system: none of") + &refuses("no-system.report", "is no system: none of");
    let said = run(&host, BUILDER, &script)?;
    assert!(said.contains("failed with exit code 2") && !said.contains("web: starting"), "{said}");
    Ok(())
}
