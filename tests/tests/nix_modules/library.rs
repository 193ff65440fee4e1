//! The modules in nixpkgs' own module system, over a `lib` that somebody has: `TANDEM_NIXPKGS_LIB` names its directory.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};

use serde::Deserialize;
use serde_json::json;
use tandem_tests::{TestResult, host_lock, requirement};

use super::nix;

/// The directory, unless nobody names one; that is no failure anywhere, because nixpkgs is none of what this project needs.
fn library() -> Option<String> {
    let library = std::env::var("TANDEM_NIXPKGS_LIB").ok().filter(|path| !path.is_empty());
    if library.is_none() {
        let why = "no `lib` of nixpkgs is given; name its directory by TANDEM_NIXPKGS_LIB";
        // Not by `eprintln`: the test harness shows what a test prints only if the test fails.
        let _ = writeln!(std::io::stderr(), "skipped: {why}");
    }
    library
}

#[test]
fn the_modules_come_out_as_they_should() -> TestResult {
    let Some(library) = library() else { return Ok(()) };
    if !nix::is_there() {
        return Ok(());
    }
    let output = nix::run(&[Path::new(&library)], &["nix/check-modules.sh", &library])?;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("cases of the modules come out as they should"), "{said}");
    Ok(())
}

#[test]
fn what_is_no_library_is_refused() -> TestResult {
    let empty = tempfile::tempdir()?;
    for (arguments, expected) in [
        (vec![], "usage: "),
        (vec!["/no/such"], "usage: "),
        (vec![empty.path().to_str().unwrap_or_default()], "is not the directory `lib` of nixpkgs"),
    ] {
        let output = Command::new(nix::project().join("nix/check-modules.sh")).args(arguments).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains(expected), "{output:?}");
    }
    Ok(())
}

/// How a driver is built, as the module has it, with the paths that packages have in Nix's store.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Plan {
    build_command: String,
    declarations: String,
    driver_configuration_file: String,
    python_package: String,
}

/// In nixpkgs, a program that makes a wrapper; here, a shell's function.
const MAKE_WRAPPER: &str = "makeWrapper() {
  { echo '#!/bin/sh'; shift 2; printf 'exec %s' \"$program\"
    while [ $# -gt 0 ]; do [ \"$1\" = --add-flags ]; printf ' %s' \"$2\"; shift 2; done; echo ' \"$@\"'; } > $out/bin/nixos-test-driver
  chmod +x $out/bin/nixos-test-driver
}
";

/// Builds a driver over real checkers in `directory`.
fn build(plan: &Plan, directory: &Path, script: &str) -> TestResult<Output> {
    let own = |path: &str| nix::project().join(path).canonicalize();
    let file = |name: &str, text: &str| fs::write(directory.join(name), text).map(|()| directory.join(name));
    let prelude = own("driver-cli/python/test-script-prepend.py")?;
    let of_store = |part: &str| {
        let found =
            plan.build_command.split_whitespace().find(|word| word.starts_with("/nix/store/") && word.ends_with(part));
        found.map(str::to_owned).ok_or_else(|| format!("no {part} in {}", plan.build_command))
    };
    let mut command = plan.build_command.clone();
    for (from, to) in [
        (of_store("-test-script-prepend.py")?, prelude.display().to_string()),
        (of_store("/bin/generate-driver-symbols")?, directory.join("generate-driver-symbols").display().to_string()),
        (
            format!("{}/lib/python3.13/site-packages", plan.python_package),
            own("driver-cli/python")?.display().to_string(),
        ),
        (plan.driver_configuration_file.clone(), directory.join("configuration").display().to_string()),
    ] {
        command = command.replace(&from, &to);
    }
    let declarations = file("declarations", &plan.declarations)?;
    let script = file("script", script)?;
    let mut bash = Command::new("timeout");
    bash.args(["120", "bash", "-c", &format!("set -e\n{MAKE_WRAPPER}{command}")]).current_dir(directory);
    bash.env("out", directory.join("out")).env("program", directory.join("nixos-test-driver"));
    bash.env("declarationsPath", declarations).env("testScriptPath", script);
    // The host's mypy and pyflakes.
    bash.env("PATH", format!("{}:/usr/bin:/bin", directory.display()));
    Ok(bash.output()?)
}

#[test]
fn a_driver_is_built_of_scripts_without_mistakes_only() -> TestResult {
    let Some(library) = library() else { return Ok(()) };
    if !nix::is_there() || !requirement::root() || !requirement::program("mypy") {
        return Ok(());
    }
    let plan: Plan =
        nix::value(&[Path::new(&library)], &format!("(import ./nix/check-modules {{ library = {library}; }}).driver"))?;
    let directory = tempfile::tempdir()?;
    let at = |name: &str| directory.path().join(name);
    for name in ["nixos-test-driver", "generate-driver-symbols"] {
        symlink(env!("CARGO_BIN_EXE_tandem-under-test"), at(name))?;
    }
    fs::write(at("pyflakes"), "#!/bin/sh\nexec /usr/bin/python3 -m pyflakes \"$@\"\n")?;
    fs::set_permissions(at("pyflakes"), fs::Permissions::from_mode(0o755))?;

    for (script, said) in [
        ("server.shutdwn()\n", "\"QemuMachine\" has no attribute \"shutdwn\""),
        ("web.shutdwn()\n", "\"NspawnMachine\" has no attribute \"shutdwn\""),
        ("import re\n", "'re' imported but unused"),
    ] {
        let output = build(&plan, directory.path(), script)?;
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(!output.status.success() && told.contains(said), "{script}: {output:?}");
    }

    let script = "def unused() -> None:\n    start_all()\n    server.crash()\n    web.succeed('true')\n    print(vlan1)\n\n\nprint('ran')\n";
    let output = build(&plan, directory.path(), script)?;
    assert!(output.status.success(), "{output:?}");
    assert_eq!(fs::read_to_string(at("out/test-script"))?, script);
    let configuration = json!({
        "vms": {}, "containers": {}, "vlans": [], "global_timeout": 60, "enable_ssh_backdoor": false, "test_script": at("out/test-script"),
    });
    fs::write(at("configuration"), configuration.to_string())?;
    let _lock = host_lock::shared()?;
    let mut driver = Command::new("timeout");
    driver
        .arg("60")
        .arg(at("out/bin/nixos-test-driver"))
        .arg("-o")
        .arg(directory.path())
        .env("XDG_RUNTIME_DIR", at("state"));
    let output = driver.output()?;
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.contains("ran\n"), "{told}");
    Ok(())
}
