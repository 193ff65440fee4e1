//! A host that lacks something: it is named with its cure, and `run` says the same.

use std::path::Path;

use tandem_tests::{TestResult, requirement};

use super::report::Report;
use super::{CONTAINER, TANDEM, apart, run};

/// Where this host may have programs that are found without a `PATH`.
const FOUND_ANYWHERE: [&str; 4] =
    ["/usr/bin/systemd-nspawn", "/usr/libexec/virtiofsd", "/usr/lib/qemu/virtiofsd", "/usr/lib/virtiofsd"];

/// A shell command that hides all programs from the one that follows.
fn hiding() -> String {
    let there = FOUND_ANYWHERE.iter().filter(|path| Path::new(path).exists());
    let hide = there.map(|path| format!("mount --bind /dev/null {path}; "));
    hide.collect::<String>() + "PATH=/no/such/directory exec "
}

#[test]
fn each_program_that_is_missing_is_named_with_what_brings_it() -> TestResult {
    if !requirement::virtual_machines() {
        return Ok(());
    }
    let ended = apart(&[], &format!("{}{TANDEM} doctor --json", hiding()), &[])?;
    let report = Report::of(&ended)?;
    assert_eq!(ended.status, 3, "{}", ended.stdout);
    let qemu = format!("qemu-system-{}", std::env::consts::ARCH);
    for (group, name, package) in [
        ("every test", "python3", "apt-get install python3"),
        ("containers", "systemd-nspawn", "apt-get install systemd-container"),
        ("VMs", qemu.as_str(), "apt-get install qemu-system"),
        ("VMs", "virtiofsd", "pkgs.virtiofsd"),
        ("VMs", "mke2fs", "pkgs.e2fsprogs"),
    ] {
        let (verdict, told) = report.need(group, name);
        assert!(verdict == "missing" && told.contains(package), "{name}: {verdict}, {told}");
    }
    for (group, name, package) in
        [("VMs", "qemu-img", "apt-get install qemu-utils"), ("screens", "tesseract", "apt-get install tesseract-ocr")]
    {
        let (verdict, told) = report.need(group, name);
        assert!(verdict == "limited" && told.contains(package), "{name}: {verdict}, {told}");
    }
    assert_eq!((report.runs("backends", "container"), report.runs("backends", "vm")), (Some(false), Some(false)));
    Ok(())
}

#[test]
fn a_run_says_the_same_of_what_it_needs() -> TestResult {
    if !requirement::containers() {
        return Ok(());
    }
    let files = [("test.py", CONTAINER)];
    let doctor = apart(&[], &format!("{}{TANDEM} doctor --json test.py", hiding()), &files)?;
    let report = Report::of(&doctor)?;
    assert_eq!((doctor.status, report.runs("tests", "test.py")), (3, Some(false)), "{}", doctor.stdout);
    assert!(report.needs().iter().all(|need| need["group"] != "VMs"), "it has no VM: {}", doctor.stdout);
    for command in ["run", "check"] {
        let ended = apart(&[], &format!("{}{TANDEM} {command} test.py", hiding()), &files)?;
        assert_eq!(ended.status, 3, "{}", ended.stderr);
        assert!(ended.stderr.ends_with("2 problems, nothing was started\n"), "{}", ended.stderr);
        for need in report.needs().iter().filter(|need| need["verdict"] == "missing") {
            let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
            let (group, name, found) = (text(&need["group"]), text(&need["name"]), text(&need["found"]));
            let told = format!("{group}: {name}: {found}; {}", text(&need["cure"]["advice"]));
            assert!(ended.stderr.contains(&told), "no {told} in {}", ended.stderr);
            for lines in need["cure"]["lines"].as_array().into_iter().flatten() {
                let line = text(&lines["lines"][0]);
                assert!(ended.stderr.contains(&line), "no {line} in {}", ended.stderr);
            }
        }
        assert!(!ended.directory.path().join("tandem-out").exists());
    }
    Ok(())
}

#[test]
fn who_is_not_root_is_told_to_be() -> TestResult {
    if !requirement::containers_and("setpriv") {
        return Ok(());
    }
    let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups", TANDEM];
    let ended = run("setpriv", &[&nobody[..], &["doctor", "--json", "--backend", "container"]].concat(), &[])?;
    let report = Report::of(&ended)?;
    assert_eq!((ended.status, report.0["place"].as_str()), (3, Some("host")), "{}", ended.stdout);
    let (verdict, told) = report.need("containers", "root");
    assert!(verdict == "missing" && told.contains("this is user 65534") && told.contains("sudo"), "{told}");

    let ended = run("setpriv", &["--bounding-set=-sys_admin", TANDEM, "doctor", "--json"], &[])?;
    let report = Report::of(&ended)?;
    assert_eq!(ended.status, 3, "{}", ended.stdout);
    let (verdict, told) = report.need("every test", "rights");
    assert!(verdict == "missing" && told.starts_with("this root has no CAP_SYS_ADMIN"), "{told}");
    Ok(())
}

#[test]
fn a_registration_that_cannot_be_is_told_before_anything_starts() -> TestResult {
    if !requirement::containers_and("python3") {
        return Ok(());
    }
    let required = CONTAINER.replace("# [tool.tandem.m", "# [tool.tandem]\n# machined = \"require\"\n# [tool.tandem.m");
    let script = |command: &str| format!("mount -t tmpfs none /run; exec {TANDEM} {command} test.py");
    let ended = apart(&[], &script("doctor --json"), &[("test.py", &required)])?;
    let (verdict, told) = Report::of(&ended)?.need("every test", "systemd-machined");
    assert!(ended.status == 3 && verdict == "missing" && told.contains("systemd does not run here"), "{told}");
    let ended = apart(&[], &script("run"), &[("test.py", &required)])?;
    assert_eq!(ended.status, 3, "{}", ended.stderr);
    assert!(ended.stderr.contains("systemd-machined: systemd does not run here"), "{}", ended.stderr);
    Ok(())
}
