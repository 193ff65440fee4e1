//! What the keys of a whole run mean.

use std::path::Path;
use std::time::Duration;

use super::file::{self, Form};
use super::name::Names;
use super::report::{Report, quote};
use super::value::{Table, Value};
use super::{Lan, Machined, TestSpec, duration, machine};
use crate::network::MAX_MACHINES;

/// How long a run may take unless the test says otherwise.
pub(super) const GLOBAL_TIMEOUT: Duration = Duration::from_secs(3600);

/// How long a boot may take unless the test says otherwise.
pub(super) const BOOT_TIMEOUT: Duration = Duration::from_secs(300);

/// `script` is last, so that a script's own metadata can go without it.
const KEYS: [&str; 8] =
    ["name", "global-timeout", "boot-timeout", "machined", "lan", "ssh-backdoor", "machines", "script"];

const MACHINED: [(&str, Machined); 3] =
    [("auto", Machined::Auto), ("never", Machined::Never), ("require", Machined::Require)];

const LAN: [(&str, Lan); 3] = [("auto", Lan::Auto), ("bridge", Lan::Bridge), ("switch", Lan::Switch)];

/// Reads the table of a run into `spec`. The paths in it begin in `directory`.
pub(super) fn read(table: &Table, form: Form, directory: &Path, spec: &mut TestSpec, report: &mut Report<'_>) {
    let keys = if form == Form::Python { &KEYS[..KEYS.len() - 1] } else { &KEYS };
    if form != Form::Python && table.value("script").is_none() {
        report.problem("no `script`", "add the key `script` with the path of the Python script, relative to this file");
    }
    if table.value("name").is_none() && wrong_with_name(&spec.name).is_some() {
        report.problem("the file's name gives the test none", "add the key `name`");
    }
    for (key, value) in table {
        let mut about = report.key(key);
        match key.as_str() {
            "name" => name(value, spec, &mut about),
            "global-timeout" => spec.global_timeout = time(value, &mut about),
            "boot-timeout" => spec.boot_timeout = time(value, &mut about),
            "machined" => spec.machined = about.word(value, &MACHINED).unwrap_or_default(),
            "lan" => spec.lan = about.word(value, &LAN).unwrap_or_default(),
            "ssh-backdoor" => spec.ssh_backdoor = yes_or_no(value, &mut about),
            "script" if form != Form::Python => {
                if let Some(path) = about.string(value, "the path of a Python script") {
                    file::script(&directory.join(path), spec, &mut about);
                }
            }
            "machines" => machines(value, directory, spec, report),
            _ => about.unknown_key(key, keys),
        }
    }
}

fn name(value: &Value, spec: &mut TestSpec, report: &mut Report<'_>) {
    let Some(name) = report.string(value, "a string") else { return };
    if let Some(wrong) = wrong_with_name(name) {
        report.problem(format!("{} {wrong}", quote(name)), "choose a name that a directory can have");
    }
    name.clone_into(&mut spec.name);
}

/// What keeps a name from being that of the directory for the test's output.
pub(super) fn wrong_with_name(name: &str) -> Option<&'static str> {
    match name {
        "" => Some("is empty"),
        "." | ".." => Some("is a directory already"),
        _ if name.contains('/') => Some("has a `/` in it"),
        _ if name.contains(char::is_control) => Some("has control characters in it"),
        _ if name.len() > 255 => Some("is longer than 255 bytes"),
        _ => None,
    }
}

pub(super) fn time(value: &Value, report: &mut Report<'_>) -> Duration {
    let (shown, time) = match value {
        // Whole numbers above 2^53 lose digits, but those are too long anyway.
        #[expect(clippy::cast_precision_loss, reason = "see above")]
        Value::Integer(number) => (number.to_string(), duration::seconds(*number as f64)),
        Value::Float(number) => (number.to_string(), duration::seconds(*number)),
        Value::String(text) => (text.clone(), duration::parse(text)),
        other => {
            report.wrong_type("seconds or a time such as `\"5m\"`", other);
            return Duration::ZERO;
        }
    };
    time.unwrap_or_else(|wrong| {
        report.problem(format!("{} is {wrong}", quote(&shown)), "");
        Duration::ZERO
    })
}

fn yes_or_no(value: &Value, report: &mut Report<'_>) -> bool {
    if let Value::Bool(yes) = value {
        return *yes;
    }
    report.wrong_type("true or false", value);
    false
}

fn machines(value: &Value, directory: &Path, spec: &mut TestSpec, report: &mut Report<'_>) {
    let Some(table) = report.key("machines").table(value, "a table of machines") else { return };
    let count = table.0.len();
    if count > MAX_MACHINES {
        report.key("machines").problem(
            format!("{count} machines, but a VLAN has addresses for no more than {MAX_MACHINES}"),
            "use fewer machines",
        );
    }
    let mut names = Names::default();
    for (name, value) in table {
        let mut report = report.part(format_args!("machine {}", quote(name)));
        names.add(name, &mut report);
        if let Some(table) = report.table(value, "a table with the key `backend`") {
            spec.machines.push(machine::read(name, table, directory, &mut report));
        }
    }
    spec.machines.sort_by(|one, other| one.name.cmp(&other.name));
}

#[cfg(test)]
mod tests {
    use super::super::toml;
    use super::*;

    fn parsed(text: &str) -> (TestSpec, String) {
        let mut spec = TestSpec {
            name: "file".to_owned(),
            script: "file.py".into(),
            requires_python: None,
            dependencies: Vec::new(),
            global_timeout: GLOBAL_TIMEOUT,
            boot_timeout: BOOT_TIMEOUT,
            machined: Machined::Auto,
            lan: Lan::Auto,
            ssh_backdoor: false,
            machines: Vec::new(),
            notes: Vec::new(),
        };
        let mut problems = Vec::new();
        let table = toml::parse(text).unwrap();
        read(&table, Form::Python, Path::new(""), &mut spec, &mut Report::new(Path::new("t"), &mut problems));
        (spec, super::super::list(&problems))
    }

    #[test]
    fn nothing_needs_to_be_said() {
        let (spec, problems) = parsed("");
        assert_eq!(problems, "");
        assert_eq!(
            (spec.name.as_str(), spec.global_timeout.as_secs(), spec.boot_timeout.as_secs()),
            ("file", 3600, 300)
        );
        assert_eq!((spec.machined, spec.lan, spec.machines), (Machined::Auto, Lan::Auto, Vec::new()));
    }

    #[test]
    fn everything_can_be_said() {
        let (spec, problems) = parsed(
            "name = 'two words'\nglobal-timeout = 1.5\nboot-timeout = '1m'\nmachined = 'require'\n\
             lan = 'switch'\nssh-backdoor = true\nmachines.web.backend = 'vm'\nmachines.db.backend = 'container'",
        );
        assert_eq!(problems, "");
        assert_eq!(spec.name, "two words");
        assert_eq!((spec.global_timeout.as_millis(), spec.boot_timeout.as_secs()), (1500, 60));
        assert_eq!((spec.machined, spec.lan, spec.ssh_backdoor), (Machined::Require, Lan::Switch, true));
        assert_eq!(spec.machines.iter().map(|machine| machine.name.as_str()).collect::<Vec<_>>(), ["db", "web"]);
    }

    #[test]
    fn bad_values_are_told() {
        for (text, expected) in [
            ("name = 'a/b'", "t: key `name`: `a/b` has a `/` in it; choose a name that a directory can have"),
            ("name = ''", "t: key `name`: `` is empty; choose a name that a directory can have"),
            ("name = '..'", "t: key `name`: `..` is a directory already; choose a name that a directory can have"),
            (
                r#"name = "\u001b[1m""#,
                "t: key `name`: `\\u{1b}[1m` has control characters in it; choose a name that a directory can have",
            ),
            ("name = 1", "t: key `name`: expected a string, found a whole number"),
            ("boot-timeout = 0", "t: key `boot-timeout`: `0` is not more than zero"),
            (
                "boot-timeout = nan",
                "t: key `boot-timeout`: `NaN` is not a time such as `300` (seconds), `5m`, `1h30m` or `250ms`",
            ),
            ("boot-timeout = inf", "t: key `boot-timeout`: `inf` is longer than a year"),
            (
                "global-timeout = '5x'",
                "t: key `global-timeout`: `5x` is not a time such as `300` (seconds), `5m`, `1h30m` or `250ms`",
            ),
            (
                "global-timeout = true",
                "t: key `global-timeout`: expected seconds or a time such as `\"5m\"`, found a truth value",
            ),
            ("ssh-backdoor = 'yes'", "t: key `ssh-backdoor`: expected true or false, found a string"),
            (
                "machined = 'sometimes'",
                "t: key `machined`: `sometimes` is none of `auto`, `never`, `require`; write one of them",
            ),
            (
                "machined = 'newer'",
                "t: key `machined`: `newer` is none of `auto`, `never`, `require`; did you mean `never`?",
            ),
            (
                "lan = 'bridges'",
                "t: key `lan`: `bridges` is none of `auto`, `bridge`, `switch`; did you mean `bridge`?",
            ),
            ("lan = 1", "t: key `lan`: expected a string, found a whole number"),
            ("machines = ['web']", "t: key `machines`: expected a table of machines, found a list"),
            ("machines.web = 'container'", "t: machine `web`: expected a table with the key `backend`, found a string"),
            (
                "boot-cache = 'auto'",
                "t: key `boot-cache`: unknown key; the keys here are `name`, `global-timeout`, `boot-timeout`, `machined`, `lan`, `ssh-backdoor`, `machines`",
            ),
            ("boot_timeout = 1", "t: key `boot_timeout`: unknown key; did you mean `boot-timeout`?"),
        ] {
            assert_eq!(parsed(text).1, expected);
        }
    }

    #[test]
    fn no_more_machines_than_addresses() {
        let machine = |n| format!("machines.m{n}.backend = 'container'");
        let machines = |count| (0..count).map(machine).collect::<Vec<_>>().join("\n");
        assert_eq!(parsed(&machines(254)).1, "");
        let expected =
            "t: key `machines`: 255 machines, but a VLAN has addresses for no more than 254; use fewer machines";
        assert_eq!(parsed(&machines(255)).1, expected);
    }
}
