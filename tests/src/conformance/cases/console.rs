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

pub(in super::super) async fn what_is_typed_into_the_console_is_read(stage: &Stage) -> TestResult {
    let machine = stage.up().await?;
    machine.succeed("setsid head -n 1 </dev/console >typed-in 2>/dev/null &", Some(SOON)).await?;
    let deadline = tokio::time::Instant::now() + SOON;
    // What is typed before somebody reads may go to whoever read before.
    while machine.execute("[ -s typed-in ]", Some(SOON)).await?.status != 0 {
        assert!(tokio::time::Instant::now() < deadline, "nothing arrives");
        machine.send_console("typed: ä\n".as_bytes()).await?;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert_eq!(machine.succeed("cat typed-in", Some(SOON)).await?, "typed: ä\n");
    Ok(())
}

pub(in super::super) async fn the_first_terminal_shows_what_is_written_to_it(stage: &Stage) -> TestResult {
    let machine = stage.up().await?;
    // A machine without virtual terminals has its console in their place.
    let write = "terminal=/dev/console; [ ! -c /dev/tty1 ] || terminal=/dev/tty1; printf 'shown\\r\\nin two lines\\r\\n' >$terminal";
    machine.succeed(write, Some(SOON)).await?;
    machine.wait_until_tty_matches("1", r"(?s)shown\b.*in two \w+", SOON).await?;
    let text = machine.tty_text("1").await?;
    assert!(text.lines().any(|line| line.trim_end() == "in two lines"), "{text}");
    let error = machine.tty_text("tty1").await.expect_err("it is no number").to_string();
    assert!(error.contains("tty_text") && error.contains(machine.name()), "{error}");
    let brief = Duration::from_secs(1);
    machine.wait_until_tty_matches("1", "never shown", brief).await.expect_err("it is not shown");
    Ok(())
}
