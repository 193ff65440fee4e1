//! What package.nix has nixpkgs build, and by which commands.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tandem_tests::TestResult;

use crate::nix::Nix;

/// All that is handed to nixpkgs' builders, with the store paths of the project's own files without their hashes.
fn recorded(nix: &Nix) -> TestResult<Value> {
    let expression = "
        let package = (stub { }).callPackage /project/nix/package.nix { };
        in {
          program = { inherit (package.unwrapped) builder arguments; };
          python = { inherit (package.pythonPackage) builder arguments isPythonModule; };
          wrapped = {
            inherit (package) builder;
            arguments = removeAttrs package.arguments [ \"passthru\" ];
          };
          passthru = builtins.attrNames package.arguments.passthru;
          interpreter = package.python.packages;
        }";
    let mut value = nix.evaluate(&[], expression)?.value;
    plain(&mut value);
    Ok(value)
}

/// Takes out what changes with the files and with the version.
fn plain(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Some((_hash, name)) = text.strip_prefix("/nix/store/").and_then(|path| path.split_once('-')) {
                *text = format!("/nix/store/{name}");
            }
            *text = text.replace(env!("CARGO_PKG_VERSION"), "VERSION");
        }
        Value::Array(values) => values.iter_mut().for_each(plain),
        Value::Object(values) => values.values_mut().for_each(plain),
        _ => {}
    }
}

/// `UPDATE=1 cargo test -p tandem-tests --test nix_package` writes what is expected anew.
#[test]
fn nixpkgs_is_handed_what_is_expected() -> TestResult {
    let Some(nix) = Nix::find() else { return Ok(()) };
    let recorded = recorded(&nix)?;
    let expected: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/nix_package/expected.json");
    if std::env::var_os("UPDATE").is_some_and(|value| !value.is_empty()) {
        std::fs::write(&expected, format!("{recorded:#}\n"))?;
    }
    let text = std::fs::read_to_string(expected)?;
    assert_eq!(format!("{recorded:#}\n"), text, "if that is as it should be, UPDATE=1 writes it to expected.json");
    Ok(())
}

#[test]
fn arguments_change_the_wrapping_and_build_no_program_anew() -> TestResult {
    let Some(nix) = Nix::find() else { return Ok(()) };
    let expression = "
        let
          pkgs = stub { };
          package = pkgs.callPackage /project/nix/package.nix { };
          names = builtins.map (program: program.name);
          seen = arguments:
            let changed = package.override arguments; in {
              programs = names changed.programs;
              python = names changed.python.packages;
              same = changed.unwrapped.arguments == package.unwrapped.arguments;
              first = builtins.match \".*--prefix PATH : ([^ ]*) .*\" (builtins.replaceStrings [ \"\\n\" ] [ \" \" ] changed.arguments.postBuild);
              last = builtins.match \".*--suffix PATH : ([^ ]*) .*\" (builtins.replaceStrings [ \"\\n\" ] [ \" \" ] changed.arguments.postBuild);
            };
        in {
          plain = seen { };
          ocr = seen { enableOCR = true; };
          vms = seen { enableNspawn = false; };
          qemu = seen { qemu_pkg = pkgs.qemu; };
          older = seen { vhost-device-vsock = null; };
          python = seen { extraPythonPackages = ps: [ ps.requests ]; };
        }";
    let value = nix.evaluate(&[], expression)?.value;
    let base = "coreutils gnutar gzip bzip2 xz zstd socat QEMU virtiofsd e2fsprogs";
    for (variant, programs, python) in [
        ("plain", format!("{base} vhost-device-vsock systemd"), "ptpython"),
        ("ocr", format!("{base} vhost-device-vsock systemd tesseract imagemagick"), "ptpython"),
        ("vms", format!("{base} vhost-device-vsock"), "ptpython"),
        ("qemu", format!("{base} vhost-device-vsock systemd"), "ptpython"),
        ("older", format!("{base} systemd"), "ptpython"),
        ("python", format!("{base} vhost-device-vsock systemd"), "ptpython requests"),
    ] {
        let seen = &value[variant];
        let qemu = if variant == "qemu" { "qemu" } else { "qemu_test" };
        let programs = programs.replace("QEMU", qemu);
        let programs: Vec<_> = programs.split(' ').collect();
        assert_eq!(seen["programs"], json!(programs), "{variant}");
        assert_eq!(seen["python"], json!(python.split(' ').collect::<Vec<_>>()), "{variant}");
        assert_eq!(seen["same"], json!(true), "{variant}");
        assert_eq!(seen["first"], json!(["/STORE/python3-env/bin"]), "{variant}");
        let path = programs.iter().map(|name| format!("/STORE/{name}/bin")).collect::<Vec<_>>().join(":");
        assert_eq!(seen["last"], json!([path]), "{variant}");
    }
    Ok(())
}
