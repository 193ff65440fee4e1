//! The console.

use std::time::Duration;

use super::super::stage::{SOON, Stage};
use crate::TestResult;

pub(in super::super) async fn text_is_found_over_lines_and_used_up(stage: &Stage) -> TestResult {
    let machine = stage.up().await?;
    machine.succeed("printf 'first words\\nsecond words\\nthird words\\n' >/dev/console", Some(SOON)).await?;
    machine.wait_for_console_text(r"(?s)first.*second \w+", Some(SOON)).await?;
    // What is used up is not found again.
    machine.wait_for_console_text("first words", Some(Duration::from_secs(1))).await.expect_err("it is used up");
    machine.wait_for_console_text("third", Some(SOON)).await?;
    let log = machine.console_log();
    assert!(log.contains("second words"), "{log}");
    Ok(())
}

pub(in super::super) async fn a_wait_for_text_gives_up_in_time(stage: &Stage) -> TestResult {
    let machine = stage.up().await?;
    let error = machine.wait_for_console_text("never said", Some(Duration::from_secs(1))).await.expect_err("it is not");
    assert!(error.to_string().contains("timed out"), "{error}");
    let error = machine.wait_for_console_text("(open", None).await.expect_err("it is no pattern").to_string();
    assert!(error.contains("wait_for_console_text") && error.contains("no regular expression"), "{error}");
    Ok(())
}
