//! The ways in: the flake, and `nix/` for those without.

use std::fs;

use serde_json::{Value, json};
use tandem_tests::TestResult;

use crate::nix::{Nix, project};
use crate::source::files;

/// The outputs of the flake, with the stand-in for nixpkgs.
pub(crate) const FLAKE: &str = "
    outputs = (import /project/flake.nix).outputs { self = outputs; inherit nixpkgs; };
    nixpkgs = {
      lib = (stub { }).lib // { nixosSystem = arguments: {
        config.system.build.toplevel = { type = \"derivation\"; outPath = \"/STORE/nixos\"; inherit arguments; };
      }; };
      legacyPackages = builtins.mapAttrs (system: _: stub { inherit system; }) {
        x86_64-linux = null;
        aarch64-linux = null;
      };
    };
    names = builtins.attrNames;";

#[test]
fn the_flake_has_what_flakes_have() -> TestResult {
    let Some(nix) = Nix::find() else { return Ok(()) };
    let expression = format!(
        "let {FLAKE} in {{
           inputs = (import /project/flake.nix).inputs;
           outputs = names outputs;
           systems = map (output: names outputs.${{output}}) [ \"packages\" \"checks\" \"devShells\" ];
           mkTest = names outputs.lib.mkTest;
           packages = builtins.mapAttrs (_: package: package.name) outputs.packages.aarch64-linux;
           overlays = names outputs.overlays;
           overlay = (outputs.overlays.default (stub {{ }}) {{ }}).tandem.name;
           modules = builtins.mapAttrs (_: toString) outputs.nixosModules;
           lib = names outputs.lib;
           testModule = toString outputs.lib.testModule;
           checks = names outputs.checks.x86_64-linux;
           check = outputs.checks.x86_64-linux.package.name;
           shell = map (program: program.name) outputs.devShells.x86_64-linux.default.arguments.packages;
         }}"
    );
    let value = nix.evaluate(&[], &expression)?.value;
    let name = format!("tandem-{}", env!("CARGO_PKG_VERSION"));
    let systems = ["aarch64-linux", "x86_64-linux"];
    assert_eq!(value["inputs"], json!({"nixpkgs": {"url": "github:NixOS/nixpkgs/nixos-unstable"}}));
    assert_eq!(value["outputs"], json!(["checks", "devShells", "lib", "nixosModules", "overlays", "packages"]));
    assert_eq!(value["systems"], json!([systems, systems, systems]));
    assert_eq!(value["mkTest"], json!(systems));
    assert_eq!(value["packages"], json!({"default": name, "tandem": name, "test-driver": "tandem-test-driver"}));
    assert_eq!(value["overlays"], json!(["default"]));
    assert_eq!(value["overlay"], json!(name));
    let module = |name: &str| format!("/project/nix/nixos/{name}.nix");
    let modules = json!({"default": module("builder"), "builder": module("builder"), "container": module("container")});
    assert_eq!(value["modules"], modules);
    assert_eq!(value["lib"], json!(["mkTest", "testModule"]));
    assert_eq!(value["testModule"], json!(module("test")));
    assert_eq!(value["checks"], json!(["containers", "mixed", "package"]));
    assert_eq!(value["check"], json!(name));
    for program in ["cargo", "rustc", "clippy", "qemu_test", "systemd"] {
        assert!(value["shell"].as_array().is_some_and(|programs| programs.contains(&json!(program))), "{value}");
    }
    Ok(())
}

/// Nix itself evaluates it: without what the environment says, and with another flake in the place of nixpkgs.
#[test]
fn the_flake_is_one_to_nix() -> TestResult {
    let Some(nix) = Nix::find() else { return Ok(()) };
    let directory = tempfile::tempdir()?;
    let (own, other, store) =
        (directory.path().join("tandem"), directory.path().join("nixpkgs"), directory.path().join("store"));
    for place in [&own, &other, &store] {
        fs::create_dir(place)?;
    }
    for file in files(&project().join("nix"))? {
        let to = own.join("nix").join(&file);
        fs::create_dir_all(to.parent().ok_or("a file lies nowhere")?)?;
        fs::copy(project().join("nix").join(&file), to)?;
    }
    for file in ["flake.nix", "Cargo.toml", "Cargo.lock"] {
        fs::copy(project().join(file), own.join(file))?;
    }
    fs::write(other.join("stub.nix"), include_str!("stub.nix"))?;
    let nixpkgs = "{ outputs = { self }: {
        lib = (import ./stub.nix { }).lib;
        legacyPackages = builtins.mapAttrs (system: _: import ./stub.nix { inherit system; }) {
          x86_64-linux = null;
          aarch64-linux = null;
        }; }; }";
    fs::write(other.join("flake.nix"), nixpkgs)?;
    let place = store.to_str().ok_or("a directory's name is no text")?;
    let (input, flake) = (format!("path:{}", other.display()), format!("path:{}#packages", own.display()));
    let output = nix.run(
        &[directory.path()],
        &[
            "nix",
            "--extra-experimental-features",
            "nix-command flakes",
            "--option",
            "substituters",
            "",
            "--store",
            place,
            "eval",
            "--json",
            "--no-write-lock-file",
            "--override-input",
            "nixpkgs",
            &input,
            &flake,
            "--apply",
            "builtins.mapAttrs (_: builtins.mapAttrs (_: package: package.name))",
        ],
    )?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let packages = json!({
        "default": format!("tandem-{}", env!("CARGO_PKG_VERSION")),
        "tandem": format!("tandem-{}", env!("CARGO_PKG_VERSION")),
        "test-driver": "tandem-test-driver",
    });
    let value: Value = serde_json::from_slice(&output.stdout)?;
    assert_eq!(value, json!({"aarch64-linux": packages, "x86_64-linux": packages}));
    Ok(())
}

#[test]
fn those_without_flakes_have_the_same() -> TestResult {
    let Some(nix) = Nix::find() else { return Ok(()) };
    let expression = "
        let tandem = import /project/nix { pkgs = stub { }; };
        in {
          names = builtins.attrNames tandem;
          package = tandem.package.name;
          overlay = (tandem.overlay (stub { }) { }).tandem.name;
          modules = builtins.mapAttrs (_: toString) tandem.nixosModules;
          testModule = toString tandem.testModule;
        }";
    let value = nix.evaluate(&[], expression)?.value;
    let name = format!("tandem-{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(value["names"], json!(["mkTest", "nixosModules", "overlay", "package", "testModule"]));
    assert_eq!((&value["package"], &value["overlay"]), (&json!(name), &json!(name)));
    assert_eq!(
        value["modules"],
        json!({"builder": "/project/nix/nixos/builder.nix", "container": "/project/nix/nixos/container.nix"})
    );
    assert_eq!(value["testModule"], json!("/project/nix/nixos/test.nix"));
    Ok(())
}

#[test]
fn what_needs_nixpkgs_says_how_to_give_it() -> TestResult {
    let Some(nix) = Nix::find() else { return Ok(()) };
    let Err(error) = nix.evaluate(&[], "(import /project/nix { }).package.name") else {
        return Err("there is no nixpkgs, but a package".into());
    };
    let error = error.to_string();
    assert!(error.contains("there is no <nixpkgs> in Nix's search path"), "{error}");
    assert!(error.contains("import ./nix { pkgs = import /path/to/nixpkgs { }; }"), "{error}");
    // Where the modules are, nobody needs nixpkgs for.
    let value = nix.evaluate(&[], "toString (import /project/nix { }).testModule")?.value;
    assert_eq!(value, json!("/project/nix/nixos/test.nix"));
    Ok(())
}
