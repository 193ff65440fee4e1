//! What the keys of a machine mean.

use std::collections::BTreeMap;
use std::path::Path;

use super::report::{Report, quote};
use super::value::{Table, Value};
use super::{MachineSpec, Root, VlanId, conflict, resource, root, unit, vm};

const KEYS: [&str; 16] = [
    "backend",
    "root",
    "cpus",
    "memory",
    "vlans",
    "units",
    "env",
    "devices",
    "binds",
    "kernel",
    "initrd",
    "cmdline",
    "accel",
    "disks",
    "qemu-args",
    "start-script",
];

/// Reads the table of a machine. The paths in it begin in `directory`.
pub(super) fn read(name: &str, table: &Table, directory: &Path, report: &mut Report<'_>) -> MachineSpec {
    let mut spec = MachineSpec::new(name, "");
    let mut root = Some(Root::Host);
    if table.value("backend").is_none() {
        report.problem("no `backend`", "add the key `backend`, such as `backend = \"container\"`");
    }
    for (key, value) in table {
        let mut report = report.key(key);
        match key.as_str() {
            "backend" => spec.backend = backend(value, &mut report),
            "root" => root = root::read(value, directory, &mut report),
            "vlans" => spec.vlans = vlans(value, &mut report),
            "units" => spec.units = units(value, &mut report),
            "env" => spec.env = env(value, &mut report),
            "devices" => spec.devices = resource::devices(value, &mut report),
            "binds" => spec.binds = resource::binds(value, &mut report),
            _ if vm_key(key, value, directory, &mut spec, &mut report) => {}
            _ => report.unknown_key(key, &KEYS),
        }
    }
    conflict::check(table, root.as_ref(), report);
    spec.root = root.unwrap_or(Root::Host);
    spec
}

/// Reads a key that has to do with VMs; false for any other.
fn vm_key(key: &str, value: &Value, directory: &Path, spec: &mut MachineSpec, report: &mut Report<'_>) -> bool {
    match key {
        "cpus" => spec.cpus = vm::cpus(value, report),
        "memory" => spec.memory = vm::memory(value, report),
        "kernel" => spec.kernel = vm::kernel(value, directory, report),
        "initrd" => spec.initrd = vm::initrd(value, directory, report),
        "cmdline" => spec.cmdline = vm::cmdline(value, report),
        "accel" => spec.accel = vm::accel(value, report),
        "disks" => spec.disks = vm::disks(value, directory, report),
        "qemu-args" => spec.qemu_args = vm::qemu_args(value, report),
        "start-script" => spec.start_script = vm::start_script(value, directory, report),
        _ => return false,
    }
    true
}

fn backend(value: &Value, report: &mut Report<'_>) -> String {
    let name = report.string(value, "the name of a backend such as `\"container\"`").map(str::to_owned);
    if name.as_deref() == Some("") {
        report.problem("the name is empty", "name a backend such as `container`");
    }
    name.unwrap_or_default()
}

fn vlans(value: &Value, report: &mut Report<'_>) -> Vec<VlanId> {
    let expected = "a list of whole numbers such as `[1, 2]`";
    let mut vlans = Vec::new();
    for item in report.list(value, expected) {
        let Value::Integer(number) = item else {
            report.wrong_type(expected, format_args!("{item} in the list"));
            continue;
        };
        match u16::try_from(*number).ok().and_then(VlanId::new) {
            None => report.problem(format!("{number} is no VLAN"), "use numbers from 1 to 255"),
            Some(vlan) if vlans.contains(&vlan) => report.problem(format!("VLAN {vlan} comes twice"), "name it once"),
            Some(vlan) => vlans.push(vlan),
        }
    }
    vlans
}

fn units(value: &Value, report: &mut Report<'_>) -> Vec<String> {
    let units = report.strings(value, "a list of units such as `[\"nginx.service\"]`");
    for name in &units {
        if let Some((wrong, cure)) = unit::wrong_with_unit(name) {
            report.problem(format!("{} {wrong}", quote(name)), cure);
        }
    }
    units.into_iter().map(str::to_owned).collect()
}

fn env(value: &Value, report: &mut Report<'_>) -> BTreeMap<String, String> {
    let mut env = BTreeMap::new();
    for (name, value) in report.table(value, "a table of strings").into_iter().flatten() {
        let mut report = report.part(format_args!("variable {}", quote(name)));
        if !unit::is_variable(name) {
            report.problem("the name is no variable's", "use letters, digits and `_`, and no digit first");
        }
        let Some(text) = report.string(value, "a string") else { continue };
        if text.contains('\0') {
            report.problem("the value has a NUL in it", "take it out: no environment can hold it");
        }
        env.insert(name.clone(), text.to_owned());
    }
    env
}

#[cfg(test)]
mod tests {
    use super::super::{Accel, Disk, toml};
    use super::*;

    fn parsed(text: &str) -> (MachineSpec, String) {
        let mut problems = Vec::new();
        let table = toml::parse(text).unwrap();
        let spec = read("web", &table, Path::new(""), &mut Report::new(Path::new("t"), &mut problems));
        (spec, super::super::list(&problems))
    }

    #[test]
    fn only_the_backend_must_be_said() {
        let (spec, problems) = parsed("backend = 'container'");
        assert_eq!(problems, "");
        assert_eq!((spec.name.as_str(), spec.backend.as_str(), &spec.root), ("web", "container", &Root::Host));
        assert_eq!(spec.vlans, [VlanId::new(1).unwrap()]);
        assert_eq!((spec.units.len(), spec.env.len(), spec.devices.len(), spec.binds.len()), (0, 0, 0, 0));
        assert_eq!(spec, MachineSpec::new("web", "container"));
    }

    #[test]
    fn everything_can_be_said() {
        let (spec, problems) = parsed(
            "backend = 'x'\nroot = 'host'\nvlans = [2, 1]\nunits = ['a.service', 'b@1.timer']\nenv = { A = '', B_1 = 'é' }\n\
             devices = ['/dev/null']\nbinds = ['/usr:/data:rw']",
        );
        assert_eq!(problems, "");
        assert_eq!(spec.vlans.iter().map(|vlan| vlan.number()).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(spec.units, ["a.service", "b@1.timer"]);
        assert_eq!(
            spec.env.into_iter().collect::<Vec<_>>(),
            [("A".to_owned(), String::new()), ("B_1".to_owned(), "é".to_owned())]
        );
        assert_eq!((spec.devices.len(), spec.binds.len()), (1, 1));
        assert_eq!(parsed("backend = 'x'\nvlans = []").0.vlans, []);
    }

    #[test]
    fn a_vm_can_be_said() {
        let (spec, problems) = parsed(
            "backend = 'vm'\ncpus = 2\nmemory = '1G'\nkernel = '/bin/sh'\ncmdline = 'quiet'\naccel = 'tcg'\ndisks = ['1G', 5]\n\
             qemu-args = ['-device', 'virtio-balloon']",
        );
        assert_eq!(problems, "");
        let expected = MachineSpec {
            cpus: Some(2),
            memory: Some(1024),
            kernel: Some("/bin/sh".into()),
            cmdline: Some("quiet".to_owned()),
            accel: Accel::Tcg,
            disks: vec![Disk::Empty(1024), Disk::Empty(5)],
            qemu_args: vec!["-device".to_owned(), "virtio-balloon".to_owned()],
            ..MachineSpec::new("web", "vm")
        };
        assert_eq!(spec, expected);
        let (spec, problems) = parsed("backend = 'vm'\nstart-script = '/bin/sh'\nqemu-args = []");
        assert_eq!(problems, "");
        assert_eq!(spec.start_script, Some("/bin/sh".into()));
    }

    #[test]
    fn problems_of_a_vm_come_at_once_and_without_echoes() {
        let (spec, problems) = parsed(
            "backend = 'vm'\nroot = '/nowhere'\ncpus = 0\nmemory = '1X'\nkernel = '/nowhere'\ninitrd = '/bin/sh'\naccel = 'kmv'\n\
             disks = ['0G']\nqemu-args = '-S'\nqemu_args = []",
        );
        let cure = "name a file that exists and that you may read; a relative path begins beside the test file";
        let expected = [
            "t: key `root`: `/nowhere` does not exist; give \"host\", a directory, a tar file or a disk image; a relative path begins beside the test file",
            "t: key `cpus`: 0 is no number of processors; give 1 to 255",
            "t: key `memory`: `1X` is not a size such as `512M` or `2G`; write a size such as `\"512M\"` or `\"2G\"`",
            &format!("t: key `kernel`: `/nowhere` does not exist; {cure}"),
            "t: key `accel`: `kmv` is none of `auto`, `kvm`, `tcg`; did you mean `kvm`?",
            "t: key `disks`: `0G` is not more than zero; write a size such as `\"512M\"` or `\"2G\"`",
            "t: key `qemu-args`: expected a list of strings, found a string; write `[\"-S\"]`",
            "t: key `qemu_args`: unknown key; did you mean `qemu-args`?",
        ];
        assert_eq!(problems.lines().collect::<Vec<_>>(), expected);
        assert_eq!(spec.root, Root::Host);

        let (_, problems) = parsed("backend = 'vm'\ninitrd = '/bin/sh'\nmemory = 1");
        let about: Vec<_> = problems.lines().map(|line| line.split("`: ").next().unwrap()).collect();
        assert_eq!(about, ["t: key `memory", "t: key `initrd", "t: key `initrd"], "{problems}");
    }

    #[test]
    fn bad_values_are_told() {
        for (text, expected) in [
            ("backend = ''", "t: key `backend`: the name is empty; name a backend such as `container`"),
            (
                "backend = 1",
                "t: key `backend`: expected the name of a backend such as `\"container\"`, found a whole number",
            ),
            (
                "root = 1",
                "t: key `root`: expected `\"host\"`, a directory, a tar file or a disk image, found a whole number",
            ),
            (
                "root = 'nowhere'",
                "t: key `root`: `nowhere` does not exist; give \"host\", a directory, a tar file or a disk image; a relative path begins beside the test file",
            ),
            ("vlans = 1", "t: key `vlans`: expected a list of whole numbers such as `[1, 2]`, found a whole number"),
            (
                "vlans = [1.0]",
                "t: key `vlans`: expected a list of whole numbers such as `[1, 2]`, found a number in the list",
            ),
            ("vlans = [256]", "t: key `vlans`: 256 is no VLAN; use numbers from 1 to 255"),
            ("vlans = [-1]", "t: key `vlans`: -1 is no VLAN; use numbers from 1 to 255"),
            ("vlans = [65537]", "t: key `vlans`: 65537 is no VLAN; use numbers from 1 to 255"),
            ("vlans = [3, 1, 3]", "t: key `vlans`: VLAN 3 comes twice; name it once"),
            (
                "units = 'a.service'",
                "t: key `units`: expected a list of units such as `[\"nginx.service\"]`, found a string",
            ),
            (
                "units = ['nginx']",
                "t: key `units`: `nginx` is no unit that can be started; end it with `.service` or another type of unit",
            ),
            (
                "env = { 1A = 'x' }",
                "t: key `env`: variable `1A`: the name is no variable's; use letters, digits and `_`, and no digit first",
            ),
            ("env = { A = 1 }", "t: key `env`: variable `A`: expected a string, found a whole number"),
            (
                r#"env = { A = "\u0000" }"#,
                "t: key `env`: variable `A`: the value has a NUL in it; take it out: no environment can hold it",
            ),
            ("env = ['A=1']", "t: key `env`: expected a table of strings, found a list"),
            (
                "devices = ['/dev/nothing']",
                "t: key `devices`: `/dev/nothing` does not exist; name a device that this host has",
            ),
            (
                "binds = ['usr']",
                "t: key `binds`: `usr` is no bind; write `/path`, `/source:/target` or `/source:/target:rw`, with absolute paths without `..`",
            ),
            (
                "binds = [1]",
                "t: key `binds`: expected a list of binds such as `[\"/srv/data:/data:rw\"]`, found a whole number in the list",
            ),
            ("vlan = [1]", "t: key `vlan`: unknown key; did you mean `vlans`?"),
            (
                "colour = 'x'",
                "t: key `colour`: unknown key; the keys here are `backend`, `root`, `cpus`, `memory`, `vlans`, `units`, `env`, `devices`, `binds`, `kernel`, `initrd`, `cmdline`, `accel`, `disks`, `qemu-args`, `start-script`",
            ),
        ] {
            let text = if text.starts_with("backend") { text.to_owned() } else { format!("backend = 'x'\n{text}") };
            assert_eq!(parsed(&text).1, expected);
        }
        assert_eq!(parsed("").1, "t: no `backend`; add the key `backend`, such as `backend = \"container\"`");
    }
}
