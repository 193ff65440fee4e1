//! One Nix has another one build what it can't build itself. docs/scale.md describes such machines.

use std::process::Output;

use tandem_tests::nix::{self, Side};
use tandem_tests::{TestResult, requirement};

use super::tandem;

/// The settings of a machine that builds no tests, but knows one that does.
const SENDER: &str = "\
experimental-features = nix-command flakes
system-features = benchmark big-parallel
sandbox = true
substituters =
builders = ssh-ng://builder@second?ssh-key=/etc/ssh/ssh_host_ed25519_key x86_64-linux - 1 1 nixos-test,uid-range,devnet,kvm
";

/// That machine: a person's name is enough for ssh, if Nix trusts it with what it sends.
const RECEIVER: &str = r#"
useradd --create-home --groups nix-users builder
install -d -o builder -m 700 ~builder/.ssh
echo "$key" >~builder/.ssh/authorized_keys
systemctl start ssh
for i in $(seq 3600); do [ ! -e /pair/done ] || break; sleep 0.1; done
journalctl --quiet --output cat --unit ssh
nix-store --query --deriver /nix/store/*-probe
"#;

/// `probe FEATURES` builds what says where it was built.
const PRELUDE: &str = r#"
for i in $(seq 600); do ! bash -c '</dev/tcp/second/22' 2>/dev/null || break; sleep 0.1; done
cp /project/tests/tests/nix_builder/probe.nix /tmp
probe() { nix-build --no-out-link /tmp/probe.nix --arg features "[ $1 ]" --argstr command 'busybox cat /machine /proc/self/uid_map >$out'; }
"#;

fn said(output: &Output) -> String {
    format!("{}\n{}{}", output.status, String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn builder_gets_from_another_machine_what_only_it_can_build() -> TestResult {
    let Some(host) = requirement::nix_host() else { return Ok(()) };
    let sender = format!("{SENDER}extra-sandbox-paths = /machine\n");
    let receiver = nix::settings(
        "extra-sandbox-paths = /dev/net /machine\nextra-system-features = uid-range devnet nixos-test kvm\n\
         trusted-users = root builder",
    );
    let script = format!(
        r#"{PRELUDE}
        cat "$(probe '"nixos-test" "uid-range" "devnet"')"
        cat "$(probe '"big-parallel"')"
        # No machine has said that it has this one.
        if probe '"gpu"'; then exit 1; fi
        echo 'the first machine alone:'
        settings <<<'system-features = benchmark'
        if probe '"uid-range"'; then exit 1; fi
        "#
    );
    let [first, second] = host.run_pair(
        tandem(),
        Side { settings: &sender, script: &script },
        Side { settings: &receiver, script: RECEIVER },
    )?;
    let all = format!("{}\n---- second:\n{}", said(&first), said(&second));
    assert!(first.status.success() && second.status.success(), "{all}");
    let first = String::from_utf8(first.stdout)?;
    let (together, alone) = first.split_once("the first machine alone:").ok_or("the script did not come so far")?;
    let lines: Vec<&str> = together.lines().map(str::trim_end).collect();
    // What each build says of itself, and with that the words of Nix around it.
    let there = lines.iter().position(|line| *line == "second").ok_or_else(|| all.clone())?;
    assert!(lines[there + 1].starts_with(' ') && lines[there + 1].ends_with(" 65536"), "{all}");
    assert!(lines.contains(&"first"), "{all}");
    assert!(together.contains("on 'ssh-ng://builder@second?"), "{all}");
    assert!(together.contains("required (system, features): (x86_64-linux, [gpu])"), "{all}");
    assert!(together.contains("([x86_64-linux], 1, [devnet, kvm, nixos-test, uid-range], [])"), "{all}");
    assert!(alone.contains("with features {uid-range} is required to build"), "{all}");
    // That the other one has built it stands in its own store, too.
    assert!(String::from_utf8_lossy(&second.stdout).contains("-probe.drv"), "{all}");
    Ok(())
}
