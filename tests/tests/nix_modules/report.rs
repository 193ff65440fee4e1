//! What builds a test's report, run over a real driver outside of Nix.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::json;
use tandem_tests::{TestResult, host_lock, requirement};

use super::nix;

/// The build commands of a test's `report` and of its `checked`. The module itself is given what it asks for; the framework's own build is
/// `$build`.
const COMMANDS: &str = "let
  options = { rawTestDerivation = { }; };
  passthru = (import ./nix/nixos/test/report.nix {
    lib.throwIfNot = condition: message: value: if condition then value else throw message;
    inherit options;
    config = {
      name = \"t\";
      passthru = { };
      meta = { };
      rawTestDerivation.overrideAttrs = change: change { name = \"t\"; buildCommand = \"eval \\\"$build\\\"\"; };
    };
    hostPkgs.runCommand = _: _: command: command;
  }).config.passthru;
in [ passthru.report.name passthru.report.buildCommand passthru.checked ]";

/// A driver and a place for what it is to leave.
struct Ground(tempfile::TempDir);

impl Ground {
    fn new() -> TestResult<Self> {
        let directory = tempfile::tempdir()?;
        symlink(env!("CARGO_BIN_EXE_tandem-under-test"), directory.path().join("nixos-test-driver"))?;
        Ok(Self(directory))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Builds the report of a test that has no machines.
    fn test(&self, report: &str, script: &str) -> TestResult<Output> {
        let test = self.path("test-script");
        fs::write(&test, script)?;
        let configuration = json!({
            "vms": {}, "containers": {}, "vlans": [], "global_timeout": 60, "enable_ssh_backdoor": false, "test_script": test,
        });
        fs::write(self.path("configuration"), configuration.to_string())?;
        let build = "mkdir -p $out; ./nixos-test-driver -c configuration -o $out; touch $out/went-on";
        self.build(report, &[("out", &self.path("report")), ("build", Path::new(build))])
    }

    /// Runs a build command as nixpkgs' builders do.
    fn build(&self, command: &str, variables: &[(&str, &Path)]) -> TestResult<Output> {
        let mut bash = Command::new("timeout");
        bash.args(["60", "bash", "-c", &format!("set -e -o pipefail\n{command}")]);
        bash.envs(variables.iter().copied()).current_dir(self.0.path());
        Ok(bash.output()?)
    }
}

#[test]
fn a_report_is_there_whatever_the_verdict() -> TestResult {
    if !nix::is_there() || !requirement::root() {
        return Ok(());
    }
    let [name, report, checked]: [String; 3] = nix::value(&[], COMMANDS)?;
    assert_eq!(name, "t-report");
    let _lock = host_lock::shared()?;
    for (script, status, said) in [
        ("(driver.out_dir / 'status').touch()\nos.mkfifo(driver.out_dir / 'pipe')\nprint('fine')\n", "0", "fine"),
        ("t.assertEqual(1, 2)\n", "1", "RequestedAssertionFailed: 1 != 2"),
    ] {
        let ground = Ground::new()?;
        let out = ground.path("report");
        let output = ground.test(&report, script)?;
        assert!(output.status.success(), "{script}: {output:?}");
        let read = |name: &str| fs::read_to_string(out.join(name)).unwrap_or_default();
        assert_eq!(read("status").trim_end(), status, "{script}");
        assert!(read("terminal.log").contains(said), "{script}: {}", read("terminal.log"));
        assert!(String::from_utf8_lossy(&output.stdout).contains(said), "{script}: {output:?}");
        // The first error ends the framework's build.
        assert_eq!(out.join("went-on").exists(), status == "0");
        assert_eq!((out.join("events.jsonl").exists(), out.join("pipe").exists()), (true, false));
        assert_eq!(out.join("status.of-script").exists(), status == "0");

        let verdict = ground.path("checked");
        let output = ground.build(&checked, &[("report", &out), ("out", &verdict)])?;
        assert_eq!(output.status.success(), status == "0", "{output:?}");
        if status == "0" {
            assert_eq!(fs::read_link(verdict)?, out);
        } else {
            let told = String::from_utf8_lossy(&output.stderr);
            let last = format!("the test did not pass: status {status}; its record is in {}\n", out.display());
            assert!(told.contains(said) && told.ends_with(&last), "{told}");
        }
    }
    Ok(())
}

#[test]
fn there_is_no_report_of_what_was_not_started() -> TestResult {
    if !nix::is_there() || !requirement::root() {
        return Ok(());
    }
    let [_, report, _]: [String; 3] = nix::value(&[], COMMANDS)?;
    let ground = Ground::new()?;
    let output = ground.test(&report, "if True\n")?;
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.code() == Some(1) && told.contains("test-script:1: expected ':'"), "{output:?}");
    Ok(())
}

#[test]
fn a_nixpkgs_that_cannot_have_reports_is_told() -> TestResult {
    if !nix::is_there() {
        return Ok(());
    }
    let older = COMMANDS.replace("options = { rawTestDerivation = { }; }", "options = { }");
    let error = nix::value::<Vec<String>>(&[], &older).err().ok_or("there is a report")?.to_string();
    assert!(error.contains("`report` and `checked` need a nixpkgs of May 2025 or later"), "{error}");
    Ok(())
}
