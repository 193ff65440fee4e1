use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

/// A directory with a start script, one that may not be executed, and a test script.
fn files() -> tempfile::TempDir {
    let files = tempfile::tempdir().unwrap();
    for (name, mode) in [("run-a-vm", 0o755), ("run-c-nspawn", 0o755), ("plain", 0o644), ("test.py", 0o644)] {
        fs::write(files.path().join(name), "pass\n").unwrap();
        fs::set_permissions(files.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    files
}

/// What is read from a configuration with this text, and what is said of it, without the name of the file.
fn read_text(files: &Path, text: &str) -> (Option<TestSpec>, String) {
    let path = files.join("driverConfiguration.json");
    fs::write(&path, text).unwrap();
    let (spec, problems) = crate::spec::examine_configuration(&path);
    let said = super::super::list(&problems).replace(&format!("{}: ", path.display()), "");
    (spec, said.replace(&files.display().to_string(), "DIR"))
}

const WHOLE: &str = r#"{
    "vms": {"a": {"name": "other", "start_script": "run-a-vm"}},
    "containers": {"c_1": {"name": "c_1", "start_script": "run-c-nspawn", "vnc": null, "display_targets": []}},
    "vlans": [2, 1, 2],
    "global_timeout": 90.5,
    "enable_ssh_backdoor": true,
    "test_script": "test.py",
    "display_viewers": {}
}"#;

#[test]
fn a_configuration_is_a_test() {
    let files = files();
    let (spec, said) = read_text(files.path(), WHOLE);
    assert_eq!(said, "");
    let spec = spec.unwrap();
    assert_eq!((spec.name.as_str(), spec.script), ("driverConfiguration", files.path().join("test.py")));
    assert_eq!((spec.global_timeout.as_millis(), spec.ssh_backdoor), (90_500, true));
    let vlans = [1, 2].map(|number| VlanId::new(number).unwrap()).to_vec();
    let machine = |name: &str, backend: &str, script: &str| MachineSpec {
        vlans: vlans.clone(),
        start_script: Some(files.path().join(script)),
        ..MachineSpec::new(name, backend)
    };
    assert_eq!(spec.machines, [machine("a", "vm", "run-a-vm"), machine("c_1", "container", "run-c-nspawn")]);
    assert_eq!(spec.notes, [""; 0]);
}

#[test]
fn a_test_file_of_json_may_be_one() {
    let files = files();
    let (spec, _) = read_text(files.path(), WHOLE);
    assert_eq!(crate::spec::read(&files.path().join("driverConfiguration.json")).ok(), spec);
    // What has our keys is ours.
    fs::write(files.path().join("ours.json"), r#"{"script": "test.py", "vms": {}}"#).unwrap();
    let problems = crate::spec::read(&files.path().join("ours.json")).unwrap_err();
    assert!(problems[0].to_string().contains("key `vms`: unknown key"), "{problems:?}");
}

#[test]
fn keys_that_mean_nothing_here_are_noted_once() {
    let files = files();
    let text = WHOLE.replace("\"vnc\": null", "\"vnc\": {\"x11vnc\": \"/x\"}");
    let text = text.replace("\"display_viewers\": {}", "\"display_viewers\": {\"vnc\": 1}, \"later\": true");
    let (spec, said) = read_text(files.path(), &text);
    assert_eq!(said, "");
    let expected =
        "ignored in the configuration, for they mean nothing here: `containers.c_1.vnc`, `display_viewers`, `later`";
    assert_eq!(spec.unwrap().notes, [expected]);

    let (spec, _) = read_text(files.path(), r#"{"later\u001b[2J\n": 1}"#);
    let expected = "ignored in the configuration, for they mean nothing here: `later\\u{1b}[2J\\n`";
    assert_eq!(spec.unwrap().notes, [expected]);
}

#[test]
fn each_mistake_has_its_place_in_the_file() {
    let files = files();
    for (from, to, expected) in [
        (
            "\"run-a-vm\"",
            "3",
            "`vms.a.start_script`: expected the path of a program that boots the machine, found a whole number",
        ),
        ("\"run-a-vm\"", "\"no\"", "`vms.a.start_script`: `DIR/no` does not exist; name a file"),
        (
            "\"run-a-vm\"",
            "\"plain\"",
            "`vms.a.start_script`: `DIR/plain` may not be executed; run `chmod +x DIR/plain`",
        ),
        (
            "\"start_script\": \"run-a",
            "\"startscript\": \"run-a",
            "`vms.a.start_script`: expected the path of a program that boots the machine, found nothing; rename the key `startscript`",
        ),
        (
            "{\"name\": \"other\", \"start_script\": \"run-a-vm\"}",
            "[]",
            "`vms.a`: expected a table with the key `start_script`, found a list",
        ),
        ("\"other\"", "7", "`vms.a.name`: expected a string, found a whole number"),
        ("\"a\":", "\"c-1\":", "`containers.c_1`: the variable `c_1` in the script would also be machine `c-1`"),
        ("\"a\":", "\"a/b\":", "`vms.a/b`: the name has a `/` in it"),
        (
            "[2, 1, 2]",
            "[0, \"1\", 256]",
            "`vlans[0]`: 0 is no VLAN; use numbers from 1 to 255\n`vlans[1]`: expected a whole number, found a string\n`vlans[2]`: 256",
        ),
        ("[2, 1, 2]", "1", "`vlans`: expected a list of whole numbers such as `[1, 2]`, found a whole number"),
        ("90.5", "-1", "`global_timeout`: `-1` is not more than zero"),
        ("90.5", "null", "`global_timeout`: expected seconds or a time such as `\"5m\"`, found null"),
        ("true", "\"yes\"", "`enable_ssh_backdoor`: expected `true` or `false`, found a string"),
        ("\"test.py\"", "\"none.py\"", "`test_script`: `DIR/none.py` does not exist"),
        ("\"test.py\"", "{}", "`test_script`: expected the path of a Python script, found a table"),
        (
            "\"global_timeout\"",
            "\"globalTimeout\"",
            "`global_timeout`: expected a number of seconds, found nothing; rename the key `globalTimeout`",
        ),
    ] {
        let text = WHOLE.replacen(from, to, 1);
        assert_ne!(text, WHOLE, "{from}");
        let (_, said) = read_text(files.path(), &text);
        assert!(said.starts_with(expected), "{to}: {said}");
    }
}

#[test]
fn all_mistakes_are_told_at_once() {
    let files = files();
    let (spec, said) = read_text(files.path(), r#"{"vms": {"a": {}}, "vlans": ["x"]}"#);
    assert!(spec.is_some());
    let places: Vec<_> = said.lines().map(|line| line.split(": ").next().unwrap()).collect();
    let expected = [
        "`vlans[0]`",
        "`containers`",
        "`global_timeout`",
        "`enable_ssh_backdoor`",
        "`test_script`",
        "`vms.a.start_script`",
    ];
    assert_eq!(places, expected);
}

#[test]
fn what_is_no_json_is_told_with_its_place() {
    let files = files();
    for (text, expected) in [
        ("", "DIR/driverConfiguration.json:1:1: not valid JSON: EOF while parsing a value"),
        ("{\n\"vms\": {},,\n}", "DIR/driverConfiguration.json:2:11: not valid JSON: "),
        ("[]", "DIR/driverConfiguration.json:1:1: not valid JSON: expected an object `{...}`, found a list"),
    ] {
        let (spec, said) = read_text(files.path(), text);
        assert!(spec.is_none() && said.starts_with(expected), "{said}");
    }
}
