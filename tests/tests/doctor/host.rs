//! This host, which has what tests need.

use std::collections::BTreeSet;

use tandem_tests::{TestResult, requirement};

use super::report::Report;
use super::{TANDEM, run};

#[test]
fn a_host_that_runs_tests_is_told_so() -> TestResult {
    if !requirement::virtual_machines() || !requirement::program("python3") {
        return Ok(());
    }
    let ended = run(TANDEM, &["doctor", "--json"], &[])?;
    let report = Report::of(&ended)?;
    assert_eq!(ended.status, 0, "{}", ended.stdout);
    assert_eq!(report.0["version"], 1);
    assert_eq!((report.runs("backends", "container"), report.runs("backends", "vm")), (Some(true), Some(true)));
    assert_eq!(report.0["tests"], serde_json::json!([]));
    let mut names = BTreeSet::new();
    for need in report.needs() {
        for field in ["group", "name", "purpose", "found"] {
            assert!(need[field].as_str().is_some_and(|text| !text.is_empty()), "no {field} in {need}");
        }
        let verdict = need["verdict"].as_str().unwrap_or_default();
        assert!(["ok", "unused", "limited"].contains(&verdict), "{need}");
        let advice = need["cure"]["advice"].as_str();
        assert!(advice.is_some() && need["cure"]["lines"].is_array(), "{need}");
        assert!(verdict != "limited" || advice != Some(""), "no cure in {need}");
        assert!(names.insert((need["group"].to_string(), need["name"].to_string())), "twice: {need}");
    }
    for (group, name) in [
        ("every test", "rights"),
        ("every test", "python3"),
        ("every test", "disk space"),
        ("every test", "cgroups"),
        ("every test", "systemd-machined"),
        ("containers", "systemd-nspawn"),
        ("containers", "overlay"),
        ("containers", "inotify"),
        ("containers", "terminals"),
        ("VMs", "virtiofsd"),
        ("VMs", "KVM"),
        ("VMs", "kernel"),
        ("screens", "tesseract"),
        ("LANs", "bridge"),
        ("LANs", "/dev/net/tun"),
    ] {
        report.need(group, name);
    }
    let (_, nspawn) = report.need("containers", "systemd-nspawn");
    assert!(nspawn.starts_with("systemd 2"), "{nspawn}");
    Ok(())
}

#[test]
fn people_are_told_the_same() -> TestResult {
    if !requirement::virtual_machines() || !requirement::program("python3") {
        return Ok(());
    }
    let report = Report::of(&run(TANDEM, &["doctor", "--json"], &[])?)?;
    let ended = run(TANDEM, &["doctor"], &[])?;
    assert_eq!(ended.status, 0, "{}", ended.stdout);
    for need in report.needs() {
        let name = need["name"].as_str().unwrap_or_default();
        let told = ended.stdout.lines().any(|line| line.split("  ").any(|column| column.trim() == name));
        assert!(told, "no {name} in\n{}", ended.stdout);
    }
    assert!(ended.stdout.ends_with("container  can run here\nvm         can run here\n"), "{}", ended.stdout);
    assert!(!ended.stdout.contains('\x1b'), "colours in what is no terminal");
    Ok(())
}

#[test]
fn an_unknown_backend_is_refused() -> TestResult {
    let ended = run(TANDEM, &["doctor", "--backend", "contaner"], &[])?;
    assert_eq!((ended.status, ended.stdout.as_str()), (2, ""));
    assert!(ended.stderr.contains("did you mean `container`?"), "{}", ended.stderr);
    Ok(())
}
