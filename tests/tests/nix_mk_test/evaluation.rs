//! What tests become.

use std::process::Command;

use driver_core::network;
use driver_core::spec::{MachineSpec, VlanId};
use serde_json::{Value, json};
use tandem_tests::TestResult;

use crate::{TANDEM, evaluate, nix, said};

fn value(file: &str) -> TestResult<Option<(Value, String)>> {
    let Some(host) = nix() else { return Ok(None) };
    let output = evaluate(&host, file, &[])?;
    assert!(output.status.success(), "{}", said(&output));
    let distribution = host.store.distribution.display().to_string();
    Ok(Some((serde_json::from_slice(&output.stdout)?, distribution)))
}

#[test]
fn features_follow_from_machines() -> TestResult {
    let Some((features, _)) = value("features.nix")? else { return Ok(()) };
    let expected = json!({
        "none": ["nixos-test"],
        "containers": ["nixos-test", "uid-range"],
        "nodes": ["kvm", "nixos-test"],
        "both": ["devnet", "kvm", "nixos-test", "uid-range"],
        "emulated": ["nixos-test"],
        "emulated-in-part": ["kvm", "nixos-test"],
        "both-emulated": ["devnet", "nixos-test", "uid-range"],
        "without-kvm": ["nixos-test"],
        "without-devnet": ["kvm", "nixos-test", "uid-range"],
        "without-range": ["nixos-test"],
        "more": ["cuda", "nixos-test", "uid-range"],
        "without-any": [],
        "the report of both": ["devnet", "kvm", "nixos-test", "uid-range"],
        "all else of both": [[], [], []],
    });
    assert_eq!(features, expected);
    Ok(())
}

#[test]
fn all_keys_get_to_the_test_file() -> TestResult {
    let Some((all, distribution)) = value("config.nix")? else { return Ok(()) };
    let package = all["package"].as_str().ok_or("no package")?;
    let config = &all["config"];
    // A path without quotes is copied to the store.
    let copied = config["machines"]["db"]["disks"][3].as_str().ok_or("no disk")?;
    assert!(copied.starts_with("/nix/store/") && copied.ends_with("-config.nix"), "{copied}");
    let expected = json!({
        "name": "all",
        "script": "test-script.py",
        "global-timeout": "10m",
        "boot-timeout": 90.5,
        "lan": "switch",
        "machined": "never",
        "ssh-backdoor": true,
        "machines": {
            "cache": {
                "backend": "container",
                "root": distribution,
                "vlans": [3, 1],
                "units": ["nginx.service"],
                "env": {"A": "text", "B": package},
                "devices": ["/dev/fuse"],
                "binds": ["/srv/data:/data:rw"],
            },
            "scripted": {"backend": "container", "start-script": format!("{package}/bin/run-scripted-nspawn")},
            "db": {
                "backend": "vm",
                "root": package,
                "vlans": [],
                "cpus": 2,
                "memory": "1G",
                "disks": [512, "10G", format!("{distribution}/disk.img"), copied],
                "kernel": format!("{distribution}/vmlinuz"),
                "initrd": package,
                "cmdline": "quiet",
                "accel": "tcg",
                "qemu-args": ["-device", "virtio-balloon"],
            },
        },
    });
    assert_eq!(config, &expected);
    let context = all["context"].as_array().ok_or("no context")?;
    let brings = |name: &str| context.iter().filter_map(Value::as_str).any(|path| path.ends_with(name));
    assert!(context.contains(&json!(distribution)) && context.contains(&json!(copied)), "{context:?}");
    assert!(brings("-package.drv") && context.len() == 3, "{context:?}");
    assert_eq!((&all["extra"], &all["description"]), (&json!(1), &json!("a test")));
    assert_eq!(all["commands"], json!(["run --log-level debug", "repl --log-level debug"]));
    let names = [
        "vm-test-run-all",
        "vm-test-run-all",
        "vm-test-run-all-report",
        "vm-test-run-all-checked",
        "tandem-test-driver-all",
        "tandem-test-driver-all-interactive",
    ];
    assert_eq!(all["names"], json!(names));
    let seeds = &all["seeds"];
    assert!(seeds[0] == seeds[1] && seeds[1] != seeds[2], "{seeds}");
    Ok(())
}

#[test]
fn scripts_are_texts_files_and_functions() -> TestResult {
    let Some((all, _)) = value("config.nix")? else { return Ok(()) };
    let expected = [
        "one()",
        "print(\"from a file\")\n",
        "nodes: c",
        "a b, of a b c",
        "containers machines nodes",
        "1",
        "192.168.1.3 2001:db8:1::3 c",
    ];
    assert_eq!(all["scripts"], json!(expected));
    Ok(())
}

#[test]
fn functions_see_the_addresses_that_machines_get() -> TestResult {
    let Some((all, _)) = value("config.nix")? else { return Ok(()) };
    let vlans = |numbers: &[u16]| numbers.iter().filter_map(|number| VlanId::new(*number)).collect();
    let machine =
        |name: &str, backend, numbers: &[u16]| MachineSpec { vlans: vlans(numbers), ..MachineSpec::new(name, backend) };
    let mut machines: Vec<_> =
        (0..12).map(|number| machine(&format!("m{number}"), "container", &[number + 1, 255])).collect();
    machines.extend([machine("B", "vm", &[1]), machine("z", "vm", &[])]);
    let plan = network::plan(&machines)?;
    machines.sort_by(|one, other| one.name.cmp(&other.name));
    let mut expected = serde_json::Map::new();
    for (number, machine) in (1..).zip(&machines) {
        let interfaces: Vec<_> = plan
            .attachments(&machine.name)
            .iter()
            .map(|at| json!({"name": at.interface, "vlan": at.vlan.number(), "ipv4": at.ipv4, "ipv6": ipv6(at.vlan, number)}))
            .collect();
        let entry = json!({"number": number, "backend": machine.backend, "interfaces": interfaces});
        expected.insert(machine.name.clone(), entry);
    }
    assert_eq!(all["machines"], Value::Object(expected));
    // The addresses are the same, however they are written.
    for (name, machine) in all["machines"].as_object().into_iter().flatten() {
        for (interface, attachment) in
            machine["interfaces"].as_array().into_iter().flatten().zip(plan.attachments(name))
        {
            assert_eq!(interface["ipv6"].as_str().ok_or("no text")?.parse(), Ok(attachment.ipv6));
        }
    }
    Ok(())
}

fn ipv6(vlan: VlanId, number: u32) -> String {
    format!("2001:db8:{}::{number}", vlan.number())
}

/// The keys that `tandem` says it knows where it is given another one.
fn keys_of_tandem(machine: &str) -> TestResult<Vec<String>> {
    let directory = tempfile::tempdir()?;
    let (script, test) = (directory.path().join("t.py"), directory.path().join("t.json"));
    std::fs::write(script, "pass\n")?;
    std::fs::write(&test, format!(r#"{{"script": "t.py", {machine}}}"#))?;
    let output = Command::new(TANDEM).arg("check").arg(&test).output()?;
    let said = said(&output);
    let (_, keys) = said.split_once("the keys here are ").ok_or_else(|| said.clone())?;
    let mut keys: Vec<_> =
        keys.lines().next().unwrap_or_default().split(", ").map(|key| key.trim_matches('`').to_owned()).collect();
    keys.sort();
    Ok(keys)
}

#[test]
fn keys_are_those_of_test_files() -> TestResult {
    let Some(host) = nix() else { return Ok(()) };
    let expression = r#"
        let keys = import ./nix/mk-test/keys.nix; in {
          machine = [ "backend" ] ++ builtins.attrNames keys.machine;
          test = [ "machines" "script" ] ++ builtins.filter (key: key != null) (map (key: key.key or null) (builtins.attrValues keys.test));
        }"#;
    let output = host.nix(&[], &["nix-instantiate", "--eval", "--strict", "--json", "--expr", expression])?;
    assert!(output.status.success(), "{}", said(&output));
    let keys: Value = serde_json::from_slice(&output.stdout)?;
    let sorted = |value: &Value| {
        let mut keys: Vec<_> =
            value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
        keys.sort();
        keys
    };
    let unknown = "\"xxxxxxxxxxxxxxxxxxxxxx\": 1";
    let machine = format!(r#""machines": {{"a": {{"backend": "container", {unknown}}}}}"#);
    assert_eq!(sorted(&keys["machine"]), keys_of_tandem(&machine)?);
    assert_eq!(sorted(&keys["test"]), keys_of_tandem(unknown)?);
    Ok(())
}

#[test]
fn flakes_and_the_example_evaluate() -> TestResult {
    let Some(host) = nix() else { return Ok(()) };
    let script = r#"
        set -e
        cp -r nix tests/tests/nix_mk_test/script.py /root
        cat > /root/flake.nix <<END
        {
          outputs = { self }: {
            test = import ./nix/mk-test.nix { system = "x86_64-linux"; tandem = "$DISTRIBUTION"; distribution = "$DISTRIBUTION"; } {
              name = "pure";
              testScript = ./script.py;
              containers.directory.root = ./nix;
              containers.flake.root = "${self}/nix";
              containers.distribution = { };
            };
          };
        }
END
        nix eval --offline --raw path:/root#test.drvPath
        echo
        nix-instantiate examples/nix --arg tandem "$DISTRIBUTION" --argstr distribution "$DISTRIBUTION"
    "#;
    let output = host.nix(&[], &["bash", "-c", &script.replace("${self}", r"\${self}")])?;
    assert!(output.status.success(), "{}", said(&output));
    let said = said(&output);
    assert!(said.contains("-vm-test-run-pure.drv") && said.contains("-vm-test-run-hello.drv"), "{said}");
    Ok(())
}
