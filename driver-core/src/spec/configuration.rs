//! The configuration that nixpkgs writes for its test driver: machines with start scripts, and a test script.

use std::path::Path;
use std::time::Duration;

use super::name::Names;
use super::report::{Report, quote};
use super::value::{Table, Value};
use super::{MachineSpec, TestSpec, VlanId, file, nearest, run, vm};
use crate::network::MAX_MACHINES;

/// What the file must have, each with what is expected of it.
const KEYS: [(&str, &str); 6] = [
    ("vms", "a table of VMs"),
    ("containers", "a table of containers"),
    ("vlans", "a list of whole numbers such as `[1, 2]`"),
    ("global_timeout", "a number of seconds"),
    ("enable_ssh_backdoor", "`true` or `false`"),
    ("test_script", "the path of a Python script"),
];

/// The machines: a key, and the backend of what it holds.
const MACHINES: [(&str, &str); 2] = [("vms", "vm"), ("containers", "container")];

const START_SCRIPT: &str = "the path of a program that boots the machine";

/// Upstream waits for a boot as long as the whole test may take. This is what it gives to other things that take long.
const BOOT_TIMEOUT: Duration = Duration::from_secs(900);

/// Whether a JSON file with these keys is such a configuration, rather than a test file of ours.
pub(super) fn is_one(table: &Table) -> bool {
    let has = |key: &&str| table.value(key).is_some();
    !["script", "machines"].iter().any(has) && ["test_script", "vms", "containers"].iter().any(has)
}

/// Reads the configuration into `spec`. The paths in it begin in `directory`. Unknown keys become a note: upstream passes over them, too.
pub(super) fn read(table: &Table, directory: &Path, spec: &mut TestSpec, report: &mut Report<'_>) {
    spec.boot_timeout = BOOT_TIMEOUT;
    let vlans = vlans(table, report);
    let mut ignored = Vec::new();
    for (key, expected) in KEYS {
        let mut about = report.part(quote(key));
        let Some(value) = table.value(key) else {
            missing(table, key, expected, &KEYS.map(|(key, _)| key), &mut about);
            continue;
        };
        match (key, value) {
            ("global_timeout", value) => spec.global_timeout = run::time(value, &mut about),
            ("enable_ssh_backdoor", Value::Bool(on)) => spec.ssh_backdoor = *on,
            ("enable_ssh_backdoor", other) => about.wrong_type(expected, other),
            ("test_script", value) => {
                if let Some(path) = about.string(value, expected) {
                    file::script(&directory.join(path), spec, &mut about);
                }
            }
            // Read together, below, and above.
            _ => {}
        }
    }
    let mut names = Names::default();
    for (key, backend) in MACHINES {
        let Some(value) = table.value(key) else { continue };
        let Some(machines) = report.part(quote(key)).table(value, expected(key)) else { continue };
        for (name, value) in machines {
            let path = format!("{key}.{name}");
            names.add_upstreams(name, &mut report.part(quote(&path)));
            let machine = MachineSpec { vlans: vlans.clone(), ..MachineSpec::new(name, backend) };
            spec.machines.extend(self::machine(machine, value, &path, directory, &mut ignored, report));
        }
    }
    if spec.machines.len() > MAX_MACHINES {
        let count = spec.machines.len();
        let message = format!("{count} machines, but a VLAN has addresses for no more than {MAX_MACHINES}");
        report.problem(message, "use fewer machines");
    }
    spec.machines.sort_by(|one, other| one.name.cmp(&other.name));
    note_unknown(table, "", &KEYS.map(|(key, _)| key), &mut ignored);
    if !ignored.is_empty() {
        spec.notes.push(format!("ignored in the configuration, for they mean nothing here: {}", ignored.join(", ")));
    }
}

fn expected(key: &str) -> &'static str {
    KEYS.into_iter().find_map(|(known, expected)| (known == key).then_some(expected)).unwrap_or_default()
}

/// Every machine is on all of them: a start script takes those that it needs.
fn vlans(table: &Table, report: &mut Report<'_>) -> Vec<VlanId> {
    let Some(value) = table.value("vlans") else { return Vec::new() };
    let mut vlans = Vec::new();
    for (index, item) in report.part(quote("vlans")).list(value, expected("vlans")).iter().enumerate() {
        let mut report = report.part(quote(&format!("vlans[{index}]")));
        match item {
            Value::Integer(number) => match u16::try_from(*number).ok().and_then(VlanId::new) {
                Some(vlan) => vlans.push(vlan),
                None => report.problem(format!("{number} is no VLAN"), "use numbers from 1 to 255"),
            },
            other => report.wrong_type("a whole number", other),
        }
    }
    vlans.sort_unstable();
    vlans.dedup();
    vlans
}

fn machine(
    machine: MachineSpec,
    value: &Value,
    path: &str,
    directory: &Path,
    ignored: &mut Vec<String>,
    report: &mut Report<'_>,
) -> Option<MachineSpec> {
    let table = report.part(quote(path)).table(value, "a table with the key `start_script`")?;
    let mut about = report.part(quote(&format!("{path}.start_script")));
    let start_script = match table.value("start_script") {
        None => {
            missing(table, "start_script", START_SCRIPT, &["name", "start_script"], &mut about);
            None
        }
        // A path is a string or nothing of that.
        Some(value) => about.string(value, START_SCRIPT).and_then(|_| vm::start_script(value, directory, &mut about)),
    };
    if let Some(name) = table.value("name") {
        // The key is the machine's name; this one is not used.
        let _ = report.part(quote(&format!("{path}.name"))).string(name, "a string");
    }
    note_unknown(table, path, &["name", "start_script"], ignored);
    Some(MachineSpec { start_script, ..machine })
}

/// Tells that there is no such key, and which one may have been meant to be it.
fn missing(table: &Table, key: &str, expected: &str, known: &[&str], report: &mut Report<'_>) {
    let others = table.into_iter().map(|(other, _)| other.as_str()).filter(|other| !known.contains(other));
    let cure = match nearest(key, others) {
        Some(other) => format!("rename the key {}", quote(other)),
        None => format!("add the key `{key}`"),
    };
    report.problem(format!("expected {expected}, found nothing"), cure);
}

/// Notes the unknown keys of a table that say something.
fn note_unknown(table: &Table, path: &str, known: &[&str], ignored: &mut Vec<String>) {
    for (key, value) in table {
        let says_nothing = match value {
            Value::Null => true,
            Value::List(items) => items.is_empty(),
            Value::Table(table) => table.0.is_empty(),
            _ => false,
        };
        if !known.contains(&key.as_str()) && !says_nothing {
            ignored.push(if path.is_empty() { quote(key) } else { quote(&format!("{path}.{key}")) });
        }
    }
}

#[cfg(test)]
mod tests;
