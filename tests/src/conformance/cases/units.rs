//! Units of the machine's systemd.

use std::time::Instant;

use super::super::stage::{SOON, Stage};
use crate::TestResult;

pub(in super::super) async fn a_unit_is_started_looked_at_and_stopped(stage: &Stage) -> TestResult {
    let machine = stage.up().await?;
    // It is activating for a second.
    let unit = "[Unit]\nDescription=Of the suite\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=sleep 1\n";
    machine.succeed(&format!("printf '{unit}' >/etc/systemd/system/slow.service"), Some(SOON)).await?;
    assert_eq!(machine.systemctl("daemon-reload", None).await?.status, 0);
    assert_eq!(machine.start_job("--no-block slow.service", None).await?.status, 0);
    machine.wait_for_unit("slow.service", None, SOON).await?;
    machine.require_unit_state("slow.service", "active").await?;
    assert_eq!(machine.unit_property("slow.service", "Type", None).await?, "oneshot");
    let info = machine.unit_info("slow.service", None).await?;
    assert_eq!(info.get("Description").map(String::as_str), Some("Of the suite"));
    assert_eq!(machine.systemctl("is-active slow.service", None).await?.text(), "active\n");
    assert_eq!(machine.stop_job("slow.service", None).await?.status, 0);
    machine.require_unit_state("slow.service", "inactive").await?;
    machine.require_unit_state("slow.service", "active").await.expect_err("it is inactive");
    assert_ne!(machine.start_job("no-such.service", None).await?.status, 0);
    Ok(())
}

pub(in super::super) async fn a_wait_ends_when_a_unit_has_failed(stage: &Stage) -> TestResult {
    let machine = stage.up().await?;
    machine.fail("systemd-run --wait --unit broken false", Some(SOON)).await?;
    let began = Instant::now();
    let error = machine.wait_for_unit("broken.service", None, SOON * 10).await.expect_err("it failed").to_string();
    assert_eq!(error, "unit \"broken.service\" reached state \"failed\"");
    let error = machine.wait_for_unit("no-such.service", None, SOON * 10).await.expect_err("there is none").to_string();
    assert_eq!(error, "unit \"no-such.service\" is inactive and there are no pending jobs");
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    let error = machine.require_unit_state("broken.service", "active").await.expect_err("it failed").to_string();
    assert!(error.contains("'broken.service'") && error.contains("'failed'"), "{error}");
    assert_eq!(machine.systemctl("reset-failed broken.service", None).await?.status, 0);
    Ok(())
}

pub(in super::super) async fn users_have_units(stage: &Stage) -> TestResult {
    let machine = stage.up().await?;
    let user = Some("root");
    // As user@0.service would start it; that needs PAM modules which a small root lacks.
    let manager = "systemd=$(readlink -f /proc/1/exe); mkdir -p -m 700 /run/user/0; \
                   systemd-run --unit of-root --setenv=XDG_RUNTIME_DIR=/run/user/0 --setenv=HOME=/root \
                   --property=Delegate=yes --property=TimeoutStopSec=5 $systemd --user";
    machine.succeed(manager, Some(SOON)).await?;
    machine.wait_for_unit("basic.target", user, SOON).await?;
    machine.succeed("mkdir -p /root/.config/systemd/user; printf '[Service]\nExecStart=sleep 1000\n' >/root/.config/systemd/user/mine.service", Some(SOON)).await?;
    assert_eq!(machine.systemctl("daemon-reload", user).await?.status, 0);
    assert_eq!(machine.start_job("mine.service", user).await?.status, 0);
    machine.wait_for_unit("mine.service", user, SOON).await?;
    assert_eq!(machine.unit_property("mine.service", "ActiveState", user).await?, "active");
    assert!(machine.unit_info("mine.service", user).await?.contains_key("MainPID"));
    // It is the user's alone.
    machine.require_unit_state("mine.service", "inactive").await?;
    assert_eq!(machine.stop_job("mine.service", user).await?.status, 0);
    assert_eq!(machine.stop_job("of-root.service", None).await?.status, 0);
    Ok(())
}
