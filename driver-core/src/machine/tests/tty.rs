use tokio::time::{Instant, sleep};

use super::*;
use crate::fake::Reply;

/// What `/dev/vcsaN` shows of a screen of two rows with eight columns.
fn screen(text: &str) -> Vec<u8> {
    let cells = format!("{text:<16}").into_bytes();
    [2, 8, 0, 0].into_iter().chain(cells.into_iter().flat_map(|byte| [byte, 7])).collect()
}

#[tokio::test(start_paused = true)]
async fn shows_the_rows_of_a_terminal() {
    let bench = bench();
    bench.fake.reply("/dev/vcsa1", Reply::ok(screen("Debian  login:")));
    assert_eq!(bench.machine.tty_text("1").await.unwrap(), "Debian  \nlogin:  ");
    bench.machine.wait_until_tty_matches("1", "(?m)^login: +$", secs(1)).await.unwrap();
    assert_eq!(bench.titles().last().unwrap(), "waiting for (?m)^login: +$ to appear on tty 1");
    assert_eq!(
        refusal(bench.machine.wait_until_tty_matches("1", "Password", secs(2)).await),
        "waiting for Password to appear on tty 1: action timed out after 2.00 seconds (timeout=2.0); \
         last seen: the text \"Debian\\nlogin:\""
    );
    let last = bench.messages().pop().unwrap();
    assert_eq!(last, "Last chance to match /Password/ on TTY1, which currently contains: Debian\nlogin:");
}

#[tokio::test(start_paused = true)]
async fn waits_for_a_terminal_that_is_opened_later() {
    let bench = bench();
    bench.fake.replies("/dev/vcsa2", [Reply::fail(66, ""), Reply::fail(66, ""), Reply::ok(screen("here"))]);
    assert_eq!(refusal(bench.machine.tty_text("2").await), "machine server: tty_text: nothing has tty 2 open");
    bench.machine.wait_until_tty_matches("2", "here", secs(5)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_machine_without_terminals_has_its_console() {
    let bench = bench();
    bench.fake.boot_says((0..40).map(|number| format!("line {number}")));
    bench.fake.reply("/dev/vcsa", Reply::fail(69, ""));
    let text = bench.machine.tty_text("1").await.unwrap();
    assert_eq!((text.lines().next(), text.lines().last()), (Some("line 16"), Some("line 39")));
    let fake = bench.fake.clone();
    tokio::spawn(async move {
        sleep(secs(3)).await;
        fake.say("server login:");
    });
    let began = Instant::now();
    bench.machine.wait_until_tty_matches("1", "login:$", secs(9)).await.unwrap();
    assert!(began.elapsed() < secs(4), "{:?}", began.elapsed());
    let why = "this machine of backend `container` has no virtual terminals, and only its console, which is tty 1";
    assert_eq!(refusal(bench.machine.tty_text("2").await), format!("machine server: tty_text: {why}"));
    assert_eq!(
        refusal(bench.machine.wait_until_tty_matches("2", "x", secs(9)).await),
        format!("machine server: wait_until_tty_matches: {why}")
    );
}

#[tokio::test]
async fn a_real_shell_tells_what_there_is() {
    let bench = bench();
    let directory = tempfile::tempdir().unwrap();
    bench.fake.reply("/dev/vcsa", Reply::host(directory.path()));
    // Terminal 63 is never open; whether there are others, the host decides.
    let message = refusal(bench.machine.tty_text("63").await);
    assert!(message.contains("nothing has tty 63 open") || message.contains("no virtual terminals"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn bad_terminals_and_patterns_are_told_before_anything_starts() {
    let bench = bench();
    assert!(refusal(bench.machine.tty_text("tty1").await).contains("`tty1` is no virtual terminal"));
    assert!(refusal(bench.machine.wait_until_tty_matches("0", "x", secs(1)).await).contains("from 1 to 63"));
    assert!(refusal(bench.machine.wait_until_tty_matches("1", "[", secs(1)).await).contains("no regular expression"));
    assert_eq!(bench.fake.starts(), 0);
}
