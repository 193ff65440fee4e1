use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::event::MachineState::{Ready, Starting, Stopped, Stopping};
use crate::fake::{Booting, Reply};
use crate::guest::Exit;

#[tokio::test(start_paused = true)]
async fn a_life_of_a_machine_is_recorded() {
    let bench = bench();
    bench.fake.boots(Booting::Takes(secs(3)));
    bench.fake.powers_off(Some(secs(2)));
    let began = Instant::now();
    bench.machine.start().await.unwrap();
    assert!(began.elapsed() < secs(1), "a start does not wait for the boot");
    assert!(bench.machine.is_up());
    bench.machine.succeed("true", None).await.unwrap();
    assert_eq!(began.elapsed(), secs(3));
    bench.machine.shutdown().await.unwrap();
    assert_eq!(began.elapsed(), secs(5));
    assert!(!bench.machine.is_up());

    assert_eq!(bench.states(), [Starting, Ready, Stopping, Stopped]);
    let titles =
        ["must succeed: true", "waiting for the container to finish booting", "waiting for the container to power off"];
    assert_eq!(bench.titles(), titles);
}

#[tokio::test(start_paused = true)]
async fn nothing_to_stop_is_fine_and_nothing_to_crash_is_not() {
    let bench = bench();
    bench.machine.shutdown().await.unwrap();
    bench.machine.wait_for_shutdown(Some(secs(1))).await.unwrap();
    assert_eq!(refusal(bench.machine.crash().await), "machine server: crash: it is not running");
    assert_eq!(refusal(bench.machine.reboot().await), "machine server: reboot: it is not running");
    assert_eq!(bench.fake.starts(), 0);
    assert_eq!(bench.titles(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn starts_again_after_shutdown_and_crash() {
    let bench = bench();
    for starts in 1..=4 {
        bench.machine.succeed("true", None).await.unwrap();
        assert_eq!(bench.fake.starts(), starts);
        if starts % 2 == 0 {
            bench.machine.crash().await.unwrap();
        } else {
            bench.machine.shutdown().await.unwrap();
        }
        assert!(!bench.machine.is_up());
    }
}

#[tokio::test(start_paused = true)]
async fn callers_share_a_start_that_outlives_the_first_of_them() {
    let bench = bench();
    bench.fake.boots(Booting::Unlaunched(secs(5), "no room".into()));
    let (first, second) = (bench.machine.clone(), bench.machine.clone());
    let first = tokio::spawn(async move { first.start().await });
    let second = tokio::spawn(async move { second.succeed("true", None).await });
    sleep(secs(1)).await;
    first.abort();
    let error = fault(second.await.unwrap());
    assert_eq!(error.to_string(), "machine server: start: no room");
    assert_eq!(bench.fake.starts(), 1);

    bench.fake.boots(Booting::Takes(secs(1)));
    let callers = (0..5).map(|_| bench.machine.succeed("true", None));
    futures::future::try_join_all(callers).await.unwrap();
    assert_eq!(bench.fake.starts(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_dies_in_boot_tells_its_last_lines_at_once() {
    let bench = bench();
    bench.fake.boot_says((0..40).map(|number| format!("line {number}")));
    bench.fake.boots(Booting::Dies(secs(2), Exit::Died("kernel panic".into())));
    let began = Instant::now();
    let error = fault(bench.machine.succeed("true", None).await);
    assert_eq!(began.elapsed(), secs(2));
    assert!(error.gone);
    assert_eq!(error.to_string(), "machine server: boot: it died: kernel panic");
    assert_eq!(error.last_seen.len(), 30);
    assert_eq!(error.last_seen.last().unwrap(), "line 39");
}

#[tokio::test(start_paused = true)]
async fn a_boot_that_hangs_ends_with_its_deadline() {
    let bench = bench();
    bench.fake.boot_says(["still here"]);
    bench.fake.boots(Booting::Never);
    let began = Instant::now();
    let error = fault(bench.machine.succeed("true", None).await);
    assert!(began.elapsed() <= secs(60) + super::super::GRACE, "{:?}", began.elapsed());
    assert_eq!((error.gone, &*error.last_seen), (false, &["still here".to_owned()][..]));
}

#[tokio::test(start_paused = true)]
async fn an_unexpected_end_is_an_error_until_it_was_noted() {
    let bench = bench();
    bench.machine.succeed("true", None).await.unwrap();
    bench.fake.die(Exit::Died("out of memory".into()));
    sleep(secs(1)).await;
    assert!(!bench.machine.is_up());
    for _ in 0..2 {
        let error = fault(bench.machine.succeed("true", None).await);
        assert!(error.gone && error.to_string().contains("out of memory"), "{error}");
    }
    assert!(fault(bench.machine.shutdown().await).gone);
    bench.machine.shutdown().await.unwrap();
    bench.machine.succeed("true", None).await.unwrap();

    bench.fake.die(Exit::PoweredOff);
    sleep(secs(1)).await;
    assert!(fault(bench.machine.succeed("true", None).await).cure.contains("wait_for_shutdown"));
    bench.machine.start().await.unwrap();
    bench.fake.die(Exit::Died("again".into()));
    bench.machine.wait_for_shutdown(None).await.unwrap();
    assert_eq!(bench.fake.starts(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_ignores_its_power_button_is_an_error_in_time() {
    let bench = bench();
    bench.fake.powers_off(None);
    bench.machine.start().await.unwrap();
    let began = Instant::now();
    let error = fault(bench.machine.shutdown().await);
    assert_eq!(began.elapsed(), secs(30));
    assert_eq!(
        error.to_string(),
        "machine server: shutdown (after 30.00 s): it did not power off; crash() ends a machine that does not power off"
    );
    bench.machine.crash().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn waits_for_a_shutdown() {
    let bench = bench();
    bench.machine.start().await.unwrap();
    bench.fake.say("going down");
    assert_eq!(
        refusal(bench.machine.wait_for_shutdown(Some(secs(5))).await),
        "waiting for the container to power off: action timed out after 5.00 seconds (timeout=5.0); last seen: going down"
    );
    assert!(bench.machine.is_up());
    let fake = bench.fake.clone();
    tokio::spawn(async move {
        sleep(secs(7)).await;
        fake.die(Exit::PoweredOff);
    });
    let began = Instant::now();
    bench.machine.wait_for_shutdown(None).await.unwrap();
    assert_eq!(began.elapsed(), secs(7));
}

#[tokio::test(start_paused = true)]
async fn a_rebooted_machine_is_waited_for() {
    let bench = bench();
    bench.machine.succeed("true", None).await.unwrap();
    bench.fake.boots(Booting::Takes(secs(8)));
    bench.machine.reboot().await.unwrap();
    let began = Instant::now();
    bench.machine.succeed("true", None).await.unwrap();
    assert_eq!(began.elapsed(), secs(8));
    assert_eq!(bench.fake.starts(), 1);
    assert_eq!(bench.states(), [Starting, Ready, Stopping, Ready]);
}

#[tokio::test(start_paused = true)]
async fn plugs_are_pulled_and_put_back() {
    let bench = bench();
    bench.machine.block().await.unwrap();
    assert_eq!((bench.fake.starts(), bench.fake.unplugged()), (1, vec![0]));
    bench.machine.unblock().await.unwrap();
    assert_eq!(bench.fake.unplugged(), [0; 0]);
    bench.fake.without_cable();
    assert_eq!(
        refusal(bench.machine.block().await),
        "machine server: block: a machine of backend `container` has no network plugs that can be pulled"
    );
}

#[tokio::test(start_paused = true)]
async fn release_is_for_good() {
    let bench = bench();
    bench.fake.boots(Booting::Unlaunched(secs(50), String::new()));
    let starting = bench.machine.clone();
    let starting = tokio::spawn(async move { starting.start().await });
    sleep(secs(1)).await;
    let began = Instant::now();
    bench.machine.release().await.unwrap();
    assert!(began.elapsed() < secs(1));
    assert_eq!(fault(starting.await.unwrap()).to_string(), "machine server: start: the start was given up");
    assert_eq!(refusal(bench.machine.start().await), "machine server: start: the run is over");
    bench.machine.release().await.unwrap();

    let running = super::bench();
    running.machine.succeed("true", None).await.unwrap();
    running.machine.release().await.unwrap();
    assert!(!running.machine.is_up());
    assert_eq!(running.states().last(), Some(&MachineState::Stopped));
}

#[tokio::test(start_paused = true)]
async fn dropping_a_verb_leaves_the_machine_usable() {
    let bench = bench();
    bench.fake.boots(Booting::Takes(secs(10)));
    bench.fake.powers_off(Some(secs(10)));
    bench.fake.reply("stuck", Reply::hang());
    let machine = &bench.machine;
    timeout(secs(1), machine.succeed("true", None)).await.unwrap_err();
    timeout(secs(20), machine.succeed("stuck", None)).await.unwrap_err();
    timeout(secs(20), machine.wait_for_file("/stuck", secs(900))).await.unwrap_err();
    timeout(secs(20), machine.wait_for_console_text("x", None)).await.unwrap_err();
    machine.succeed("true", None).await.unwrap();
    timeout(secs(1), machine.shutdown()).await.unwrap_err();
    machine.wait_for_shutdown(Some(secs(20))).await.unwrap();
    machine.succeed("true", None).await.unwrap();
    assert_eq!(bench.fake.starts(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_killed_process_is_told_once_and_a_crash_in_words_of_its_own() {
    let bench = bench();
    bench.fake.is_process("FakeMachine", 42);
    bench.machine.end().await.unwrap();
    assert_eq!(bench.messages(), [""; 0], "nothing runs");
    bench.machine.start().await.unwrap();
    bench.machine.crash().await.unwrap();
    assert_eq!(bench.messages(), ["forced crash"]);
    bench.machine.start().await.unwrap();
    bench.machine.end().await.unwrap();
    assert!(!bench.machine.is_up());
    bench.machine.start().await.unwrap();
    assert_eq!(bench.machine.process().pid, Some(42));
    bench.machine.release().await.unwrap();
    bench.machine.release().await.unwrap();
    assert_eq!(bench.messages(), ["forced crash", "kill FakeMachine (pid 42)", "kill FakeMachine (pid 42)"]);
}
