//! Namespaces that give less than a host does.

use tandem_tests::program::Ended;
use tandem_tests::{TestResult, requirement};

use super::report::Report;
use super::{CONTAINER, TANDEM, apart, run};

const ROOT_OF_ONE: [&str; 2] = ["--user", "--map-root-user"];

/// As root of a user namespace with the ids of a system. What is executed before it has them has no rights in it.
fn apart_with_ids(script: &str, files: &[(&str, &str)]) -> TestResult<Ended> {
    const MAP: &str = r#"
        mkfifo gate
        unshare --user --mount sh -c 'read -r _ < gate; exec sh -euc "$0"' "$0" &
        child=$!
        while [ "$(readlink /proc/$child/ns/user)" = "$(readlink /proc/self/ns/user)" ]; do sleep 0.01; done
        echo 0 0 65536 > /proc/$child/uid_map
        echo 0 0 65536 > /proc/$child/gid_map
        echo go > gate
        wait $child"#;
    run("sh", &["-euc", MAP, script], files)
}

#[test]
fn a_namespace_of_one_user_has_no_containers() -> TestResult {
    if !requirement::containers_and("unshare") {
        return Ok(());
    }
    let script = format!("mount -t tmpfs none /dev/net; exec {TANDEM} doctor --json --backend container");
    let ended = apart(&ROOT_OF_ONE, &script, &[])?;
    let report = Report::of(&ended)?;
    assert_eq!((ended.status, report.0["place"].as_str()), (3, Some("user-namespace")), "{}", ended.stdout);
    let (verdict, told) = report.need("containers", "user ids");
    assert!(verdict == "missing" && told.starts_with("1 from 0 on in this user namespace"), "{told}");
    let (verdict, told) = report.need("LANs", "/dev/net/tun");
    assert!(verdict == "limited" && told.contains("sockets") && told.contains("modprobe tun"), "{told}");
    assert_eq!(report.need("LANs", "bridge").0, "ok");
    report.need("sandbox", "cgroup2");
    report.need("sandbox", "setuid");

    let ended = apart(&ROOT_OF_ONE, &format!("exec {TANDEM} run test.py"), &[("test.py", CONTAINER)])?;
    assert_eq!(ended.status, 3, "{}", ended.stderr);
    assert!(ended.stderr.contains("containers: user ids: 1 from 0 on"), "{}", ended.stderr);
    Ok(())
}

#[test]
fn the_build_of_a_derivation_is_told_what_to_ask_for() -> TestResult {
    if !requirement::containers_and("unshare") {
        return Ok(());
    }
    let doctor = format!("NIX_BUILD_TOP=/build exec {TANDEM} doctor --json --backend container");
    // As what a build is that asks for nothing: nobody in particular.
    let ended = apart(&["--user"], &doctor, &[])?;
    let report = Report::of(&ended)?;
    assert_eq!((ended.status, report.0["place"].as_str()), (3, Some("nix-build")), "{}", ended.stdout);
    let (verdict, told) = report.need("containers", "root");
    assert_eq!(verdict, "missing");
    for line in [
        "requiredSystemFeatures = [ \"uid-range\" ];",
        "auto-allocate-uids = true",
        "experimental-features = nix-command flakes auto-allocate-uids cgroups",
        "extra-system-features = uid-range",
        "nix.settings.auto-allocate-uids = true;",
    ] {
        assert!(told.contains(line), "no {line} in {told}");
    }
    // With the range.
    let ended = apart_with_ids(&doctor, &[])?;
    let report = Report::of(&ended)?;
    assert_eq!(report.need("containers", "user ids").0, "ok", "{}", ended.stdout);
    assert!(report.needs().iter().all(|need| need["group"] != "Nix builds"), "{}", ended.stdout);
    Ok(())
}

#[test]
fn many_containers_share_the_allowance_of_a_namespace() -> TestResult {
    if !requirement::containers_and("unshare") {
        return Ok(());
    }
    let machines: Vec<String> =
        (0..100).map(|number| format!("# [tool.tandem.machines.m{number}]\n# backend = \"container\"\n")).collect();
    let test = format!("# /// script\n{}# ///\npass\n", machines.concat());
    // As few as there mostly are by default.
    let script = format!("echo 128 > /proc/sys/user/max_inotify_instances; exec {TANDEM} doctor --json test.py");
    let ended = apart_with_ids(&script, &[("test.py", &test)])?;
    let (verdict, told) = Report::of(&ended)?.need("containers", "inotify");
    assert!(verdict == "limited" && told.contains("128 instances of this user namespace for 100 containers"), "{told}");
    assert!(told.contains("sysctl fs.inotify.max_user_instances=2048"), "{told}");
    Ok(())
}
