//! Each container has a systemd of its own.

use std::time::Duration;

use driver_core::event::Kind;
use tandem_tests::stage::{Stage, container};
use tandem_tests::{TestResult, requirement};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_unit_lives_in_two_containers() -> TestResult {
    if !requirement::containers() {
        return Ok(());
    }
    let stage = Stage::boot(vec![container("one"), container("two")]).await?;
    let (one, two) = (stage.machine("one"), stage.machine("two"));
    for machine in [&one, &two] {
        let name = machine.name();
        machine.succeed(&format!("systemd-run --unit same bash -c 'exec -a same-in-{name} sleep 1000'"), None).await?;
    }
    for (machine, other) in [(&one, "two"), (&two, "one")] {
        machine.wait_for_unit("same.service", None, Duration::from_secs(10)).await?;
        let status = machine.systemctl("status --no-pager same.service", None).await?;
        assert_eq!(status.status, 0, "{status:?}");
        let text = status.text();
        assert!(
            text.contains(&format!("same-in-{}", machine.name())) && !text.contains(&format!("same-in-{other}")),
            "{text}"
        );
    }
    // The whole tree, which lists the processes of every unit.
    let status = one.systemctl("status --no-pager", None).await?;
    assert_eq!(String::from_utf8_lossy(&status.stderr), "");
    assert!(status.text().contains("same-in-one"), "{}", status.text());

    assert_eq!(one.stop_job("same.service", None).await?.status, 0);
    two.require_unit_state("same.service", "active").await?;
    assert_ne!(one.systemctl("is-active same.service", None).await?.status, 0);
    two.succeed("pgrep -f same-in-tw[o]", None).await?;
    assert_eq!(two.stop_job("same.service", None).await?.status, 0);
    two.fail("pgrep -f same-in-tw[o]", None).await?;
    drop((one, two));
    stage.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_booted_container_is_healthy_and_its_journal_is_in_the_record() -> TestResult {
    if !requirement::containers() {
        return Ok(());
    }
    let stage = Stage::boot(vec![container("m")]).await?;
    let machine = stage.machine("m");
    assert_eq!(machine.succeed("systemctl is-system-running --wait", None).await?, "running\n");
    assert_eq!(machine.succeed("systemctl list-units --failed --plain --no-legend", None).await?, "");
    machine.succeed("systemd-run --wait --unit talker echo words for the journal", None).await?;
    let told = |event: &driver_core::event::Event| {
        event.machine.as_deref() == Some("m")
            && matches!(&event.kind, Kind::Journal { message, unit, .. }
                if message == "words for the journal" && unit.as_deref() == Some("talker.service"))
    };
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while !stage.events().iter().any(told) {
        assert!(tokio::time::Instant::now() < deadline, "the journal does not tell");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let first = stage.events().into_iter().find_map(|event| match event.kind {
        Kind::Console { line } => Some(line),
        _ => None,
    });
    assert!(
        first.is_some_and(|line| line.starts_with("systemd ")),
        "the console is not in the record from its first line"
    );
    drop(machine);
    stage.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn units_of_the_test_are_started_and_those_of_the_host_are_not() -> TestResult {
    if !requirement::containers() {
        return Ok(());
    }
    let mut machine = container("m");
    machine.units = vec!["systemd-hostnamed.service".into()];
    let stage = Stage::boot(vec![machine]).await?;
    let machine = stage.machine("m");
    machine.wait_for_unit("systemd-hostnamed.service", None, Duration::from_secs(10)).await?;
    assert_eq!(machine.succeed("systemctl is-active tandem.target", None).await?, "active\n");
    machine.fail("systemctl is-active multi-user.target", None).await?;
    assert_eq!(machine.succeed("awk -F: '$1 == \"root\" {print $2}' /etc/shadow", None).await?, "\n");
    drop(machine);
    stage.finish().await
}
