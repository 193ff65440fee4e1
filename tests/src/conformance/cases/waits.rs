//! Waits for commands and files.

use std::time::{Duration, Instant};

use super::super::stage::{SOON, Stage};
use crate::TestResult;

/// A deadline that is meant to pass.
const BRIEF: Duration = Duration::from_secs(1);

pub(in super::super) async fn a_command_is_tried_until_it_succeeds_or_fails(stage: &Stage) -> TestResult {
    let machine = stage.up().await?;
    let third = "echo try >> NAME; tries=$(wc -l < NAME); echo $tries; [ $tries OPERATOR 3 ]";
    let said = machine.wait_until_succeeds(&third.replace("NAME", "up").replace("OPERATOR", "-ge"), SOON).await?;
    assert_eq!(said, "3\n");
    let said = machine.wait_until_fails(&third.replace("NAME", "down").replace("OPERATOR", "-lt"), SOON).await?;
    assert_eq!(said, "3\n");
    Ok(())
}

pub(in super::super) async fn a_wait_for_a_file_returns_when_it_is_there(stage: &Stage) -> TestResult {
    let machine = stage.up().await?;
    stage.ask("rm -f 'late file'; (sleep 1; mkdir 'late file') >/dev/null 2>&1 &").await?;
    machine.wait_for_file("late file", SOON).await?;
    // And at once where it is there already.
    machine.wait_for_file("late file", SOON).await?;
    stage.ask("rmdir 'late file'").await.map(drop)
}

pub(in super::super) async fn waits_give_up_in_time_and_say_what_they_saw(stage: &Stage) -> TestResult {
    let machine = stage.up().await?;
    let began = Instant::now();
    for (error, seen) in [
        (machine.wait_until_succeeds("exit 9", BRIEF).await.expect_err("it fails"), "exit code 9"),
        (machine.wait_until_fails("true", BRIEF).await.expect_err("it succeeds"), "exit code 0"),
        (machine.wait_until_succeeds("sleep 1000", BRIEF).await.expect_err("it hangs"), "exit code 124"),
        (machine.wait_for_file("no-such-file", BRIEF).await.expect_err("there is none"), "no such file"),
    ] {
        let error = error.to_string();
        assert!(error.contains("timed out") && error.ends_with(seen), "{error}");
    }
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    Ok(())
}
