use tokio::time::Instant;

use super::*;
use crate::fake::Reply;
use crate::guest::{Channel, Exit, Output};

#[tokio::test(start_paused = true)]
async fn runs_commands_strictly_and_records_them() {
    let bench = bench();
    bench.fake.reply("uname", Reply::output(Output { status: 3, stdout: b"Li\xffnux".into(), stderr: b"oh".into() }));
    let output = bench.machine.execute("uname", Some(secs(900))).await.unwrap();
    assert_eq!((output.status, output.text()), (3, "Li\u{fffd}nux".into()));
    assert_eq!(bench.fake.commands(), ["set -euo pipefail\nuname"]);
    let recorded = bench.kinds().into_iter().find_map(|kind| match kind {
        Kind::Command { stdout, stderr, .. } => Some((stdout, stderr)),
        _ => None,
    });
    assert_eq!(recorded, Some(("Li\u{fffd}nux".into(), "oh".into())));
}

#[tokio::test(start_paused = true)]
async fn succeed_and_fail_say_what_upstream_says() {
    let bench = bench();
    bench.fake.reply("ok", Reply::ok("fine\n"));
    bench.fake.reply("bad", Reply::output(Output { status: 2, stdout: b"some".into(), stderr: b"why".into() }));
    assert_eq!(bench.machine.succeed("ok", None).await.unwrap(), "fine\n");
    assert_eq!(bench.machine.fail("bad", None).await.unwrap(), "some");
    assert_eq!(bench.messages(), [""; 0]);
    assert_eq!(refusal(bench.machine.succeed("bad", None).await), "command `bad` failed (exit code 2)");
    assert_eq!(refusal(bench.machine.fail("ok", None).await), "command `ok` unexpectedly succeeded");
    assert_eq!(bench.messages(), ["output: some", "error output: why", "output: fine\n"]);
    assert_eq!(bench.titles(), ["must succeed: ok", "must fail: bad", "must succeed: bad", "must fail: ok"]);
    assert_eq!(bench.commands().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn spans_lie_in_the_span_of_the_handle() {
    let bench = bench();
    let subtest = bench.machine.recorder().span("outer", true);
    bench.machine.within(Some(subtest.id())).succeed("true", None).await.unwrap();
    let events = bench.events.lock().unwrap();
    let (parent, span) = events
        .iter()
        .find_map(|event| match &event.kind {
            Kind::SpanStarted { title, parent, .. } if title == "must succeed: true" => Some((*parent, event.span)),
            _ => None,
        })
        .unwrap();
    assert_eq!(parent, Some(subtest.id()));
    let command = events.iter().find(|event| matches!(event.kind, Kind::Command { .. })).unwrap();
    assert_eq!((command.span, command.machine.as_deref()), (span, Some("server")));
}

#[tokio::test(start_paused = true)]
async fn a_timeout_of_the_guest_is_a_status() {
    let bench = bench();
    bench.fake.reply("long", Reply::ok("").after(secs(100)));
    let began = Instant::now();
    assert_eq!(bench.machine.execute("long", Some(secs(7))).await.unwrap().status, 124);
    assert_eq!(began.elapsed(), secs(7));
    assert_eq!(refusal(bench.machine.succeed("long", Some(secs(7))).await), "command `long` failed (exit code 124)");
    assert_eq!(bench.machine.execute("long", None).await.unwrap().status, 0);
}

#[tokio::test(start_paused = true)]
async fn a_guest_that_hangs_is_given_up() {
    let bench = bench();
    bench.fake.boot_says(["hung_task: blocked"]);
    bench.fake.reply("stuck", Reply::hang());
    let began = Instant::now();
    let error = fault(bench.machine.succeed("stuck", Some(secs(7))).await);
    assert_eq!(began.elapsed(), secs(17));
    assert_eq!(
        error.to_string(),
        "machine server: run a command (after 17.00 s): it hangs: no answer, long after the deadline"
    );
    assert_eq!(error.last_seen, ["hung_task: blocked"]);
    assert!(!error.gone);
}

#[tokio::test(start_paused = true)]
async fn death_ends_a_command_and_a_broken_channel_does_not_mean_death() {
    let bench = bench();
    bench.fake.reply("lost", Reply::broken("no such process"));
    let error = fault(bench.machine.succeed("lost", None).await);
    assert_eq!(error.to_string(), "machine server: run a command: no such process");
    assert!(!error.gone && bench.machine.is_up());
    bench.fake.reply("panic", Reply::die(Exit::Died("panic".into())).after(secs(4)));
    let began = Instant::now();
    let error = fault(bench.machine.succeed("panic", Some(secs(900))).await);
    assert_eq!(began.elapsed(), secs(4));
    assert!(error.gone);
    assert_eq!(error.to_string(), "machine server: run a command: it died: panic");
}

#[tokio::test(start_paused = true)]
async fn commands_run_at_the_same_time_where_the_channel_can() {
    for (overlap, expected) in [(true, 10), (false, 20)] {
        let bench = bench();
        bench.fake.channel(Channel { stderr_apart: true, overlap });
        bench.fake.reply("wait", Reply::ok("").after(secs(10)));
        let began = Instant::now();
        let (one, two) = tokio::join!(bench.machine.succeed("wait", None), bench.machine.succeed("wait", None));
        one.and(two).unwrap();
        assert_eq!(began.elapsed(), secs(expected));
    }
}

#[tokio::test(start_paused = true)]
async fn tries_until_success_or_failure() {
    let bench = bench();
    let not_yet = || Reply::fail(1, "");
    bench.fake.replies("probe", [not_yet(), not_yet(), Reply::ok("there")]);
    assert_eq!(bench.machine.wait_until_succeeds("probe", secs(5)).await.unwrap(), "there");
    bench.fake.replies(
        "probe",
        [Reply::ok(""), Reply::ok(""), Reply::output(Output { status: 9, stdout: b"gone".into(), stderr: Vec::new() })],
    );
    assert_eq!(bench.machine.wait_until_fails("probe", secs(5)).await.unwrap(), "gone");
    assert_eq!(bench.fake.commands().len(), 6);
    assert_eq!(bench.commands(), [("probe".into(), 0), ("probe".into(), 9)], "only what decided is recorded");
    assert_eq!(bench.titles(), ["waiting for success: probe", "waiting for failure: probe"]);
}

#[tokio::test(start_paused = true)]
async fn tries_end_with_their_deadline() {
    let bench = bench();
    bench.fake.reply("probe", Reply::fail(7, "refused"));
    assert_eq!(
        refusal(bench.machine.wait_until_succeeds("probe", Duration::from_millis(2500)).await),
        "waiting for success: probe: action timed out after 2.50 seconds (timeout=2.5); last seen: exit code 7"
    );
    assert_eq!(bench.messages(), ["output: ", "error output: refused"]);

    bench.fake.reply("slow", Reply::ok("").after(secs(1000)));
    let began = Instant::now();
    let message = refusal(bench.machine.wait_until_succeeds("slow", secs(20)).await);
    assert!(message.ends_with("(timeout=20.0); last seen: exit code 124"), "{message}");
    assert!(began.elapsed() <= secs(22), "{:?}", began.elapsed());
    // A try that was cut off has not failed either.
    let message = refusal(bench.machine.wait_until_fails("slow", secs(20)).await);
    assert!(message.ends_with("(timeout=20.0); last seen: exit code 124"), "{message}");

    bench.fake.reply("stuck", Reply::hang());
    let began = Instant::now();
    fault(bench.machine.wait_until_fails("stuck", secs(20)).await);
    assert_eq!(began.elapsed(), secs(30));
}

#[tokio::test(start_paused = true)]
async fn sleeps_in_the_guest() {
    let bench = bench();
    bench.machine.sleep(Duration::from_millis(1500)).await.unwrap();
    assert_eq!(bench.titles(), ["must succeed: sleep 1.5"]);
}
