//! Names of machines: host names in the network, variables in the script.

use std::collections::BTreeMap;

use super::report::{Report, quote};
use super::run;

/// What no variable can be called, from Python's language reference.
const KEYWORDS: [&str; 35] = [
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del",
    "elif", "else", "except", "finally", "for", "from", "global", "if", "import", "in", "is", "lambda", "nonlocal",
    "not", "or", "pass", "raise", "return", "try", "while", "with", "yield",
];

/// What a script finds in its globals beside the machines and `vlan1`, `vlan2`, ...
///
/// `machine` is not among them: it stands for the only machine, and a machine of that name is meant by it anyway.
const GLOBALS: [&str; 23] = [
    "BaseMachine",
    "NspawnMachine",
    "QemuMachine",
    "create_machine",
    "debug",
    "driver",
    "dump_machine_ssh",
    "join_all",
    "log",
    "machines",
    "machines_nspawn",
    "machines_qemu",
    "os",
    "polling_condition",
    "retry",
    "run_tests",
    "serial_stdout_off",
    "serial_stdout_on",
    "start_all",
    "subtest",
    "t",
    "test_script",
    "vlans",
];

/// The variable that a machine is in a script: what Python does not allow in a name becomes `_`.
pub fn python_name(machine: &str) -> String {
    let allowed = |(index, c): (usize, char)| {
        let kept = c == '_' || c.is_ascii_alphabetic() || (index > 0 && c.is_ascii_digit());
        if kept { c } else { '_' }
    };
    machine.chars().enumerate().map(allowed).collect()
}

/// The names of the machines read so far.
#[derive(Default)]
pub(super) struct Names {
    by_host_name: BTreeMap<String, String>,
    by_python_name: BTreeMap<String, String>,
}

impl Names {
    /// Checks a name of upstream's: one that a directory can have. Host names are upstream's own business, and there a machine hides what the
    /// script knows by its name.
    pub(super) fn add_upstreams(&mut self, name: &str, report: &mut Report<'_>) {
        if let Some(wrong) = run::wrong_with_name(name) {
            report.problem(format!("the name {wrong}"), "choose a name that a directory can have");
        }
        let variable = python_name(name);
        if let Some(other) = self.by_python_name.insert(variable.clone(), name.to_owned()) {
            report.problem(
                format!("the variable `{variable}` in the script would also be machine {}", quote(&other)),
                "rename one of them",
            );
        }
    }

    /// Checks a name by itself and against those that came before.
    pub(super) fn add(&mut self, name: &str, report: &mut Report<'_>) {
        if !is_host_name(name) {
            report.problem("the name is no host name", "use 1 to 63 letters, digits and `-`, and no `-` at either end");
            return;
        }
        if let Some(other) = self.by_host_name.insert(name.to_ascii_lowercase(), name.to_owned()) {
            report.problem(
                format!("the name is also that of machine {}: case does not count", quote(&other)),
                "rename one of them",
            );
            return;
        }
        let variable = python_name(name);
        if KEYWORDS.contains(&variable.as_str()) {
            report.problem(
                format!("`{variable}` is a keyword of Python's and cannot be a variable in the script"),
                "choose another name",
            );
        } else if GLOBALS.contains(&variable.as_str()) || is_vlan(&variable) {
            report.problem(
                format!("the variable `{variable}` would hide what the script knows by that name"),
                "choose another name",
            );
        } else if let Some(other) = self.by_python_name.insert(variable.clone(), name.to_owned()) {
            report.problem(
                format!("the variable `{variable}` in the script would also be machine {}", quote(&other)),
                "rename one of them",
            );
        }
    }
}

fn is_host_name(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        && !name.starts_with('-')
        && !name.ends_with('-')
}

fn is_vlan(variable: &str) -> bool {
    variable.strip_prefix("vlan").is_some_and(|number| !number.is_empty() && number.chars().all(|c| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn python_names_are_variables() {
        for (machine, variable) in [
            ("server", "server"),
            ("web-1", "web_1"),
            ("1st", "_st"),
            ("a_b", "a_b"),
            ("Ünder", "_nder"),
            ("a.b é", "a_b__"),
            ("", ""),
        ] {
            assert_eq!(python_name(machine), variable, "{machine}");
        }
    }

    /// What is said of the last of `names`.
    fn said(names: &[&str]) -> String {
        let mut problems = Vec::new();
        let mut known = Names::default();
        for name in names {
            problems.clear();
            known.add(name, &mut Report::new(Path::new("t"), &mut problems));
        }
        super::super::list(&problems)
    }

    #[test]
    fn good_names_pass() {
        for names in
            [&["server", "client"][..], &["Web-1"], &["1"], &["machine"], &["vlan"], &["vlan-1"], &["os2"], &["match"]]
        {
            assert_eq!(said(names), "", "{names:?}");
        }
        assert_eq!(said(&["a".repeat(63).as_str()]), "");
    }

    #[test]
    fn bad_names_are_refused() {
        for name in ["", "-a", "a-", "a_b", "a.b", "a b", "é", "a/b", &"a".repeat(64)] {
            assert!(said(&[name]).contains("no host name"), "{name}");
        }
        for name in ["class", "None", "with"] {
            assert!(said(&[name]).contains("keyword"), "{name}");
        }
        for name in ["log", "t", "start-all", "machines", "vlans", "vlan1", "vlan255", "NspawnMachine", "os"] {
            assert!(said(&[name]).contains("would hide"), "{name}");
        }
        assert!(said(&["web", "WEB"]).contains("also that of machine `web`"));
        assert!(said(&["1a", "2a"]).contains("`_a` in the script would also be machine `1a`"));
    }
}
