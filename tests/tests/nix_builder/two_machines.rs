//! One Nix has another one build what it can't build itself, by the lines of docs/scale.md.

use std::process::Output;

use tandem_tests::nix::{self, Side};
use tandem_tests::{TestResult, requirement};

use super::tandem;

const DOCUMENT: &str = include_str!("../../../docs/scale.md");

/// The machine that sends: it has no features for tests.
const SENDER: &str = "\
experimental-features = nix-command flakes
system-features = benchmark big-parallel
sandbox = true
extra-sandbox-paths = /machine
substituters =
";

/// The machine that builds. The features that are named of it and that it has not are `kvm`, and `strange`, of which that machine knows by
/// an account that Nix does not trust there.
const RECEIVER: &str = r#"
for name in nix-builder stranger; do
    useradd --create-home --groups nix-users $name
    install -d -o $name -m 700 /home/$name/.ssh
    echo "$key" >/home/$name/.ssh/authorized_keys
done
systemctl start ssh
for i in $(seq 3600); do [ ! -e /pair/done ] || break; sleep 0.1; done
journalctl --quiet --output cat --unit ssh
nix-store --query --deriver /nix/store/*-probe
"#;

/// `probe FEATURES [ARGUMENT...]` builds what says where it was built, `refused FEATURES [ARGUMENT...]` is that which must not be built.
const PRELUDE: &str = r#"
for i in $(seq 600); do ! bash -c '</dev/tcp/second/22' 2>/dev/null || break; sleep 0.1; done
cp /project/tests/tests/nix_builder/probe.nix /tmp
probe() {
    nix-build --no-out-link /tmp/probe.nix --arg features "[ $1 ]" --argstr command 'busybox cat /machine /proc/self/uid_map >$out' "${@:2}"
}
refused() { if probe "$@"; then exit 1; fi; }
"#;

const SCRIPT: &str = r#"
nix store info --store 'ssh-ng://nix-builder@second?ssh-key=/etc/ssh/ssh_host_ed25519_key'
cat "$(probe '"nixos-test" "uid-range" "devnet"')"
cat "$(probe '"big-parallel"')"
echo '--- once more'
refused '"nixos-test" "uid-range" "devnet"' --check
echo '--- a feature of nobody'
refused '"gpu"'
echo '--- a feature that the other machine has by hearsay'
refused '"kvm"'
echo '--- an account that is not trusted'
refused '"strange"' --arg inputs '[ (import /tmp/probe.nix { features = [ "big-parallel" ]; command = "echo >$out"; }) ]'
echo '--- a test with both kinds of machines'
mkdir -p /package/bin
cp /tandem/tandem /package/bin
mixed=$(nix-build --no-out-link /project/tests/tests/nix_builder/mixed.nix --arg tandem /package)
cat "$mixed/machine"
echo '--- this machine alone'
settings <<<'system-features = benchmark
builders ='
refused '"uid-range"'
"#;

fn said(output: &Output) -> String {
    format!("{}\n{}{}", output.status, String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn builder_gets_from_another_machine_what_only_it_can_build() -> TestResult {
    let Some(host) = requirement::nix_host() else { return Ok(()) };
    let documented = |start: &str| DOCUMENT.lines().map(str::trim).find(|line| line.starts_with(start));
    let machine = documented("ssh-ng://").ok_or("no line for /etc/nix/machines")?;
    let system = format!("{}-linux", std::env::consts::ARCH);
    let machine = machine.replace("x86_64-linux", &system);
    let machine =
        machine.replace("big.example.org", "second").replace("/root/.ssh/nix-builder", "/etc/ssh/ssh_host_ed25519_key");
    let trusted = documented("trusted-users = ").ok_or("no trusted account")?;
    let receiver = nix::settings(&format!(
        "extra-sandbox-paths = /dev/net /machine\nextra-system-features = uid-range devnet nixos-test strange\n{trusted}"
    ));
    let stranger = machine.replace("nix-builder@", "stranger@").replace("nixos-test,uid-range,devnet,kvm", "strange");
    let script = format!("{PRELUDE}cat >/etc/nix/machines <<'LINES'\n{machine}\n{stranger}\nLINES\n{SCRIPT}");
    let [first, second] = host.run_pair(
        tandem(),
        Side { settings: SENDER, script: &script },
        Side { settings: &receiver, script: RECEIVER },
    )?;
    let all = format!("{}\n---- second:\n{}", said(&first), said(&second));
    assert!(first.status.success() && second.status.success(), "{all}");
    let first = String::from_utf8(first.stdout)?;
    let parts: Vec<&str> = first.split("\n--- ").collect();
    let [builds, again, nobody, hearsay, untrusted, mixed, alone] = parts[..] else { return Err(all.into()) };
    // What each build says of itself, and around that the words of Nix.
    let lines: Vec<&str> = builds.lines().map(str::trim_end).collect();
    let there = lines.iter().position(|line| *line == "second").ok_or_else(|| all.clone())?;
    assert!(lines[there + 1].starts_with(' ') && lines[there + 1].ends_with(" 65536"), "{all}");
    assert!(lines.contains(&"first"), "{all}");
    assert!(builds.contains("on 'ssh-ng://nix-builder@second"), "{all}");
    assert!(again.contains("with features {devnet, nixos-test, uid-range} is required to build"), "{all}");
    assert!(nobody.contains(&format!("required (system, features): ({system}, [gpu])")), "{all}");
    assert!(nobody.contains(&format!("([{system}], 4, [devnet, kvm, nixos-test, uid-range], [])")), "{all}");
    assert!(hearsay.contains("with features {kvm} is required to build"), "{all}");
    assert!(untrusted.contains("lacks a signature by a trusted key"), "{all}");
    assert!(mixed.contains("vm-test-run-mixed.drv' on 'ssh-ng://nix-builder@second'"), "{all}");
    assert_eq!(mixed.lines().last(), Some("second"), "{all}");
    assert!(alone.contains("with features {uid-range} is required to build"), "{all}");
    // That the other one has built it stands in its own store, too.
    assert!(String::from_utf8_lossy(&second.stdout).contains("-probe.drv"), "{all}");
    Ok(())
}
