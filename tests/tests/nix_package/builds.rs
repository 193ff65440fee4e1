//! The build, as nixpkgs does it: from the filtered source and vendored crates, without a network.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tandem_tests::{TestResult, requirement, roots};

use crate::nix::{Nix, project};
use crate::source::files;

/// Minutes that a first build may take on a busy host.
const PATIENCE: &str = "25m";

/// Makes `target` the same as `source`. Files that are the same already are left as they are, so that cargo knows them again.
fn synchronize(source: &Path, target: &Path) -> TestResult {
    fs::create_dir_all(target)?;
    let wanted = files(source)?;
    for file in files(target)?.difference(&wanted) {
        fs::remove_file(target.join(file))?;
    }
    for file in &wanted {
        let (from, to) = (fs::read(source.join(file))?, target.join(file));
        if fs::read(&to).ok().as_ref() != Some(&from) {
            fs::create_dir_all(to.parent().ok_or("a file lies nowhere")?)?;
            fs::write(&to, from)?;
        }
    }
    Ok(())
}

/// The crates that Cargo.lock names: a directory in `cache`, filled anew when the lock file has changed.
fn vendored(lock: &[u8], cache: &Path) -> TestResult<PathBuf> {
    let (crates, marker) = (cache.join("crates"), cache.join("Cargo.lock"));
    if fs::read(&marker).ok().as_deref() != Some(lock) {
        let _ = fs::remove_file(&marker);
        // Most likely all of them were downloaded for the tests themselves.
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["vendor", "--locked", "--versioned-dirs"]).arg(&crates).current_dir(project());
        let output = cargo.stdin(Stdio::null()).output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
        fs::write(&marker, lock)?;
    }
    Ok(crates)
}

/// The flags are the package's, the profile is not: a development build takes half the time and reads the same files.
#[test]
fn the_source_builds_with_the_lock_file_and_without_a_network() -> TestResult {
    let Some(nix) = Nix::find() else { return Ok(()) };
    if !requirement::met(requirement::lacking_program("unshare")) {
        return Ok(());
    }
    let expression = "let package = (stub { }).callPackage /project/nix/package.nix { };
        in { inherit (package.unwrapped.arguments) src cargoBuildFlags; lock = package.unwrapped.arguments.cargoLock.lockFile; }";
    let evaluated = nix.evaluate(&[], expression)?;
    let path = |name: &str| evaluated.value[name].as_str().map(|path| evaluated.place(path)).ok_or("no path");
    let flags: Vec<&str> =
        evaluated.value["cargoBuildFlags"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();

    // Kept from one test to the next, so that only what has changed is built again.
    let cache = roots::cache()?.join("nix-package");
    fs::create_dir_all(&cache)?;
    let lock = fs::File::create(cache.join("lock"))?;
    lock.lock()?;
    let crates = vendored(&fs::read(path("lock")?)?, &cache)?;
    let (source, target, home) = (cache.join("source"), cache.join("target"), cache.join("home"));
    synchronize(&path("src")?, &source)?;
    let mut cargo = Command::new("timeout");
    cargo.args(["--kill-after=5", PATIENCE, "unshare", "--net", env!("CARGO"), "build", "--offline"]).args(&flags);
    cargo.args(["--config", "source.crates-io.replace-with='vendored-sources'", "--config"]);
    cargo.arg(format!("source.vendored-sources.directory='{}'", crates.display()));
    // No crate, setting or program of the user's or of this test's.
    cargo.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    for name in ["RUSTUP_HOME", "RUSTUP_TOOLCHAIN", "HOME"] {
        cargo.envs(std::env::var_os(name).map(|value| (name, value)));
    }
    cargo.env("CARGO_HOME", home).env("CARGO_TARGET_DIR", &target).env("CARGO_INCREMENTAL", "0").current_dir(&source);
    let output = cargo.stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(!said.contains("warning"), "{said}");

    let built = target.join("debug");
    let programs = fs::read_dir(&built)?
        .filter_map(Result::ok)
        .filter(|entry| entry.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0));
    let programs: Vec<_> =
        programs.map(|entry| entry.file_name()).filter(|name| !name.to_string_lossy().ends_with(".so")).collect();
    assert_eq!(programs, ["tandem"], "only what is installed is built");
    let version = Command::new(built.join("tandem")).arg("--version").output()?;
    assert_eq!(String::from_utf8_lossy(&version.stdout), format!("tandem {}\n", env!("CARGO_PKG_VERSION")));
    Ok(())
}
