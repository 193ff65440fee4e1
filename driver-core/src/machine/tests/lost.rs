//! A machine that is there but will never take commands any more.

use futures::future::BoxFuture;
use tokio::time::{Instant, sleep};

use super::*;
use crate::fake::{Booting, Reply};

const WHY: &str = "it is in emergency mode";

/// A machine that runs and is lost after three seconds.
async fn losing() -> Bench {
    let bench = bench();
    bench.fake.boot_says((0..40).map(|number| format!("line {number}")));
    bench.fake.has_monitor();
    bench.fake.shows(super::screen::drawn("A"));
    bench.machine.start().await.unwrap();
    let fake = bench.fake.clone();
    tokio::spawn(async move {
        sleep(secs(3)).await;
        fake.lose(WHY);
    });
    bench
}

type Verb = for<'a> fn(&'a Machine) -> BoxFuture<'a, Result<(), Error>>;

#[tokio::test(start_paused = true)]
async fn every_wait_ends_at_once() {
    let long = secs(900);
    let waits: &[(&str, Verb)] = &[
        ("execute", |machine| Box::pin(async { machine.execute("holds", None).await.map(drop) })),
        ("succeeds", |machine| Box::pin(async { machine.wait_until_succeeds("not yet", secs(900)).await.map(drop) })),
        ("fails", |machine| Box::pin(async { machine.wait_until_fails("true", secs(900)).await.map(drop) })),
        ("file", |machine| Box::pin(machine.wait_for_file("/x", secs(900)))),
        ("port", |machine| Box::pin(machine.wait_for_open_port(80, "localhost", secs(900)))),
        ("unit", |machine| Box::pin(machine.wait_for_unit("x.service", None, secs(900)))),
        ("console", |machine| Box::pin(machine.wait_for_console_text("never", None))),
        ("tty", |machine| Box::pin(machine.wait_until_tty_matches("1", "never", secs(900)))),
        ("event", |machine| Box::pin(async { machine.wait_for_qmp_event(|_| false, secs(900)).await.map(drop) })),
    ];
    for (name, wait) in waits {
        let bench = losing().await;
        bench.fake.reply("holds", Reply::hang());
        bench.fake.reply("not yet", Reply::fail(1, ""));
        bench.fake.reply("ActiveState", Reply::ok("ActiveState=activating\n"));
        bench.fake.reply("vcsa", Reply::fail(69, ""));
        let began = Instant::now();
        let error = fault(wait(&bench.machine).await);
        assert!(began.elapsed() < secs(4) && began.elapsed() < long, "{name}: {:?}", began.elapsed());
        assert_eq!((&*error.cause, error.gone, error.last_seen.len()), (WHY, false, 30), "{name}: {error}");
        assert_eq!(error.last_seen.last().unwrap(), "line 39", "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_boot_that_ends_in_emergency_mode_ends_waits() {
    let bench = bench();
    bench.fake.boots(Booting::Never);
    bench.fake.boot_says(["You are in emergency mode."]);
    bench.machine.start().await.unwrap();
    let (fake, machine) = (bench.fake.clone(), bench.machine.clone());
    let text = tokio::spawn(async move { machine.wait_for_console_text("login", None).await });
    tokio::spawn(async move {
        sleep(secs(3)).await;
        fake.lose(WHY);
    });
    let began = Instant::now();
    assert_eq!(fault(bench.machine.succeed("true", None).await).cause, WHY);
    assert_eq!(fault(text.await.unwrap()).last_seen, ["You are in emergency mode."]);
    assert_eq!(began.elapsed(), secs(3));
    bench.machine.wait_for_console_text("emergency", None).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_takes_no_command_still_works() {
    let bench = losing().await;
    bench.fake.has_keyboard(["ret"]);
    bench.fake.has_terminal();
    sleep(secs(4)).await;
    assert!(bench.machine.is_up());
    let shot = bench.machine.screenshot("panic").await.unwrap();
    assert_eq!(shot, bench.output.path().join("panic.png"));
    bench.machine.send_key("ret", secs(0)).await.unwrap();
    bench.machine.send_console(b"x").await.unwrap();
    bench.machine.monitor_command("info registers").await.unwrap();
    bench.machine.block().await.unwrap();
    assert_eq!(fault(bench.machine.shutdown().await).cause, WHY);
    refusal(bench.machine.wait_for_shutdown(Some(secs(5))).await);
    bench.machine.crash().await.unwrap();
    bench.machine.succeed("true", None).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_power_off_that_loses_its_commands_first_is_one() {
    let bench = bench();
    bench.fake.powers_off(Some(secs(5)));
    bench.machine.start().await.unwrap();
    let fake = bench.fake.clone();
    tokio::spawn(async move {
        sleep(secs(1)).await;
        fake.lose("its shell ended");
    });
    bench.machine.shutdown().await.unwrap();

    bench.fake.powers_off(None);
    bench.machine.start().await.unwrap();
    let fake = bench.fake.clone();
    tokio::spawn(async move {
        sleep(secs(1)).await;
        fake.lose("its kernel panicked");
    });
    let began = Instant::now();
    assert_eq!(fault(bench.machine.shutdown().await).cause, "its kernel panicked");
    assert_eq!(began.elapsed(), secs(11));
}

#[tokio::test(start_paused = true)]
async fn waits_go_on_over_a_reboot() {
    let waits: &[Verb] = &[
        |machine| Box::pin(async { machine.wait_until_succeeds("ready?", secs(900)).await.map(drop) }),
        |machine| Box::pin(machine.wait_for_file("/x", secs(900))),
        |machine| Box::pin(machine.wait_for_unit("x.service", None, secs(900))),
        |machine| Box::pin(machine.wait_until_tty_matches("1", "ready", secs(900))),
    ];
    for wait in waits {
        let bench = bench();
        bench.fake.boot_says(["ready"]);
        for command in ["ready?", "holds", "ActiveState", "vcsa"] {
            let status = if command == "vcsa" { 69 } else { 0 };
            let output = crate::guest::Output { status, stdout: b"ActiveState=active\n".to_vec(), stderr: Vec::new() };
            bench.fake.replies(command, [Reply::hang(), Reply::output(output)]);
        }
        bench.machine.start_allowing_reboot().await.unwrap();
        let fake = bench.fake.clone();
        tokio::spawn(async move {
            sleep(secs(3)).await;
            fake.boots(Booting::Takes(secs(20)));
            fake.reboot();
        });
        let began = Instant::now();
        wait(&bench.machine).await.unwrap();
        assert!(began.elapsed() >= secs(23) && began.elapsed() < secs(25), "{:?}", began.elapsed());
        assert_eq!(bench.fake.starts(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_over_a_reboot_keeps_its_deadline() {
    let bench = bench();
    bench.machine.start_allowing_reboot().await.unwrap();
    bench.fake.reply("not yet", Reply::fail(1, ""));
    let fake = bench.fake.clone();
    tokio::spawn(async move {
        sleep(secs(3)).await;
        fake.boots(Booting::Takes(secs(50)));
        fake.reboot();
    });
    let began = Instant::now();
    let message = refusal(bench.machine.wait_until_succeeds("not yet", secs(10)).await);
    assert!(message.ends_with("last seen: it is booting"), "{message}");
    assert!(began.elapsed() < secs(12), "{:?}", began.elapsed());
    bench.machine.succeed("true", None).await.unwrap();
    assert_eq!(began.elapsed(), secs(53));
}
