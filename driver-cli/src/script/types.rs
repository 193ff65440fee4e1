//! Type checks of scripts, by mypy.
//!
//! What mypy reads is the script behind a prelude, as nixpkgs has it: the names that every script finds defined, then those of the test's
//! machines and VLANs. Its lines are counted off again from what mypy says.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use driver_core::spec::{Problem, TestSpec, python_name};
use tokio::process::Command;
use tokio::time::timeout;

use super::package;
use super::problem::{excerpt, unusable};

/// The first part of the prelude, the same for every test.
const PREPEND: &str = include_str!("../../python/test-script-prepend.py");

/// How long mypy may take for a script and all that it imports.
const TIMEOUT: Duration = Duration::from_secs(300);

/// nixpkgs' own, and what makes the output one that can be read: a line for each problem, with its place. The user's configuration is of
/// other code.
const FLAGS: &[&str] = &[
    "--no-implicit-optional",
    "--check-untyped-defs",
    "--config-file=",
    "--cache-dir=/dev/null",
    "--no-color-output",
    "--no-error-summary",
    "--no-pretty",
    "--show-absolute-path",
    "--show-column-numbers",
    "--show-error-codes",
];

/// Reports what mypy, run by the interpreter of the test's, has against the script's types. A script that cannot be read has no types.
pub async fn check_types(spec: &TestSpec, python: Option<&Path>) -> Vec<Problem> {
    let Ok(script) = std::fs::read_to_string(&spec.script) else { return Vec::new() };
    let program = python.unwrap_or(Path::new("python3"));
    let why = match timeout(TIMEOUT, run(spec, program, &script)).await {
        Ok(Ok((output, place))) => match place.problems(&output, &script) {
            Ok(problems) => return problems,
            Err(Failure::NoMypy) => return vec![no_mypy(program)],
            Err(Failure::Said(why)) => why,
        },
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => {
            return vec![unusable(program, python.is_some(), "there is no such program")];
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("it did not end within {} s", TIMEOUT.as_secs()),
    };
    vec![Problem::host(format!("`{} -m mypy`", program.display()), why, "")]
}

fn no_mypy(program: &Path) -> Problem {
    let cure = "install it there, as with pip in a virtual environment, name an interpreter that has it with --python, or leave out --types";
    Problem::host("--types", format!("the interpreter `{}` has no mypy, which checks types", program.display()), cure)
}

/// Why mypy says nothing of the script.
enum Failure {
    NoMypy,
    Said(String),
}

/// Where lines of the script are, for mypy and for the user.
struct Place {
    /// What mypy reads.
    checked: PathBuf,
    /// How many lines of it are before the script's.
    before: usize,
    script: PathBuf,
    /// The package `test_driver`, whose types are not the user's concern.
    package: PathBuf,
}

async fn run(spec: &TestSpec, program: &Path, script: &str) -> io::Result<(Output, Place)> {
    let directory = tempfile::tempdir()?;
    let packages = directory.path().join("packages");
    package::unpack(&packages)?;
    let checked = directory.path().join("test_script_with_types.py");
    let prelude = prelude(spec);
    std::fs::write(&checked, format!("{prelude}{script}"))?;

    let mut places = vec![packages.clone()];
    places.extend(spec.script.parent().map(Path::to_owned));
    let places = std::env::join_paths(places).unwrap_or_else(|_| OsString::from(&packages));
    let mut mypy = Command::new(program);
    mypy.args(["-m", "mypy"]).args(FLAGS).arg(&checked).env("MYPYPATH", places).current_dir(directory.path());
    mypy.env_remove("MYPY_CONFIG_FILE_DIR").stdin(std::process::Stdio::null()).kill_on_drop(true);
    let output = mypy.output().await?;
    let place = Place { checked, before: prelude.lines().count(), script: spec.script.clone(), package: packages };
    Ok((output, place))
}

/// What stands before the script of a test.
fn prelude(spec: &TestSpec) -> String {
    let mut prelude = PREPEND.to_owned();
    let class = |backend: &str| match backend {
        "vm" => "QemuMachine",
        "container" => "NspawnMachine",
        _ => "BaseMachine",
    };
    let mut declare = |name: &str, class: &str| {
        // Writing to a `String` cannot fail.
        let _ = writeln!(prelude, "{name}: {class}");
    };
    for machine in &spec.machines {
        declare(&python_name(&machine.name), class(&machine.backend));
    }
    if let [only] = &spec.machines[..]
        && python_name(&only.name) != "machine"
    {
        declare("machine", class(&only.backend));
    }
    let vlans: BTreeSet<_> = spec.machines.iter().flat_map(|machine| &machine.vlans).collect();
    for vlan in vlans {
        declare(&format!("vlan{vlan}"), "VLan");
    }
    prelude
}

impl Place {
    /// What mypy said, as problems of the script.
    fn problems(&self, output: &Output, script: &str) -> Result<Vec<Problem>, Failure> {
        let (said, failed) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if failed.contains("No module named mypy") {
            return Err(Failure::NoMypy);
        }
        let lines: Vec<_> = script.lines().collect();
        let remarks = said.lines().chain(failed.lines()).filter_map(Remark::read);
        let mut found: Vec<(_, Problem)> = Vec::new();
        // Notes explain the error before them.
        let mut explained = false;
        for remark in remarks {
            if remark.note {
                if let (true, Some((_, problem))) = (explained, found.last_mut()) {
                    problem.message = format!("{}\n{}", problem.message, remark.message);
                }
                continue;
            }
            // Packages without types are no fault of the script's.
            explained = remark.code != "import-untyped" && !remark.file.starts_with(&self.package);
            if explained {
                let problem = self.problem(&remark, &lines);
                found.push(((remark.file == self.checked, remark.file, remark.line), problem));
            }
        }
        let ended = output.status.code();
        if found.is_empty() && !matches!(ended, Some(0 | 1)) {
            let last = failed.lines().chain(said.lines()).rfind(|line| !line.trim().is_empty());
            return Err(Failure::Said(last.map_or_else(|| output.status.to_string(), str::to_owned)));
        }
        // mypy takes the script in several passes.
        found.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(found.into_iter().map(|(_, problem)| problem).collect())
    }

    fn problem(&self, remark: &Remark, lines: &[&str]) -> Problem {
        let own = remark.file == self.checked;
        let file = if own { &self.script } else { &remark.file };
        let line = remark.line.map(|line| if own { line.saturating_sub(self.before) } else { line });
        let subject = line.map_or_else(|| file.display().to_string(), |line| format!("{}:{line}", file.display()));
        let text = line.filter(|_| own).and_then(|line| lines.get(line.checked_sub(1)?));
        let text = text.map(|text| excerpt(text, remark.column)).unwrap_or_default();
        let code = if remark.code.is_empty() { String::new() } else { format!(" [{}]", remark.code) };
        Problem::user(subject, format!("{}{code}{text}", remark.message), "")
    }
}

/// A line of mypy's: `FILE:LINE:COLUMN: error: MESSAGE  [CODE]`.
#[derive(Debug, PartialEq, Eq)]
struct Remark<'a> {
    file: PathBuf,
    line: Option<usize>,
    column: Option<u64>,
    note: bool,
    message: &'a str,
    code: &'a str,
}

impl<'a> Remark<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let (place, rest, note) = match (line.split_once(": error: "), line.split_once(": note: ")) {
            (Some((place, rest)), _) => (place, rest, false),
            (None, Some((place, rest))) => (place, rest, true),
            (None, None) => return None,
        };
        let (message, code) = match rest.rsplit_once("  [") {
            Some((message, code)) => (message, code.strip_suffix(']').unwrap_or_default()),
            None => (rest, ""),
        };
        let (mut file, mut numbers) = (place, Vec::new());
        while let Some((before, number)) = file.rsplit_once(':')
            && numbers.len() < 2
            && let Ok(number) = number.parse::<usize>()
        {
            file = before;
            numbers.insert(0, number);
        }
        let column = numbers.get(1).and_then(|column| u64::try_from(*column).ok());
        Some(Self { file: file.into(), line: numbers.first().copied(), column, note, message, code })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remarks_are_read_with_their_places() {
        let read = Remark::read("/t/a:1.py:12:5: error: Name \"x: error\" is not defined  [name-defined]").unwrap();
        assert_eq!((read.file.to_str(), read.line, read.column), (Some("/t/a:1.py"), Some(12), Some(5)));
        assert_eq!((read.message, read.code, read.note), ("Name \"x: error\" is not defined", "name-defined", false));
        let read = Remark::read("/t/a.py:3: note: Use \"-> None\"").unwrap();
        assert_eq!((read.line, read.column, read.note, read.code), (Some(3), None, true, ""));
        let read = Remark::read("/t/a.py: error: Source file found twice").unwrap();
        assert_eq!((read.file.to_str(), read.line), (Some("/t/a.py"), None));
        assert_eq!(Remark::read("Success: no issues found in 1 source file"), None);
    }
}
