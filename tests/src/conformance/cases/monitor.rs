//! What only QEMU has.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::stage::{SOON, Stage};
use crate::TestResult;

pub(in super::super) async fn the_monitor_answers(stage: &Stage) -> TestResult {
    let machine = stage.up().await?;
    let said = machine.monitor_command("info status").await?;
    assert!(said.contains("running"), "{said}");
    let said = machine.monitor_command("no-such-command").await?;
    assert!(said.contains("unknown command"), "{said}");
    Ok(())
}

pub(in super::super) async fn qmp_has_answers_and_events(stage: &Stage) -> TestResult {
    let machine = stage.up().await?;
    let status = machine.qmp("query-status", Value::Null).await??;
    assert_eq!(status["status"], "running");
    let refusal = machine.qmp("no-such-command", json!({})).await?.expect_err("there is none");
    assert_eq!(refusal.class, "CommandNotFound");
    machine.qmp("stop", json!({})).await??;
    machine.qmp("cont", json!({})).await??;
    let named = |name: &'static str| move |event: &Value| event["event"] == name;
    machine.wait_for_qmp_event(named("STOP"), SOON).await?;
    let event = machine.wait_for_qmp_event(named("RESUME"), SOON).await?;
    assert!(event["timestamp"].is_object(), "{event}");
    // Used up.
    machine.wait_for_qmp_event(named("STOP"), Duration::from_secs(1)).await.expect_err("it came only once");
    let events = machine.qmp_events().await?.since(0);
    assert!(events.iter().any(named("STOP")), "{events:?}");
    Ok(())
}
