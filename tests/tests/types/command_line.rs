//! `tandem check --types`.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use tandem_tests::TestResult;

use crate::interpreters;

const HEADER: &str = "# /// script\n# [tool.tandem.machines.server]\n# backend = \"container\"\n# ///\n";

/// The status of `tandem check` in a directory, and what it said.
fn check(directory: &Path, arguments: &[&str], python: &Path) -> TestResult<(Option<i32>, String)> {
    let mut tandem = Command::new(env!("CARGO_BIN_EXE_tandem-under-test"));
    tandem.arg("check").args(arguments).arg("--python").arg(python).current_dir(directory);
    let output = tandem.output()?;
    Ok((output.status.code(), String::from_utf8(output.stderr)?))
}

#[test]
fn types_are_checked_when_asked_for() -> TestResult {
    let directory = tempfile::tempdir()?;
    let (directory, script) = (directory.path(), directory.path().join("bad.py"));
    std::fs::write(&script, format!("{HEADER}server.succeed(1)\n"))?;
    std::fs::write(directory.join("good.py"), format!("{HEADER}server.succeed('true')\n"))?;
    for python in interpreters() {
        assert_eq!(check(directory, &["bad.py"], &python)?.0, Some(0));
        let (status, said) = check(directory, &["--types", "good.py", "bad.py"], &python)?;
        let place = format!("bad.py:\n  {}:5: Argument 1 to \"succeed\" of \"BaseMachine\" has", script.display());
        assert!(status == Some(2) && said.starts_with(&place), "{status:?}: {said}");
        assert!(said.ends_with("\n1 problem, nothing was started\n"), "{said}");
        let (status, said) = check(directory, &["--types", "good.py"], &python)?;
        assert_eq!((status, &*said), (Some(0), "good.py: nothing keeps it from running here\n"));
    }
    Ok(())
}

#[test]
fn scripts_beside_toml_and_json_have_their_own_lines() -> TestResult {
    let directory = tempfile::tempdir()?;
    let (directory, script) = (directory.path(), directory.path().join("script.py"));
    std::fs::write(&script, "\nserver.succeed(1)\n")?;
    std::fs::write(directory.join("a.toml"), "script = \"script.py\"\n[machines.server]\nbackend = \"vm\"\n")?;
    std::fs::write(
        directory.join("b.json"),
        r#"{"script": "script.py", "machines": {"server": {"backend": "container"}}}"#,
    )?;
    for python in interpreters() {
        let (status, said) = check(directory, &["--types", "a.toml", "b.json"], &python)?;
        assert_eq!(status, Some(2), "{said}");
        for test in ["a.toml", "b.json"] {
            assert!(said.contains(&format!("{test}:\n  {}:2: Argument 1 to", script.display())), "{said}");
        }
    }
    Ok(())
}

#[test]
fn a_syntax_error_is_told_once() -> TestResult {
    let directory = tempfile::tempdir()?;
    std::fs::write(directory.path().join("bad.py"), format!("{HEADER}if True\n"))?;
    for python in interpreters() {
        let (status, said) = check(directory.path(), &["--types", "bad.py"], &python)?;
        assert!(status == Some(2) && said.contains("bad.py:5: expected ':'"), "{said}");
        assert!(said.ends_with("\n1 problem, nothing was started\n"), "{said}");
    }
    Ok(())
}

#[test]
fn without_mypy_the_cure_is_told() -> TestResult {
    let directory = tempfile::tempdir()?;
    let directory = directory.path();
    std::fs::write(directory.join("good.py"), format!("{HEADER}server.succeed('true')\n"))?;
    let python = directory.join("bare-python");
    // It sees no installed packages.
    std::fs::write(&python, "#!/bin/sh\nexec python3 -S -E \"$@\"\n")?;
    std::fs::set_permissions(&python, PermissionsExt::from_mode(0o755))?;
    let (status, said) = check(directory, &["--types", "good.py"], &python)?;
    let expected = format!(
        "good.py:\n  --types: the interpreter `{}` has no mypy, which checks types; install it there",
        python.display()
    );
    assert!(status == Some(3) && said.starts_with(&expected), "{status:?}: {said}");
    assert_eq!(check(directory, &["good.py"], &python)?.0, Some(0));
    Ok(())
}
