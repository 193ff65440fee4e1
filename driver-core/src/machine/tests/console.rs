use tokio::time::{Instant, sleep};

use super::*;
use crate::fake::{Booting, Reply};
use crate::guest::Exit;

#[tokio::test(start_paused = true)]
async fn finds_text_as_soon_as_it_is_there() {
    let bench = bench();
    bench.fake.boots(Booting::Never);
    bench.fake.boot_says(["Booting", "Passphrase:"]);
    bench.machine.wait_for_console_text("Pass.*:", None).await.unwrap();
    let fake = bench.fake.clone();
    tokio::spawn(async move {
        sleep(secs(3)).await;
        fake.say("Welcome to");
        fake.say("Linux");
    });
    let began = Instant::now();
    bench.machine.wait_for_console_text("to\nLi", Some(secs(5))).await.unwrap();
    assert_eq!(began.elapsed(), secs(3));
    assert_eq!(bench.machine.console_log(), "Booting\nPassphrase:\nWelcome to\nLinux");
    assert_eq!(bench.titles()[0], "waiting for Pass.*: to appear on console");
}

#[tokio::test(start_paused = true)]
async fn text_is_used_up_by_what_matched_it() {
    let bench = bench();
    bench.fake.boot_says(["one", "two", "three"]);
    bench.machine.wait_for_console_text("two", None).await.unwrap();
    bench.machine.wait_for_console_text("three", Some(secs(1))).await.unwrap();
    assert_eq!(
        refusal(bench.machine.wait_for_console_text("one|two", Some(secs(1))).await),
        "waiting for one|two to appear on console: action timed out after 1.00 seconds (timeout=1.0); last seen: three"
    );
    bench.machine.crash().await.unwrap();
    bench.machine.start().await.unwrap();
    bench.machine.wait_for_console_text("one", Some(secs(1))).await.unwrap();
    assert_eq!(bench.machine.console_log(), "one\ntwo\nthree");
}

#[tokio::test(start_paused = true)]
async fn a_match_wins_over_the_end_of_the_machine() {
    let bench = bench();
    bench.fake.reply("echo c", Reply::die(Exit::Died("kernel panic".into())));
    bench.fake.boot_says(["Kernel panic - not syncing"]);
    fault(bench.machine.execute("echo c >/proc/sysrq-trigger", None).await);
    bench.machine.wait_for_console_text("Kernel panic", None).await.unwrap();
    let error = fault(bench.machine.wait_for_console_text("login", None).await);
    assert!(error.gone && error.last_seen.len() == 1, "{error:?}");
    bench.machine.wait_for_shutdown(None).await.unwrap();
    bench.machine.wait_for_console_text("login", None).await.unwrap_err();
    assert_eq!(bench.fake.starts(), 1);
}

#[tokio::test(start_paused = true)]
async fn death_ends_a_wait_for_text() {
    let bench = bench();
    bench.machine.start().await.unwrap();
    let fake = bench.fake.clone();
    tokio::spawn(async move {
        sleep(secs(3)).await;
        fake.die(Exit::Died("panic".into()));
    });
    let began = Instant::now();
    assert!(fault(bench.machine.wait_for_console_text("login", Some(secs(900))).await).gone);
    assert_eq!(began.elapsed(), secs(3));
}

#[tokio::test(start_paused = true)]
async fn a_bad_pattern_is_told_before_anything_starts() {
    let bench = bench();
    let message = refusal(bench.machine.wait_for_console_text("[", None).await);
    assert!(message.starts_with("machine server: wait_for_console_text: `[` is no regular expression"), "{message}");
    assert_eq!(bench.fake.starts(), 0);
}
