//! What a person at the machine has: serial line, screen, keyboard, pointer and QEMU's monitor.

use std::time::Duration;

use driver_core::guest::{Button, Exit, Guest, Screen};
use serde_json::{Value, json};
use tandem_tests::{TestResult, requirement};
use tokio::time::{Instant, sleep};

use crate::ground::{Ground, PATIENCE, ask, end};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn qemu_has_a_console_a_screen_keys_and_a_monitor() -> TestResult {
    if !requirement::virtual_machines() {
        return Ok(());
    }
    let ground = Ground::new("devices").await?;
    let guest = &*ground.boot(false).await?;
    serial_line(&ground, guest).await?;
    screen_and_keys(guest).await?;
    monitor(guest).await?;
    ground.finish().await
}

async fn serial_line(ground: &Ground, guest: &dyn Guest) -> TestResult {
    let terminal = guest.terminal().ok_or("it has a terminal")?;
    ask(guest, "(read line </dev/console; echo \"I read: $line\" >/dev/console) >/dev/null 2>&1 & sleep 1").await?;
    terminal.write(b"typed words\n").await?;
    ground.says("I read: typed words").await?;
    // A prompt has no end of line.
    ask(guest, "printf 'name: ' >/dev/console").await?;
    let deadline = Instant::now() + PATIENCE;
    while !ground.machine().console().last(1).concat().contains("name:") {
        assert!(Instant::now() < deadline, "no prompt is shown");
        sleep(Duration::from_millis(20)).await;
    }
    ask(guest, "echo Ada >/dev/console").await?;
    ground.says("name: Ada").await
}

async fn screen_and_keys(guest: &dyn Guest) -> TestResult {
    let (screen, keyboard) = (guest.screen().ok_or("it has a screen")?, guest.keyboard().ok_or("it has keys")?);
    // Somebody has to have the terminal open, or it echoes nothing.
    ask(guest, "setsid sleep 1000 </dev/tty1 >/dev/tty1 2>&1 &").await?;
    ask(guest, "printf '\\033[2J\\033[H' >/dev/tty1").await?;
    let before = picture(screen).await?;
    for key in ["T", "a", "n", "d", "e", "m", "shift-1"] {
        keyboard.check(key)?;
        keyboard.press(key).await?;
    }
    assert_eq!(keyboard.check("rte"), Err("no key is named \"rte\"; did you mean \"ret\"?".into()));
    let deadline = Instant::now() + PATIENCE;
    while !ask(guest, "fold -w 80 /dev/vcs1 | head -n 2").await?.contains("Tandem!") {
        assert!(Instant::now() < deadline, "the keys do not reach the guest");
    }
    let after = picture(screen).await?;
    assert_eq!(before.0, after.0);
    assert_ne!(before.1, after.1, "the screen shows what was typed");

    let pointer = guest.pointer().ok_or("it has a pointer")?;
    pointer.move_to(0.5, 1.0).await?;
    for down in [true, false] {
        pointer.button(Button::Left, down).await?;
    }
    Ok(())
}

/// Width and height of the screen, and the whole picture.
async fn picture(screen: &dyn Screen) -> TestResult<((u32, u32), Vec<u8>)> {
    let file = screen.shot().await?;
    assert!(file.starts_with(b"\x89PNG\r\n\x1a\n"));
    // The header chunk comes first, and its data with width and height (PNG specification, 11.2.2).
    assert_eq!(&file[12..16], b"IHDR");
    assert!(file.ends_with(b"IEND\xaeB`\x82"), "the picture is whole");
    let number = |at: usize| file[at..at + 4].try_into().map(u32::from_be_bytes);
    let size = (number(16)?, number(20)?);
    assert!(size.0 >= 640 && size.1 >= 400, "{size:?}");
    Ok((size, file))
}

async fn monitor(guest: &dyn Guest) -> TestResult {
    let monitor = guest.monitor().ok_or("it has a monitor")?;
    assert!(monitor.command("info status").await?.contains("running"));
    let status = monitor.qmp("query-status", Value::Null).await??;
    assert_eq!(status["running"], true);
    let refusal = monitor.qmp("no-such-command", json!({})).await?;
    assert!(refusal.is_err_and(|refusal| refusal.class == "CommandNotFound"));

    let events = monitor.events();
    let (known, mut count) = (events.since(0).len(), events.watch());
    monitor.qmp("stop", Value::Null).await??;
    tokio::time::timeout(PATIENCE, count.wait_for(|count| *count > known)).await??;
    assert_eq!(events.since(known)[0]["event"], "STOP");
    monitor.qmp("cont", Value::Null).await??;
    assert_eq!(ask(guest, "echo on").await?, "on\n");

    // The test's own way to end it.
    monitor.command("quit").await?;
    assert_eq!(end(guest).await?, Exit::Killed);
    assert!(events.since(0).iter().any(|event| event["event"] == "SHUTDOWN"));
    Ok(())
}
