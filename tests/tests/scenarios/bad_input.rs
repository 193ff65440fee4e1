//! Bad input gets a message that names the thing and the cure, a status that says whose fault it is, and nothing is started.

use std::fs;
use std::time::Duration;

use tandem_tests::leftovers::Snapshot;
use tandem_tests::program::{Ended, Program};
use tandem_tests::{TestResult, host_lock, requirement};

const TANDEM: &str = env!("CARGO_BIN_EXE_tandem-under-test");

const GOOD: &str = "# /// script\n# requires-python = \">=3.11\"\n# [tool.tandem.machines.m]\n# backend = \"container\"\n# ///\nm.succeed(\"true\")\n";

/// Runs a program on a test file and checks that it started nothing.
fn refused(program: &str, args: &[&str], test: &str) -> TestResult<Ended> {
    let _lock = host_lock::shared()?;
    let before = Snapshot::take(&[])?;
    let program = Program::start(program, args, &[("test.py", test)])?;
    let ended = program.wait(Duration::from_secs(60))?;
    assert!(!ended.directory.path().join("tandem-out").exists(), "something was started: {}", ended.stderr);
    before.restored_within(Duration::from_secs(1), &[&ended.pen])?;
    assert_ne!(ended.status, 0);
    Ok(ended)
}

/// The good test with these lines in its block.
fn with(lines: &str) -> String {
    GOOD.replace("# ///\nm", &format!("# {}\n# ///\nm", lines.replace('\n', "\n# ")))
}

#[test]
fn each_mistake_in_a_test_is_named_with_its_cure() -> TestResult {
    if !requirement::containers_and("python3") {
        return Ok(());
    }
    let directory = tempfile::tempdir()?;
    fs::create_dir(directory.path().join("usr"))?;
    let no_init = format!("root = \"{}\"", directory.path().display());
    let cases: [(&str, &[&str]); 11] = [
        ("unit = [\"a.service\"]", &["`unit`", "unknown key", "did you mean `units`"]),
        ("vlans = [256]", &["machine `m`", "256", "1 to 255"]),
        ("root = \"/no/such/root\"", &["machine `m`", "/no/such/root", "does not exist"]),
        (&no_init, &["machine `m`", "is no system", "systemd"]),
        ("units = [\"no-such.service\"]", &["machine `m`", "no-such.service"]),
        ("devices = [\"/dev/no-such\"]", &["machine `m`", "/dev/no-such", "does not exist"]),
        ("binds = [\"/no/such:/data\"]", &["machine `m`", "/no/such", "does not exist"]),
        (
            "[tool.tandem.machines.n]\nbackend = \"contaner\"",
            &["machine `n`", "\"contaner\"", "did you mean \"container\""],
        ),
        ("[tool.tandem.machines.a_b]\nbackend = \"container\"", &["machine `a_b`", "no host name"]),
        (
            "[tool.tandem.machines.1a]\nbackend = \"container\"\n[tool.tandem.machines.2a]\nbackend = \"container\"",
            &["`_a`", "machine `1a`", "rename"],
        ),
        ("[tool.tandem]\nglobal-timeout = \"soon\"", &["`global-timeout`", "soon", "5m"]),
    ];
    for (lines, expected) in cases {
        let ended = refused(TANDEM, &["run", "test.py"], &with(lines))?;
        assert_eq!(ended.status, 2, "{lines}: {}", ended.stderr);
        for part in expected {
            assert!(ended.stderr.contains(part), "{lines}: no {part} in {}", ended.stderr);
        }
    }
    Ok(())
}

#[test]
fn all_mistakes_are_reported_together() -> TestResult {
    if !requirement::containers_and("python3") {
        return Ok(());
    }
    let lines = "vlans = [256]\nunit = []\n[tool.tandem.machines.n]\nbackend = \"contaner\"";
    let test = with(lines) + "def f(:\n";
    let ended = refused(TANDEM, &["run", "test.py"], &test)?;
    assert_eq!(ended.status, 2, "{}", ended.stderr);
    for part in ["256", "`unit`", "contaner", "test.py:11", "4 problems"] {
        assert!(ended.stderr.contains(part), "no {part} in {}", ended.stderr);
    }
    Ok(())
}

#[test]
fn a_script_with_a_syntax_error_shows_where() -> TestResult {
    if !requirement::containers_and("python3") {
        return Ok(());
    }
    let ended = refused(TANDEM, &["run", "test.py"], &(GOOD.to_owned() + "def f(:\n"))?;
    assert_eq!(ended.status, 2);
    assert!(ended.stderr.contains("test.py:7") && ended.stderr.contains("def f(:"), "{}", ended.stderr);
    Ok(())
}

#[test]
fn what_the_host_lacks_is_named_with_its_cure() -> TestResult {
    if !requirement::containers_and("python3") {
        return Ok(());
    }
    let hide = |path: &str| format!("mount --bind /dev/null {path} && exec {TANDEM} run test.py");
    let nspawn = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .map(|directory| directory.join("systemd-nspawn"))
        .find(|path| path.is_file())
        .ok_or("systemd-nspawn is not on the PATH")?;
    let nspawn = hide(&nspawn.canonicalize()?.display().to_string());
    let cases: [(&str, &[&str], &[&str]); 3] = [
        (
            "setpriv",
            &["--reuid=65534", "--regid=65534", "--clear-groups", TANDEM, "run", "test.py", "-o", "/tmp/tandem-nobody"],
            &["root"],
        ),
        // In a mount namespace of its own.
        ("unshare", &["--mount", "sh", "-c", &nspawn], &["systemd-nspawn", "install"]),
        ("env", &["PATH=/no/such/directory", TANDEM, "run", "test.py"], &["python3", "--python"]),
    ];
    for (program, args, expected) in cases {
        let ended = refused(program, args, GOOD)?;
        assert_eq!(ended.status, 3, "{args:?}: {}", ended.stderr);
        for part in expected {
            assert!(ended.stderr.contains(part), "{args:?}: no {part} in {}", ended.stderr);
        }
    }
    Ok(())
}

#[test]
fn an_output_directory_that_cannot_be_written_is_refused() -> TestResult {
    if !requirement::containers_and("python3") {
        return Ok(());
    }
    for output in ["/proc/no", "test.py/below"] {
        let ended = refused(TANDEM, &["run", "-o", output, "test.py"], GOOD)?;
        assert_eq!(ended.status, 2, "{}", ended.stderr);
        assert!(ended.stderr.contains(output) && ended.stderr.contains("-o"), "{}", ended.stderr);
    }
    Ok(())
}
