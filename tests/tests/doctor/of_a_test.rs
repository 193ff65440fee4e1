//! What one test needs, and nothing else.

use tandem_tests::{TestResult, requirement};

use super::report::Report;
use super::{CONTAINER, TANDEM, run};

#[test]
fn a_test_is_told_what_it_needs_for_as_many_machines_as_it_has() -> TestResult {
    if !requirement::containers_and("python3") {
        return Ok(());
    }
    let three = CONTAINER.replace(
        "# ///\nm",
        "# [tool.tandem.machines.n]\n# backend = \"container\"\n# [tool.tandem.machines.o]\n# backend = \"container\"\n# ///\nm",
    );
    let alone = CONTAINER.replace("# ///\nm", "# vlans = []\n# ///\nm");
    let files = [("three.py", three.as_str()), ("alone.py", &alone)];
    let ended = run(TANDEM, &["doctor", "--json", "three.py", "alone.py"], &files)?;
    let report = Report::of(&ended)?;
    assert_eq!(ended.status, 0, "{}", ended.stdout);
    assert_eq!((report.runs("tests", "three.py"), report.runs("tests", "alone.py")), (Some(true), Some(true)));
    assert_eq!(report.0["backends"], serde_json::json!([]));
    let (_, terminals) = report.need("containers", "terminals");
    assert!(terminals.contains("for 3 containers"), "{terminals}");
    assert!(report.needs().iter().all(|need| need["group"] != "VMs" && need["group"] != "Nix builds"));
    report.need("LANs", "bridge");

    let ended = run(TANDEM, &["doctor", "--json", "alone.py"], &files)?;
    assert!(Report::of(&ended)?.needs().iter().all(|need| need["group"] != "LANs"), "{}", ended.stdout);
    Ok(())
}

#[test]
fn what_a_test_asks_of_this_host_in_vain_is_told() -> TestResult {
    if !requirement::containers_and("python3") {
        return Ok(());
    }
    let lacking = CONTAINER
        .replace("# ///\nm", "# ///\n# no more\nm")
        .replace("# /// script\n", "# /// script\n# dependencies = [\"no-such-package-of-python\"]\n");
    let ended = run(TANDEM, &["doctor", "--json", "test.py"], &[("test.py", &lacking)])?;
    let report = Report::of(&ended)?;
    assert_eq!((ended.status, report.runs("tests", "test.py")), (3, Some(false)), "{}", ended.stdout);
    let (verdict, told) = report.need("test.py", "dependency `no-such-package-of-python`");
    assert!(verdict == "missing" && told.contains("--python"), "{told}");
    Ok(())
}

#[test]
fn a_wrong_test_is_wrong_for_the_doctor_too() -> TestResult {
    let wrong = CONTAINER.replace("\"container\"", "\"contaner\"");
    let ended = run(TANDEM, &["doctor", "test.py"], &[("test.py", &wrong)])?;
    assert_eq!((ended.status, ended.stdout.as_str()), (2, ""), "{}", ended.stderr);
    assert!(ended.stderr.contains("did you mean \"container\"?"), "{}", ended.stderr);
    Ok(())
}
