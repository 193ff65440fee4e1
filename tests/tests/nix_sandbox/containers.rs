//! Containers, as root of a range of user ids.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::json;
use tandem_tests::nix::BUILDER;
use tandem_tests::roots::SmallRoot;
use tandem_tests::upstream::Container;
use tandem_tests::{TestResult, host_lock, requirement};

use crate::build::{Build, build};

const RANGE: &str = r#"["uid-range"]"#;

fn settings(paths: &str) -> String {
    BUILDER.replace("extra-sandbox-paths = /dev/net\n", &format!("extra-sandbox-paths = {paths}\n"))
}

#[test]
fn nix_containers_conform() -> TestResult {
    let _lock = host_lock::shared()?;
    let program = Path::new(env!("CARGO_BIN_EXE_conforms-under-test"));
    let directory = tempfile::tempdir()?;
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))?;
    fs::copy(program, directory.path().join("conforms"))?;
    let said = build(&Build {
        settings: &settings("/suite"),
        features: RANGE,
        enter: include_str!("range.sh"),
        command: "busybox cp /suite/conforms bin; conforms $distribution; busybox mkdir $out",
        files: &[],
        binds: &[(directory.path().to_owned(), "/suite")],
        then: "",
    })?;
    let Some(said) = said else { return Ok(()) };
    // A case that is not run would not be missed otherwise.
    assert!(said.matches(" ... ok").count() > 50, "{said}");
    Ok(())
}

#[test]
fn nix_containers_have_files_and_confined_units() -> TestResult {
    if !requirement::containers() {
        return Ok(());
    }
    let root = SmallRoot::build()?;
    let (roots, name) = (root.tar.parent().ok_or("no directory")?, root.tar.file_name().ok_or("no name")?);
    let _lock = host_lock::shared()?;
    let test = format!(
        "script = \"confined.py\"\n[machines.archive]\nbackend = \"container\"\nroot = \"/roots/{}\"\n\
         [machines.path]\nbackend = \"container\"\nroot = \"@\"\n",
        name.display()
    );
    let said = build(&Build {
        settings: &settings("/roots"),
        features: RANGE,
        enter: include_str!("range.sh"),
        command: r#"busybox cp -r $files test; cd test; busybox chmod u+w . test.toml; busybox sed -i "s|@|$distribution|" test.toml; tandem check test.toml; tandem run -o $out test.toml"#,
        files: &[("confined.py", include_str!("confined.py")), ("test.toml", &test)],
        binds: &[(roots.to_owned(), "/roots")],
        then: "",
    })?;
    let Some(said) = said else { return Ok(()) };
    for text in [
        "machine `path`: files in a Nix store have no set-user-ID bit, so these work for root alone: su, mount",
        "machine `archive`: a Nix build can make no set-user-ID files",
        "archive: nowhere.service ends with 226/NAMESPACE: systemd could not start ",
    ] {
        assert!(said.contains(text), "{said}");
    }
    // A build's log is a file, however it looks to the build.
    assert!(!said.contains('\r'), "{said}");
    Ok(())
}

#[test]
fn nix_start_scripts_of_containers_run_as_upstreams_do() -> TestResult {
    if !requirement::containers() {
        return Ok(());
    }
    let _lock = host_lock::shared()?;
    let directory = tempfile::tempdir()?;
    let here = directory.path().display().to_string();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))?;
    let hosts = vec![("one".to_owned(), 1), ("two".to_owned(), 2)];
    for (name, node) in [("one", 1), ("two", 2)] {
        let script = Container { hosts: hosts.clone(), ..Container::new(name, node, &[1]) }.write(directory.path())?;
        fs::write(&script, fs::read_to_string(&script)?.replace(&here, "/machines"))?;
    }
    let wrapper = directory.path().join("run-nspawn");
    let (_, text) =
        fs::read_to_string(&wrapper)?.split_once('\n').map(|(a, b)| (a.to_owned(), b.to_owned())).ok_or("no line")?;
    fs::write(&wrapper, format!("#!/usr/bin/python3\n{text}"))?;
    let configuration = json!({
        "vms": {},
        "containers": {
            "one": { "start_script": "/machines/run-one-nspawn" },
            "two": { "start_script": "/machines/run-two-nspawn" },
        },
        "vlans": [1],
        "global_timeout": 600,
        "enable_ssh_backdoor": false,
        "test_script": "/build/test-script",
    });
    let script = "start_all()\none.wait_for_unit('test.target')\none.succeed('ping -c 1 two')\n\
                  two.succeed('systemctl is-system-running --wait', 'echo shared >/tmp/shared/file')\n\
                  one.succeed('grep shared /tmp/shared/file')\none.copy_from_machine('/etc/hostname')\n";
    let said = build(&Build {
        settings: &settings("/machines"),
        features: RANGE,
        enter: include_str!("range.sh"),
        command: "busybox ln -s tandem bin/nixos-test-driver; busybox cp $files/test-script . ; busybox mkdir $out; LOGFILE=/dev/null nixos-test-driver --config $files/configuration -o $out; busybox ls -a /build",
        files: &[("test-script", script), ("configuration", &configuration.to_string())],
        binds: &[(directory.path().to_owned(), "/machines")],
        then: "grep one result/hostname",
    })?;
    let Some(said) = said else { return Ok(()) };
    assert!(said.contains("test script finished in "), "{said}");
    // Upstream's places are used, and nothing of ours is left.
    assert!(!said.lines().any(|line| line.starts_with("tandem-") || line.starts_with("vm-state-")), "{said}");
    Ok(())
}
