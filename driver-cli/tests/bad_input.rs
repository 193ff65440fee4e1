//! What the program does with a wrong command line and with wrong test files: it says all that is wrong at once, and starts nothing.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const GOOD: &str = "\
# /// script
# [tool.tandem.machines.server]
# backend = \"container\"
# ///
start_all()
";

/// Runs the program in a directory.
fn tandem(directory: &Path, line: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tandem"));
    command.args(line.split_whitespace()).current_dir(directory).env_remove("TANDEM_LOG");
    command.output().expect("the program can be started")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("the directory is there").flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn all_problems_of_all_tests_are_told_at_once_and_nothing_is_made() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs::write(path.join("backend.py"), GOOD.replace("container", "containr")).unwrap();
    fs::write(path.join("keys.py"), GOOD.replace("# ///\n", "# vlan = [1]\n# units = 3\n# ///\n")).unwrap();
    fs::write(path.join("syntax.py"), format!("{GOOD}if True\n")).unwrap();

    for command in ["check", "run --events events -o out"] {
        let output = tandem(path, &format!("{command} backend.py keys.py missing.py syntax.py"));
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        for part in [
            "backend.py:\n",
            "there is no backend \"containr\"; did you mean \"container\"?",
            "keys.py:\n",
            "`vlan`",
            "`vlans`",
            "`units`",
            "missing.py:\n",
            "syntax.py:\n",
            "problems, nothing was started\n",
        ] {
            assert!(said.contains(part), "{part:?} in {said}");
        }
        assert!(output.stdout.is_empty());
        assert_eq!(names(path), ["backend.py", "keys.py", "syntax.py"]);
    }
}

#[test]
fn an_unknown_backend_on_the_command_line_is_told_once() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("a.py"), GOOD).unwrap();
    let output = tandem(directory.path(), "check a.py --backend lxc");
    assert_eq!(output.status.code(), Some(2));
    let expected = "command line:\n  --backend: there is no backend `lxc`; known are: container, vm\n1 problem, nothing was started\n";
    assert_eq!(stderr(&output), expected);
}

#[test]
fn tests_of_one_name_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    for file in ["a.py", "b.py"] {
        let text =
            GOOD.replace("# [tool.tandem.machines", "# [tool.tandem]\n# name = \"same\"\n# [tool.tandem.machines");
        fs::write(directory.path().join(file), text).unwrap();
    }
    let output = tandem(directory.path(), "check a.py b.py");
    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output);
    assert!(
        said.contains("b.py:\n  the test is named `same`, as is that of a.py; give one of them another `name`"),
        "{said}"
    );
}

#[test]
fn an_output_directory_that_cannot_be_is_told_before_anything_starts() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("a.py"), GOOD).unwrap();
    for (options, said) in [
        ("-o a.py", "command line:\n  output directory a.py: "),
        ("-o a.py/below", "a.py is not a directory; choose another output directory with -o"),
    ] {
        let output = tandem(directory.path(), &format!("run a.py {options}"));
        assert_eq!(output.status.code(), Some(2), "{options}");
        assert!(stderr(&output).contains(said), "{options}: {}", stderr(&output));
    }
    assert_eq!(names(directory.path()), ["a.py"]);
}

#[test]
fn wrong_usage_has_status_2_and_help_has_0() {
    let directory = tempfile::tempdir().unwrap();
    let output = tandem(directory.path(), "run");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("<TEST>..."));

    for (line, part) in [
        ("--help", "Exit status:"),
        ("run --help", "--global-timeout"),
        ("--version", concat!("tandem ", env!("CARGO_PKG_VERSION"))),
        ("man run", ".TH tandem-run 1"),
        ("completions bash", "complete -F"),
    ] {
        let output = tandem(directory.path(), line);
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{line}");
        assert!(said.contains(part), "{line}: {said}");
    }
}

#[test]
fn a_wrong_filter_for_the_drivers_own_log_is_refused() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tandem"));
    let output = command.args(["man"]).env("TANDEM_LOG", "driver_core=loud").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).starts_with("TANDEM_LOG: "), "{}", stderr(&output));
}
