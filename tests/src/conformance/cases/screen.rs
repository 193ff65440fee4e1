//! What only a machine with a screen has.

use std::time::Duration;

use driver_core::guest::Button;

use super::super::stage::{SOON, Stage};
use crate::TestResult;

/// What a keyboard of the guest's kernel needs between two keys.
const PAUSE: Duration = Duration::from_millis(20);

/// How the first bytes of a PNG file are (RFC 2083, section 3.1).
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// A script that clears the screen and writes a line onto it.
fn write(words: &str) -> String {
    // The first terminal comes to the front, and the kernel's own messages stay away.
    format!("dmesg --console-off; printf '\\033[2J\\033[H\\r\\n  {words}\\r\\n' >/dev/tty1")
}

pub(in super::super) async fn a_screenshot_is_a_picture_of_the_screen(stage: &Stage) -> TestResult {
    let machine = stage.up().await?;
    machine.succeed(&write("before"), Some(SOON)).await?;
    let before = machine.screenshot("before").await?;
    assert_eq!(before, stage.output().join("before.png"));
    let before = std::fs::read(before)?;
    assert!(before.starts_with(PNG), "{:?}", &before[..before.len().min(8)]);
    machine.succeed(&write("after, with more on it"), Some(SOON)).await?;
    let path = stage.directory("shots")?.join("after.png");
    assert_eq!(machine.screenshot(&path.display().to_string()).await?, path);
    assert!(std::fs::read(path)? != before, "both pictures are the same");
    Ok(())
}

pub(in super::super) async fn text_on_the_screen_is_read(stage: &Stage) -> TestResult {
    let machine = stage.up().await?;
    machine.succeed(&write("WELCOME to the machine"), Some(SOON)).await?;
    machine.wait_for_text("(?i)welcome", SOON).await?;
    let mut variants = machine.screen_text_variants().await?;
    let mut texts = Vec::new();
    while let Some(text) = variants.next().await {
        texts.push(text?);
    }
    assert!(texts.len() > 1 && texts.iter().any(|text| text.to_lowercase().contains("welcome")), "{texts:?}");
    // The first variant is the picture as it is.
    assert_eq!(machine.screen_text().await?, texts[0]);
    machine.wait_for_text("never shown", Duration::from_secs(1)).await.expect_err("it is not shown");
    Ok(())
}

pub(in super::super) async fn keys_are_typed(stage: &Stage) -> TestResult {
    let machine = stage.up().await?;
    machine.succeed("setsid head -n 2 </dev/tty1 >typed 2>/dev/null & sleep 1", Some(SOON)).await?;
    machine.send_chars("Hello, \"World\"! {1+1=2}", PAUSE).await?;
    machine.send_key("ret", PAUSE).await?;
    // Without a step of its own.
    for key in ["a", "shift-b", "ret"] {
        machine.press_key(key, PAUSE).await?;
    }
    machine.wait_until_succeeds("[ $(wc -l <typed) = 2 ]", SOON).await?;
    assert_eq!(machine.succeed("cat typed", Some(SOON)).await?, "Hello, \"World\"! {1+1=2}\naB\n");
    let error = machine.send_key("no-such-key", PAUSE).await.expect_err("there is none").to_string();
    assert!(error.contains("send_key") && error.contains(machine.name()), "{error}");
    Ok(())
}

pub(in super::super) async fn the_pointer_moves_and_clicks(stage: &Stage) -> TestResult {
    let machine = stage.up().await?;
    // Where the guest's kernel shows the pointer's events, they are looked at.
    let listen = "rm -f events; touch events; for device in /dev/input/event*; do [ ! -c $device ] || { setsid cat $device >>events 2>/dev/null & }; done; (ls /dev/input/event* 2>/dev/null || true) | wc -l";
    let listeners = machine.succeed(listen, Some(SOON)).await?;
    machine.move_pointer(0.25, 0.75).await?;
    machine.click(Button::Left).await?;
    machine.press_button(Button::Right).await?;
    machine.release_button(Button::Right).await?;
    machine.click(Button::WheelDown).await?;
    // What happens before somebody looks is not seen.
    let deadline = tokio::time::Instant::now() + SOON;
    while listeners != "0\n" && machine.execute("[ -s events ]", Some(SOON)).await?.status != 0 {
        assert!(tokio::time::Instant::now() < deadline, "the guest does not see the pointer");
        machine.move_pointer(0.75, 0.25).await?;
        machine.move_pointer(0.25, 0.75).await?;
    }
    let error = machine.move_pointer(1.5, 0.0).await.expect_err("it is beside the screen").to_string();
    assert!(error.contains("move_pointer") && error.contains(machine.name()), "{error}");
    Ok(())
}
