//! How the parts of `nix/` fit together.

use std::fs;
use std::path::{Component, Path, PathBuf};

use serde_json::json;
use tandem_tests::TestResult;

use crate::entrances::FLAKE;
use crate::nix::{Nix, project};
use crate::source::files;

/// A path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut plain, component| {
        match component {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            component => plain.push(component),
        }
        plain
    })
}

/// Nix says so only when it gets there, and where there is no Nix nobody does.
#[test]
fn every_file_that_is_named_is_there() -> TestResult {
    let all = files(&project().join("nix"))?.into_iter().map(|name| format!("nix/{name}"));
    let mut looked = 0;
    for name in all.chain(["flake.nix".to_owned()]).filter(|name| Path::new(name).extension() == Some("nix".as_ref())) {
        let file = project().join(&name);
        for line in fs::read_to_string(&file)?.lines().filter(|line| !line.trim_start().starts_with('#')) {
            // Not what is in quotes, as examples are.
            let code = line.split('"').step_by(2);
            let words =
                code.flat_map(|code| code.split(|letter: char| letter.is_whitespace() || "(){}[];".contains(letter)));
            // Directories are named in what people are told, too.
            let paths = words.filter(|word| word.starts_with("./") || word.starts_with("../"));
            for word in paths.filter(|word| Path::new(word).extension().is_some_and(|ending| !ending.is_empty())) {
                let path = plain(&file.with_file_name(word));
                assert!(path.is_file(), "{name} names {word}, which is not there");
                looked += 1;
            }
        }
    }
    assert!(looked > 15, "{looked} paths are not all of them");
    Ok(())
}

#[test]
fn the_flakes_checks_are_tests() -> TestResult {
    let Some(nix) = Nix::find() else { return Ok(()) };
    let expression = format!(
        "let {FLAKE}
           seen = test: {{
             inherit (test) name system requiredSystemFeatures;
             machines = builtins.mapAttrs (_: machine: {{ inherit (machine) backend root; }}) test.config.machines;
             isBuilt = builtins.match \"/nix/store/.*[.]drv\" test.drvPath != null;
           }};
         in {{
           containers = seen outputs.checks.x86_64-linux.containers;
           mixed = seen outputs.checks.aarch64-linux.mixed;
         }}"
    );
    let value = nix.evaluate(&[], &expression)?.value;
    let machine = |backend: &str| json!({"backend": backend, "root": "/STORE/nixos"});
    let containers = json!({
        "name": "vm-test-run-containers",
        "system": "x86_64-linux",
        "requiredSystemFeatures": ["nixos-test", "uid-range"],
        "machines": {"container": machine("container"), "server": machine("container")},
        "isBuilt": true,
    });
    assert_eq!(value["containers"], containers);
    let mixed = json!({
        "name": "vm-test-run-mixed",
        "system": "aarch64-linux",
        "requiredSystemFeatures": ["kvm", "nixos-test", "uid-range"],
        "machines": {"server": machine("container"), "vm": machine("vm")},
        "isBuilt": true,
    });
    assert_eq!(value["mixed"], mixed);
    Ok(())
}

/// What mkTest needs can be given by whoever has no nixpkgs.
#[test]
fn tests_are_made_without_nixpkgs() -> TestResult {
    let Some(nix) = Nix::find() else { return Ok(()) };
    for given in
        ["tandem = place; programs = [ place ]; shell = \"${place}/bin/sh\";", "tandem = place; distribution = place;"]
    {
        let expression = format!(
            "let
               place = builtins.path {{ name = \"place\"; path = /project/nix/nixos; }};
               test = (import /project/nix {{ system = \"x86_64-linux\"; {given} }}).mkTest {{
                 name = \"hello\";
                 containers.machine.root = place;
                 testScript = \"start_all()\";
               }};
             in {{ inherit (test) requiredSystemFeatures; name = builtins.baseNameOf test.drvPath; }}"
        );
        let value = nix.evaluate(&[], &expression)?.value;
        assert_eq!(value["requiredSystemFeatures"], json!(["nixos-test", "uid-range"]), "{given}");
        assert!(value["name"].as_str().is_some_and(|name| name.ends_with("-vm-test-run-hello.drv")), "{value}");
    }
    Ok(())
}
