//! What Nix refuses by itself, and what it does not.

use tandem_tests::{TestResult, requirement};

use super::cases::{self, CASE, Case};

/// `probe FEATURES COMMAND` builds; `alone` is a person with a Nix of their own, which has no daemon.
const PRELUDE: &str = r#"
cp /project/tests/tests/nix_builder/probe.nix /tmp
probe() { nix-build --no-out-link /tmp/probe.nix --arg features "[ $1 ]" --argstr id "$CASE" --argstr command "$2; echo >\$out"; }
export -f probe
useradd --create-home user
alone() {
    systemctl stop nix-daemon.socket nix-daemon.service
    chown -R user /nix/var && chown user /nix /nix/store
    status=0
    NIX_REMOTE= HOME=/home/user setpriv --reuid user --regid user --clear-groups bash -c "$1" || status=$?
    chown -R root /nix/var && chown root /nix /nix/store
    return $status
}"#;

const CASES: &[Case] = &[
    Case {
        name: "a builder that is set up",
        script: r#"probe '"uid-range" "devnet" "nixos-test"' 'busybox cat /proc/self/uid_map; busybox id; : <>/dev/net/tun; echo open'"#,
        succeeds: true,
        says: &[" 65536\n", "uid=0(root)", "\nopen\n"],
        ..CASE
    },
    Case {
        name: "no daemon, but root",
        script: r#"NIX_REMOTE=local probe '"uid-range"' 'busybox cat /proc/self/uid_map'"#,
        succeeds: true,
        says: &[" 65536\n"],
        ..CASE
    },
    Case {
        name: "no feature uid-range",
        settings: "system-features = nixos-test",
        script: r#"probe '"uid-range"' id"#,
        says: &["with features {uid-range} is required to build", "with features {nixos-test}"],
        ..CASE
    },
    Case {
        name: "no feature devnet",
        settings: "extra-system-features = uid-range",
        script: r#"probe '"devnet" "uid-range"' id"#,
        says: &["with features {devnet, uid-range} is required to build"],
        ..CASE
    },
    Case {
        name: "no feature kvm",
        script: r#"probe '"kvm" "nixos-test"' id"#,
        says: &["with features {kvm, nixos-test} is required to build"],
        ..CASE
    },
    Case {
        name: "no auto-allocate-uids",
        settings: "auto-allocate-uids = false",
        script: r#"probe '"uid-range"' id"#,
        says: &["feature 'uid-range' requires the setting 'auto-allocate-uids' to be enabled"],
        ..CASE
    },
    Case {
        name: "auto-allocate-uids, but no such experimental feature",
        settings: "experimental-features = nix-command flakes cgroups",
        script: r#"probe '"uid-range"' id"#,
        says: &[
            "Ignoring setting 'auto-allocate-uids' because experimental feature 'auto-allocate-uids' is not enabled",
            "feature 'uid-range' requires the setting 'auto-allocate-uids' to be enabled",
        ],
        ..CASE
    },
    Case {
        name: "no experimental feature cgroups",
        settings: "experimental-features = nix-command flakes auto-allocate-uids",
        script: r#"probe '"uid-range"' id"#,
        says: &["experimental Nix feature 'cgroups' is disabled"],
        ..CASE
    },
    Case {
        name: "no sandbox",
        settings: "sandbox = false",
        script: r#"probe '"uid-range"' id"#,
        says: &["feature 'uid-range' is only supported in sandboxed builds"],
        ..CASE
    },
    // The setting is there; what is not is root.
    Case {
        name: "no daemon and no root",
        script: r#"alone "probe '\"uid-range\"' id""#,
        says: &["feature 'uid-range' requires the setting 'auto-allocate-uids' to be enabled"],
        ..CASE
    },
    // From here on Nix lets the build run, and it is for what runs in it to notice.
    Case {
        name: "no daemon, no root, no containers",
        script: r#"alone "probe '\"nixos-test\"' 'busybox cat /proc/self/uid_map'""#,
        succeeds: true,
        says: &["1000          1\n"],
        ..CASE
    },
    Case {
        name: "no sandbox, no containers",
        settings: "sandbox = false",
        script: r#"probe '"nixos-test"' '[ -e /nix/var/nix/db ]; busybox cat /proc/self/uid_map'"#,
        succeeds: true,
        says: &[" 4294967295\n"],
    },
    Case {
        name: "devnet, but no /dev/net",
        settings: "extra-sandbox-paths =",
        script: r#"probe '"uid-range" "devnet"' '[ ! -e /dev/net ]'"#,
        succeeds: true,
        ..CASE
    },
    Case {
        name: "devnet, but a device that only root can open",
        script: r#"chmod 600 /dev/net/tun; trap 'chmod 666 /dev/net/tun' EXIT; probe '"uid-range" "devnet"' ': <>/dev/net/tun'"#,
        says: &["/dev/net/tun: Permission denied"],
        ..CASE
    },
];

#[test]
fn builder_that_is_not_set_up_refuses() -> TestResult {
    let Some(host) = requirement::nix_host() else { return Ok(()) };
    let problems = cases::run(&host, PRELUDE, CASES)?;
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    Ok(())
}
