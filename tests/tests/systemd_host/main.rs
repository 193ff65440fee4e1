//! Containers on a real systemd host: scopes and registrations over D-Bus.

use std::path::Path;

use tandem_tests::TestResult;
use tandem_tests::requirement;

/// Runs a script on a systemd host; what it says, if it succeeds.
fn on_host(script: &str) -> TestResult<Option<String>> {
    let Some(host) = requirement::systemd_host() else { return Ok(None) };
    let output = host.run(Path::new(env!("CARGO_BIN_EXE_tandem-under-test")), script)?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let console = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{said}\n{console}", output.status);
    Ok(Some(said))
}

#[test]
fn host_registers_a_container_and_terminates_it() -> TestResult {
    on_host(concat!(
        "cat > test.py <<'SCRIPT'\n",
        include_str!("registered.py"),
        r#"SCRIPT
        tandem run test.py
        # machined notices the leader's end a moment later.
        for i in $(seq 50); do machinectl list | grep -q '^No machines' && break; sleep 0.1; done
        machinectl list | grep '^No machines'
        nothing systemctl list-units --all --plain --no-legend 'tandem-*'
        nothing find /sys/fs/cgroup -name 'tandem-*'
        nothing find /run -maxdepth 1 -name 'tandem*'
        "#
    ))
    .map(drop)
}

#[test]
fn host_registers_a_container_of_a_start_script() -> TestResult {
    on_host(concat!(
        "cat > run-box-nspawn <<'SCRIPT'\n",
        include_str!("run-box-nspawn"),
        "SCRIPT\nchmod +x run-box-nspawn\ncat > test.py <<'SCRIPT'\n",
        include_str!("scripted.py"),
        r#"SCRIPT
        tandem run test.py
        nothing systemctl list-units --all --plain --no-legend 'tandem-*'
        nothing find /sys/fs/cgroup -name 'tandem-*'
        nothing find /run -maxdepth 1 -name 'tandem*'
        nothing find /run -maxdepth 1 -name 'netns' -o -maxdepth 1 -name 'nixos-nspawn'
        "#
    ))
    .map(drop)
}

#[test]
fn host_with_cgroups_of_version_2_runs_containers_directly() -> TestResult {
    let said = on_host(concat!(
        "cat > test.py <<'SCRIPT'\n",
        include_str!("direct.py"),
        r#"SCRIPT
        tandem run test.py
        nothing find /sys/fs/cgroup -name 'tandem-*'
        nothing find /run -maxdepth 1 -name 'tandem*'
        "#
    ))?;
    assert!(said.is_none_or(|said| !said.contains("registered")));
    Ok(())
}

#[test]
fn host_without_its_machined_is_an_error_only_where_it_is_required() -> TestResult {
    let said = on_host(concat!(
        "cat > auto.py <<'SCRIPT'\n",
        include_str!("masked.py"),
        r#"SCRIPT
        sed 's/"auto"/"require"/' auto.py > require.py
        systemctl mask --now systemd-machined.service
        tandem run auto.py
        status=0
        tandem run require.py || status=$?
        [ $status = 4 ]
        "#
    ))?;
    assert!(said.is_none_or(|said| said.contains("not registered with systemd-machined")));
    Ok(())
}

#[test]
fn host_is_looked_at_by_the_doctor() -> TestResult {
    on_host(
        r#"
        verdict() {
            tandem doctor --json --backend container | python3 -c "
import json, sys
report = json.load(sys.stdin)
[need] = [need for need in report['needs'] if need['name'] == '$1']
print(need['verdict'], need['found'])
assert report['backends'] == [{'name': 'container', 'runs': True}], report['backends']"
        }
        verdict systemd-machined | grep '^ok '
        verdict cgroups | grep 'version 2'
        mv /run/dbus/system_bus_socket /run/dbus/hidden
        verdict systemd-machined | grep '^limited there is no system bus'
        mv /run/dbus/hidden /run/dbus/system_bus_socket
        nothing find /run -maxdepth 1 -name 'tandem*'
        "#,
    )
    .map(drop)
}
