use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::*;
use crate::fake::Pointed;
use crate::guest::{Button, Exit, QmpRefusal};

#[tokio::test(start_paused = true)]
async fn keys_are_pressed_one_after_the_other() {
    let bench = bench();
    bench.fake.has_keyboard(["ret", "ctrl", "alt", "f1"]);
    let began = Instant::now();
    bench.machine.send_key("ctrl-alt-f1", secs(2)).await.unwrap();
    bench.machine.send_chars("Hi!\n", secs(1)).await.unwrap();
    assert_eq!(began.elapsed(), secs(6));
    assert_eq!(bench.fake.pressed(), ["ctrl-alt-f1", "H", "i", "!", "\n"]);
    assert_eq!(bench.titles(), ["sending key 'ctrl-alt-f1'", r"sending keys 'Hi!\n'"]);
}

#[tokio::test(start_paused = true)]
async fn unknown_keys_are_refused_before_any_is_pressed() {
    let bench = bench();
    bench.fake.has_keyboard(["ret", "ctrl"]);
    assert_eq!(
        refusal(bench.machine.send_key("ctrl-rett", secs(0)).await),
        "machine server: send_key: no key is named \"rett\"; did you mean \"ret\"?"
    );
    assert_eq!(
        refusal(bench.machine.send_chars("Grüße", secs(0)).await),
        "machine server: send_chars: no key is named \"ü\""
    );
    assert_eq!(bench.fake.pressed(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn the_pointer_moves_and_clicks() {
    let bench = bench();
    bench.fake.has_pointer();
    bench.machine.move_pointer(0.5, 1.0).await.unwrap();
    bench.machine.click(Button::Right).await.unwrap();
    bench.machine.press_button(Button::Left).await.unwrap();
    bench.machine.release_button(Button::Left).await.unwrap();
    let expected = [
        Pointed::At(0.5, 1.0),
        Pointed::Pressed(Button::Right),
        Pointed::Released(Button::Right),
        Pointed::Pressed(Button::Left),
        Pointed::Released(Button::Left),
    ];
    assert_eq!(bench.fake.pointed(), expected);
    for (x, y) in [(1.1, 0.0), (0.0, -0.1), (f64::NAN, 0.0)] {
        let message = refusal(bench.machine.move_pointer(x, y).await);
        assert!(message.contains("is not on the screen"), "{message}");
    }
    assert_eq!(bench.fake.pointed().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn the_console_takes_input() {
    let bench = bench();
    bench.fake.has_terminal();
    bench.machine.send_console(b"root\n").await.unwrap();
    bench.machine.send_console(&[3]).await.unwrap();
    assert_eq!(bench.fake.typed(), b"root\n\x03");
}

#[tokio::test(start_paused = true)]
async fn what_a_machine_lacks_is_told() {
    let bench = bench();
    let machine = &bench.machine;
    let lacks =
        |verb: &str, power: &str| format!("machine server: {verb}: a machine of backend `container` has no {power}");
    assert_eq!(refusal(machine.send_key("a", secs(0)).await), lacks("send_key", "keyboard"));
    assert_eq!(refusal(machine.send_chars("", secs(0)).await), lacks("send_chars", "keyboard"));
    assert_eq!(refusal(machine.move_pointer(0.0, 0.0).await), lacks("move_pointer", "pointer"));
    assert_eq!(refusal(machine.click(Button::Left).await), lacks("click", "pointer"));
    assert_eq!(refusal(machine.screenshot("x").await), lacks("screenshot", "screen"));
    assert_eq!(refusal(machine.send_console(b"x").await), lacks("send_console", "console that takes input"));
    assert_eq!(refusal(machine.monitor_command("info").await), lacks("monitor_command", "QEMU monitor"));
    assert_eq!(refusal(machine.qmp("quit", Value::Null).await), lacks("qmp", "QEMU monitor"));
    assert_eq!(refusal(machine.qmp_events().await), lacks("qmp_events", "QEMU monitor"));
    assert_eq!(
        refusal(machine.wait_for_qmp_event(|_| true, secs(1)).await),
        lacks("wait_for_qmp_event", "QEMU monitor")
    );
}

#[tokio::test(start_paused = true)]
async fn the_monitor_answers() {
    let bench = bench();
    bench.fake.has_monitor();
    bench.fake.monitor_prints("info", "VM status: running\n");
    let refusal = QmpRefusal { class: "GenericError".into(), description: "no".into() };
    bench.fake.qmp_answers("eject", Err(refusal.clone()));
    assert_eq!(bench.machine.monitor_command("info status").await.unwrap(), "VM status: running\n");
    assert_eq!(bench.machine.qmp("stop", json!({})).await.unwrap(), Ok(json!({})));
    assert_eq!(bench.machine.qmp("eject", json!({"device": "x"})).await.unwrap(), Err(refusal));
    assert_eq!(bench.fake.monitor_lines(), ["info status"]);
    assert_eq!(bench.fake.qmp_commands()[1], ("eject".into(), json!({"device": "x"})));
}

fn named(name: &'static str) -> impl FnMut(&Value) -> bool + Send {
    move |event| event["event"] == name
}

#[tokio::test(start_paused = true)]
async fn events_are_waited_for_and_used_up() {
    let bench = bench();
    bench.fake.has_monitor();
    bench.machine.start().await.unwrap();
    bench.fake.emit(json!({"event": "RESUME"}));
    bench.fake.emit(json!({"event": "RTC_CHANGE", "data": {"offset": 1}}));
    let found = bench.machine.wait_for_qmp_event(named("RTC_CHANGE"), secs(9)).await.unwrap();
    assert_eq!(found["data"]["offset"], 1);
    assert_eq!(
        refusal(bench.machine.wait_for_qmp_event(named("RESUME"), secs(2)).await),
        "waiting for a QMP event: action timed out after 2.00 seconds (timeout=2.0); last seen: no event"
    );
    let fake = bench.fake.clone();
    tokio::spawn(async move {
        sleep(secs(3)).await;
        fake.emit(json!({"event": "STOP"}));
        fake.emit(json!({"event": "RESUME"}));
    });
    let began = Instant::now();
    bench.machine.wait_for_qmp_event(named("RESUME"), secs(9)).await.unwrap();
    assert_eq!(began.elapsed(), secs(3));
    assert_eq!(bench.machine.qmp_events().await.unwrap().since(0).len(), 4);

    bench.machine.crash().await.unwrap();
    bench.machine.start().await.unwrap();
    bench.fake.emit(json!({"event": "NEW"}));
    let message = refusal(bench.machine.wait_for_qmp_event(named("RESUME"), secs(1)).await);
    assert!(message.ends_with(r#"last seen: the event {"event":"NEW"}"#), "{message}");
}

#[tokio::test(start_paused = true)]
async fn an_event_wins_over_the_end_of_the_machine() {
    let bench = bench();
    bench.fake.has_monitor();
    bench.machine.start().await.unwrap();
    bench.fake.lose("its kernel panicked");
    let fake = bench.fake.clone();
    tokio::spawn(async move {
        sleep(Duration::from_millis(100)).await;
        fake.emit(json!({"event": "GUEST_PANICKED"}));
        fake.die(Exit::Died("panic".into()));
    });
    bench.machine.wait_for_qmp_event(named("GUEST_PANICKED"), secs(9)).await.unwrap();
    let began = Instant::now();
    let error = fault(bench.machine.wait_for_qmp_event(named("RESUME"), secs(900)).await);
    assert!(error.gone && began.elapsed() < secs(1), "{error}");
}
