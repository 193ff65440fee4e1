//! The three forms of a test file.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::report::Report;
use super::value::Table;
use super::{Problem, TestSpec};
use super::{configuration, json, pep723, run, toml};

/// More than anyone writes; a file that has holes can be larger than the memory.
const LARGEST: u64 = 16 << 20;

const PYTHON_EXAMPLE: &str = "begin the file with the lines `# /// script`, `# [tool.tandem.machines.server]`, `# backend = \"container\"`, `# ///`";
const TOML_EXAMPLE: &str =
    "write `script = \"test.py\"`, `[machines.server]`, `backend = \"container\"`, each on a line of its own";
const JSON_EXAMPLE: &str =
    "write `{\"script\": \"test.py\", \"machines\": {\"server\": {\"backend\": \"container\"}}}`";

/// How a test is declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// In the metadata of its script.
    Python,
    /// In a file of its own that names the script.
    Toml,
    /// The same in JSON.
    Json,
}

impl Form {
    fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "py" => Some(Self::Python),
            "toml" => Some(Self::Toml),
            "json" => Some(Self::Json),
            _ => None,
        }
    }

    fn example(self) -> &'static str {
        match self {
            Self::Python => PYTHON_EXAMPLE,
            Self::Toml => TOML_EXAMPLE,
            Self::Json => JSON_EXAMPLE,
        }
    }
}

/// See [`super::examine`].
pub(super) fn examine(path: &Path) -> (Option<TestSpec>, Vec<Problem>) {
    let mut problems = Vec::new();
    let mut report = Report::new(path, &mut problems);
    let spec = form(path, &mut report).and_then(|form| parse(path, form, &text(path, &mut report)?, &mut report));
    (spec, problems)
}

fn form(path: &Path, report: &mut Report<'_>) -> Option<Form> {
    let form = Form::of(path);
    if form.is_none() {
        report.problem("the name of a test file ends with `.py`, `.toml` or `.json`", "rename it");
    }
    form
}

/// The content of a file without its byte-order mark.
pub(super) fn text(path: &Path, report: &mut Report<'_>) -> Option<String> {
    let bytes = match content(path) {
        Ok(bytes) => bytes,
        Err(error) => {
            report.path(path, &error, "name a file that exists and that you may read");
            return None;
        }
    };
    match String::from_utf8(bytes) {
        Ok(mut text) => {
            if text.starts_with('\u{feff}') {
                text.remove(0);
            }
            Some(text)
        }
        Err(error) => {
            let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = before.split(|byte| *byte == b'\n').count();
            report.problem(format!("line {line} is not UTF-8"), "save the file as UTF-8");
            None
        }
    }
}

fn content(path: &Path) -> io::Result<Vec<u8>> {
    regular(path)?;
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST { Err(io::Error::other("it is larger than 16 MiB")) } else { Ok(bytes) }
}

/// Fails for what is there but no file: reading a pipe, for one, may never end.
pub(super) fn regular(path: &Path) -> io::Result<()> {
    let kind = fs::metadata(path)?.file_type();
    if kind.is_file() {
        Ok(())
    } else {
        Err(io::Error::other(if kind.is_dir() { "it is a directory" } else { "it is no regular file" }))
    }
}

/// A path as seen from the root. This is how a path that the test file names, relative to itself, outlives a change of directory.
pub(super) fn absolute(path: PathBuf) -> PathBuf {
    // This fails for the empty path and without a working directory; whoever opens the path then tells so.
    std::path::absolute(&path).unwrap_or(path)
}

pub(super) fn parse(path: &Path, form: Form, text: &str, report: &mut Report<'_>) -> Option<TestSpec> {
    if text.trim().is_empty() {
        report.problem("the file is empty", form.example());
        return None;
    }
    let mut spec = TestSpec { script: absolute(path.to_owned()), ..TestSpec::new(stem(path), Vec::new()) };
    let table = match form {
        Form::Python => python(text, &mut spec, report)?,
        Form::Toml => toml::parse(text).map_err(|errors| report.syntax("TOML", errors)).ok()?,
        Form::Json => json::parse(text).map_err(|errors| report.syntax("JSON", errors)).ok()?,
    };
    let directory = path.parent().unwrap_or(Path::new(""));
    if form == Form::Json && configuration::is_one(&table) {
        configuration::read(&table, directory, &mut spec, report);
    } else {
        run::read(&table, form, directory, &mut spec, report);
    }
    Some(spec)
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// See [`super::examine_configuration`].
pub(super) fn examine_configuration(path: &Path) -> (Option<TestSpec>, Vec<Problem>) {
    let mut problems = Vec::new();
    let text = text(path, &mut Report::new(path, &mut problems));
    let directory = path.parent().unwrap_or(Path::new(""));
    let spec = text.and_then(|text| configured(path, directory, &text, &mut problems));
    (spec, problems)
}

/// See [`super::examine_configuration_text`].
pub(super) fn examine_configuration_text(about: &Path, text: &str) -> (Option<TestSpec>, Vec<Problem>) {
    let mut problems = Vec::new();
    let spec = configured(about, Path::new(""), text, &mut problems);
    (spec, problems)
}

pub(super) fn configured(path: &Path, directory: &Path, text: &str, problems: &mut Vec<Problem>) -> Option<TestSpec> {
    let mut report = Report::new(path, problems);
    let table = json::parse(text).map_err(|errors| report.syntax("JSON", errors)).ok()?;
    let mut spec = TestSpec::new(stem(path), Vec::new());
    configuration::read(&table, directory, &mut spec, &mut report);
    Some(spec)
}

/// The table of ours in a script's metadata.
fn python(text: &str, spec: &mut TestSpec, report: &mut Report<'_>) -> Option<Table> {
    let Some(block) = pep723::block(text, report) else {
        match pep723::broken(text) {
            Some((line, wrong)) => {
                report.line(line).problem(format!("the block that begins here {wrong}"), PYTHON_EXAMPLE);
            }
            None => report.problem("no block declares the test's machines", PYTHON_EXAMPLE),
        }
        return None;
    };
    let metadata = block.metadata(report)?;
    spec.requires_python = metadata.requires_python;
    spec.dependencies = metadata.dependencies;
    if metadata.tandem.is_none() {
        report.problem(
            "the `# /// script` block declares no test",
            "add the lines `# [tool.tandem.machines.server]` and `# backend = \"container\"` to it",
        );
    }
    metadata.tandem
}

/// The script of a test that is declared in a file of its own, for what its metadata says of Python.
pub(super) fn script(path: &Path, spec: &mut TestSpec, report: &mut Report<'_>) {
    spec.script = absolute(path.to_owned());
    let Some(text) = text(path, report) else { return };
    let mut report = report.file(path);
    let Some(metadata) = pep723::block(&text, &mut report).and_then(|block| block.metadata(&mut report)) else {
        return;
    };
    spec.requires_python = metadata.requires_python;
    spec.dependencies = metadata.dependencies;
    if metadata.tandem.is_some() {
        report.problem(
            "the script declares a test of its own in `[tool.tandem]`",
            "run the script itself or take the table out of it",
        );
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    use super::super::{Accel, Disk, Image, ImageFormat, MachineSpec, Root};
    use super::*;

    /// A directory with files in it.
    fn files(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, content) in files {
            fs::write(directory.path().join(name), content).unwrap();
        }
        directory
    }

    /// What is said of `text` in a file called `path`.
    fn said(path: &str, text: &str) -> Vec<String> {
        let mut problems = Vec::new();
        let mut report = Report::new(Path::new(path), &mut problems);
        let read = form(Path::new(path), &mut report).and_then(|form| parse(Path::new(path), form, text, &mut report));
        assert!(read.is_some() || !problems.is_empty(), "nothing was read and nothing said: {text}");
        problems.iter().map(ToString::to_string).collect()
    }

    const PYTHON: &str = "\
#!/usr/bin/env -S tandem run
# /// script
# requires-python = '>=3.11'
# dependencies = ['requests']
# [tool.tandem]
# boot-timeout = '90s'
# [tool.tandem.machines.web]
# backend = 'container'
# ///
start_all()
";

    #[test]
    fn all_forms_say_the_same() {
        let script = b"# /// script\n# requires-python = '>=3.11'\n# dependencies = ['requests']\n# ///\n";
        let toml = b"script = 'script.py'\nboot-timeout = '90s'\nmachines.web.backend = 'container'\n";
        let json = br#"{"script": "script.py", "boot-timeout": 90, "machines": {"web": {"backend": "container"}}}"#;
        let files = files(&[("t.py", PYTHON.as_bytes()), ("script.py", script), ("t.toml", toml), ("t.json", json)]);
        let at = |name: &str| files.path().join(name);

        let python = crate::spec::read(&at("t.py")).unwrap();
        assert_eq!(python.name, "t");
        assert_eq!(python.script, at("t.py"));
        assert_eq!(python.requires_python.as_deref(), Some(">=3.11"));
        assert_eq!(python.dependencies, ["requests"]);
        assert_eq!(python.boot_timeout, Duration::from_secs(90));
        assert_eq!(python.machines.len(), 1);

        let others = TestSpec { script: at("script.py"), ..python };
        assert_eq!(crate::spec::read(&at("t.toml")), Ok(others.clone()));
        assert_eq!(crate::spec::read(&at("t.json")), Ok(others));
    }

    #[test]
    fn all_forms_say_the_same_of_vms() {
        const MACHINES: &str = "\
[machines.disk]
backend = 'vm'
root = 'disk.img'
kernel = 'linux'
initrd = 'initrd'
cpus = 4
memory = '2G'
cmdline = 'quiet é'
accel = 'kvm'
disks = [512, '1T', 'sub/../disk.img']
qemu-args = ['-device', 'virtio-balloon']
[machines.script]
backend = 'vm'
start-script = 'start'
[machines.scripted]
backend = 'container'
start-script = 'start'
";
        let json = br#"{"script": "script.py", "machines": {
            "disk": {"backend": "vm", "root": "disk.img", "kernel": "linux", "initrd": "initrd", "cpus": 4, "memory": 2048,
                "cmdline": "quiet \u00e9", "accel": "kvm", "disks": ["512M", "1TiB", "sub/../disk.img"],
                "qemu-args": ["-device", "virtio-balloon"]},
            "script": {"backend": "vm", "start-script": "start"},
            "scripted": {"backend": "container", "start-script": "start"}}}"#;
        let toml = format!("script = 'script.py'\n{MACHINES}");
        let python = MACHINES.replace("[machines", "[tool.tandem.machines").replace('\n', "\n# ");
        let python = format!("# /// script\n# {python}///\n");
        let files = files(&[
            ("t.py", python.as_bytes()),
            ("script.py", b""),
            ("t.toml", toml.as_bytes()),
            ("t.json", json),
            ("disk.img", &super::super::raw::tests::partitioned()),
            ("linux", b"x"),
            ("initrd", b"x"),
            ("start", b"x"),
        ]);
        let at = |name: &str| files.path().join(name);
        fs::create_dir(at("sub")).unwrap();
        fs::set_permissions(at("start"), fs::Permissions::from_mode(0o700)).unwrap();

        let image = |path: &str| Image { path: at(path), format: ImageFormat::Raw };
        let disk = MachineSpec {
            root: Root::Image(image("disk.img")),
            kernel: Some(at("linux")),
            initrd: Some(at("initrd")),
            cpus: Some(4),
            memory: Some(2048),
            cmdline: Some("quiet é".to_owned()),
            accel: Accel::Kvm,
            disks: vec![Disk::Empty(512), Disk::Empty(1 << 20), Disk::Image(image("sub/../disk.img"))],
            qemu_args: vec!["-device".to_owned(), "virtio-balloon".to_owned()],
            ..MachineSpec::new("disk", "vm")
        };
        let start = |name, backend| MachineSpec { start_script: Some(at("start")), ..MachineSpec::new(name, backend) };
        let (script, scripted) = (start("script", "vm"), start("scripted", "container"));
        for name in ["t.py", "t.toml", "t.json"] {
            let spec = crate::spec::read(&at(name)).unwrap();
            assert_eq!(spec.machines, [disk.clone(), script.clone(), scripted.clone()], "{name}");
            let sent = serde_json::to_string(&spec).unwrap();
            assert_eq!(serde_json::from_str::<TestSpec>(&sent).unwrap(), spec);
        }
    }

    #[test]
    fn all_forms_refuse_the_same_of_vms() {
        let toml = "script = 'x.py'\n[machines.m]\nbackend = 'vm'\ncpus = 0\nmemory = '1.5G'\nqemu-args = '-S'\nstart-script = '/bin/sh'\n";
        let json = r#"{"script": "x.py", "machines": {"m":
            {"backend": "vm", "cpus": 0, "memory": "1.5G", "qemu-args": "-S", "start-script": "/bin/sh"}}}"#;
        let about_machines = |path: &str, text: &str| {
            let said = said(path, text).into_iter().filter(|problem| problem.contains("machine `m`"));
            said.map(|problem| problem.replace(path, "t")).collect::<Vec<_>>()
        };
        let expected = [
            "t: machine `m`: key `cpus`: 0 is no number of processors; give 1 to 255",
            "t: machine `m`: key `memory`: `1.5G` is no whole number; use the next smaller unit, such as `\"1536M\"` for 1.5 GiB",
            "t: machine `m`: key `qemu-args`: expected a list of strings, found a string; write `[\"-S\"]`",
            "t: machine `m`: key `start-script`: a start script brings these itself: `cpus`, `memory`; take them out, or take `start-script` out",
        ];
        assert_eq!(about_machines("t.toml", toml), expected);
        assert_eq!(about_machines("t.json", json), expected);
    }

    #[test]
    fn files_that_cannot_be_read_are_told() {
        let files = files(&[
            ("bad.py", b"# \xc3\xa9\n\n# \xff\n"),
            ("empty.toml", b" \n"),
            ("mark.toml", b"\xef\xbb\xbfscript = 1"),
        ]);
        fs::create_dir(files.path().join("dir.py")).unwrap();
        File::create(files.path().join("large.py")).unwrap().set_len(1 << 40).unwrap();
        for (name, expected) in [
            ("missing.py", "does not exist; name a file that exists and that you may read"),
            ("dir.py", "cannot be read: it is a directory; name a file that exists and that you may read"),
            ("large.py", "cannot be read: it is larger than 16 MiB; name a file that exists and that you may read"),
            ("bad.py", "line 3 is not UTF-8; save the file as UTF-8"),
            ("empty.toml", TOML_EXAMPLE),
            ("mark.toml", "key `script`: expected the path of a Python script, found a whole number"),
            ("t.txt", "the name of a test file ends with `.py`, `.toml` or `.json`; rename it"),
            ("t", "the name of a test file ends with `.py`, `.toml` or `.json`; rename it"),
        ] {
            let path = files.path().join(name);
            let problems = crate::spec::read(&path).unwrap_err();
            let [problem] = &problems[..] else { panic!("{name}: {problems:?}") };
            assert_eq!(problem.subject.split(": ").next(), path.to_str());
            assert!(problem.to_string().ends_with(expected), "{problem}");
        }
    }

    #[test]
    fn what_declares_no_test_gets_an_example() {
        for (path, text, expected) in [
            ("t.py", "", format!("t.py: the file is empty; {PYTHON_EXAMPLE}")),
            ("t.json", "\n", format!("t.json: the file is empty; {JSON_EXAMPLE}")),
            ("t.py", "start_all()", format!("t.py: no block declares the test's machines; {PYTHON_EXAMPLE}")),
            (
                "t.py",
                "\n# /// script\n# x = 1\nstart_all()",
                format!("t.py:2: the block that begins here has no `# ///` before its comments end in line 3; {PYTHON_EXAMPLE}"),
            ),
            (
                "t.py",
                "# /// script\n# dependencies = []\n# ///",
                "t.py: the `# /// script` block declares no test; add the lines `# [tool.tandem.machines.server]` and `# backend = \"container\"` to it".to_owned(),
            ),
        ] {
            assert_eq!(said(path, text), [expected]);
        }
    }

    #[test]
    fn syntax_errors_have_their_place_in_the_file() {
        for (path, text, places) in [
            (
                "t.py",
                "import x\n# /// script\n# [tool.tandem]\n#\n# name = x\n# script = 'y\n# ///\n",
                &["t.py:5:10: not valid TOML: ", "t.py:6:14: not valid TOML: "][..],
            ),
            ("d/t.toml", "script = 't.py'\n[machines\n", &["d/t.toml:2:10: not valid TOML: "]),
            ("t.json", "{\n  \"script\": \"t.py\",\n}", &["t.json:3:1: not valid JSON: "]),
        ] {
            let problems = said(path, text);
            assert_eq!(problems.len(), places.len(), "{problems:?}");
            for (problem, place) in problems.iter().zip(places) {
                assert!(problem.starts_with(place) && !problem.contains('\n'), "{problem}");
            }
        }
    }

    #[test]
    fn problems_of_a_script_that_is_named_are_told_too() {
        let files = files(&[
            ("a.py", PYTHON.as_bytes()),
            ("b.py", b"# /// script\n# tool = \n# ///\n"),
            ("a.toml", b"script = 'a.py'"),
            ("b.toml", b"script = 'b.py'"),
            ("c.toml", b"script = 'c.py'"),
            ("none.toml", b"machined = 'auto'"),
        ]);
        for (name, expected) in [
            (
                "a.toml",
                "a.py: the script declares a test of its own in `[tool.tandem]`; run the script itself or take the table out of it",
            ),
            ("b.toml", "b.py:2:10: not valid TOML: "),
            ("c.toml", "c.toml: key `script`: `"),
            (
                "none.toml",
                "none.toml: no `script`; add the key `script` with the path of the Python script, relative to this file",
            ),
        ] {
            let problems = crate::spec::read(&files.path().join(name)).unwrap_err();
            let shown = super::super::list(&problems);
            assert!(problems.len() == 1 && shown.contains(expected), "{shown}");
        }
    }

    #[test]
    fn every_problem_is_told_in_the_order_of_the_file() {
        let text = "\
# /// script
# dependences = []
# [tool.tandem.machines.web]
# backend = 'container'
# vlan = [1]
# vlans = [0, 300]
# [tool.tandem]
# global-timeout = -1
# script = 'x.py'
# [tool.tandem.machines.a_b]
# colour = 512
# ///
";
        assert_eq!(
            said("t.py", text),
            [
                "t.py: key `dependences`: unknown key; did you mean `dependencies`?",
                "t.py: machine `web`: key `vlan`: unknown key; did you mean `vlans`?",
                "t.py: machine `web`: key `vlans`: 0 is no VLAN; use numbers from 1 to 255",
                "t.py: machine `web`: key `vlans`: 300 is no VLAN; use numbers from 1 to 255",
                "t.py: machine `a_b`: the name is no host name; use 1 to 63 letters, digits and `-`, and no `-` at either end",
                "t.py: machine `a_b`: no `backend`; add the key `backend`, such as `backend = \"container\"`",
                "t.py: machine `a_b`: key `colour`: unknown key; the keys here are `backend`, `root`, `cpus`, `memory`, `vlans`, `units`, `env`, `devices`, `binds`, `kernel`, `initrd`, `cmdline`, `accel`, `disks`, `qemu-args`, `start-script`",
                "t.py: key `global-timeout`: `-1` is not more than zero",
                "t.py: key `script`: unknown key; the keys here are `name`, `global-timeout`, `boot-timeout`, `machined`, `lan`, `ssh-backdoor`, `machines`",
            ]
        );
    }
}
