use tokio::time::Instant;

use super::*;
use crate::fake::Reply;
use crate::guest::Exit;

const STATE: &str = "systemctl --no-pager show --property='ActiveState' -- 'web.service'";

fn state(state: &str) -> Reply {
    Reply::ok(format!("ActiveState={state}\n"))
}

#[tokio::test(start_paused = true)]
async fn systemctl_speaks_to_the_right_manager() {
    let bench = bench();
    bench.machine.systemctl("list-jobs --full", None).await.unwrap();
    bench.machine.systemctl("status it's", Some("alice")).await.unwrap();
    bench.machine.start_job(r"a\x2db.service c.service", None).await.unwrap();
    bench.fake.reply("stop", Reply::fail(5, "not loaded"));
    assert_eq!(bench.machine.stop_job("a.service", None).await.unwrap().status, 5);
    let su = r"su -l 'alice' --shell /bin/sh -c 'XDG_RUNTIME_DIR=/run/user/`id -u` systemctl --user status it'\''s'";
    let expected = [
        "systemctl list-jobs --full",
        su,
        r"systemctl start 'a\x2db.service' 'c.service'",
        "systemctl stop 'a.service'",
    ];
    let commands: Vec<_> = bench.commands().into_iter().map(|(command, _)| command).collect();
    assert_eq!(commands, expected);
}

#[tokio::test(start_paused = true)]
async fn properties_are_parsed() {
    let bench = bench();
    bench.fake.reply("show -- 'web.service'", Reply::ok("Id=web.service\nExecStart={ a=b }\nno property\nEmpty=\n"));
    let info = bench.machine.unit_info("web.service", None).await.unwrap();
    let info: Vec<_> = info.iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(info, [("Empty", ""), ("ExecStart", "{ a=b }"), ("Id", "web.service")]);
    bench.fake.reply("--property='Id'", Reply::ok("Id=a=b\n"));
    assert_eq!(bench.machine.unit_property("web.service", "Id", None).await.unwrap(), "a=b");
    for odd in ["", "Id=a\nId=b\n", "Other=1\n"] {
        bench.fake.reply("--property='Id'", Reply::ok(odd));
        let message = refusal(bench.machine.unit_property("web.service", "Id", None).await);
        assert_eq!(message, "unit \"web.service\" has no property \"Id\" with one value");
    }
    bench.fake.reply("show", Reply::fail(4, ""));
    assert_eq!(
        refusal(bench.machine.unit_info("web.service", Some("bob")).await),
        "retrieving systemctl info for unit \"web.service\" under user \"bob\" failed with exit code 4"
    );
    assert_eq!(
        refusal(bench.machine.unit_property("web.service", "Id", None).await),
        "retrieving systemctl property \"Id\" for unit \"web.service\" failed with exit code 4"
    );
}

#[tokio::test(start_paused = true)]
async fn a_unit_state_is_required() {
    let bench = bench();
    bench.fake.reply(STATE, state("activating"));
    bench.machine.require_unit_state("web.service", "activating").await.unwrap();
    assert_eq!(
        refusal(bench.machine.require_unit_state("web.service", "active").await),
        "Expected unit 'web.service' to to be in state 'active' but it is in state 'activating'"
    );
    assert_eq!(bench.titles()[0], "checking if unit 'web.service' has reached state 'activating'");
}

#[tokio::test(start_paused = true)]
async fn waits_for_a_unit_that_is_on_its_way() {
    let bench = bench();
    bench.fake.replies(STATE, [state("inactive"), state("activating"), state("activating"), state("active")]);
    bench.fake.reply("list-jobs", Reply::ok("1 web.service start waiting\n"));
    bench.machine.wait_for_unit("web.service", None, secs(900)).await.unwrap();
    assert_eq!(bench.titles(), ["waiting for unit web.service"]);
    assert_eq!(bench.commands().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_failed_unit_ends_a_wait_at_once() {
    let bench = bench();
    bench.fake.replies(STATE, [state("activating"), state("failed")]);
    let began = Instant::now();
    let message = refusal(bench.machine.wait_for_unit("web.service", None, secs(900)).await);
    assert_eq!(message, "unit \"web.service\" reached state \"failed\"");
    assert!(began.elapsed() < secs(1));
}

#[tokio::test(start_paused = true)]
async fn an_inactive_unit_without_jobs_ends_a_wait_soon() {
    let bench = bench();
    bench.fake.reply(STATE, state("inactive"));
    bench.fake.reply("list-jobs", Reply::ok("No jobs listed.\n"));
    let began = Instant::now();
    let message = refusal(bench.machine.wait_for_unit("web.service", None, secs(900)).await);
    assert_eq!(message, "unit \"web.service\" is inactive and there are no pending jobs");
    assert!(began.elapsed() < secs(2));
}

/// <https://github.com/juspay/kolu/issues/446>: the job is queued a moment after the wait begins.
#[tokio::test(start_paused = true)]
async fn a_job_that_is_not_queued_yet_does_not_end_a_wait() {
    let bench = bench();
    let inactive = std::iter::repeat_n(state("inactive"), 30);
    bench.fake.replies(STATE, inactive.chain([state("activating"), state("inactive"), state("active")]));
    bench.fake.reply("list-jobs", Reply::ok("No jobs listed.\n"));
    bench.machine.wait_for_unit("web.service", None, secs(900)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_manager_that_does_not_answer_is_asked_again_for_a_moment() {
    let bench = bench();
    bench.fake.replies("show", [Reply::fail(1, "transport endpoint is not connected"), state("active")]);
    bench.machine.wait_for_unit("web.service", Some("bob"), secs(900)).await.unwrap();
    assert_eq!(bench.titles(), ["waiting for unit web.service with user bob"]);
    bench.fake.reply("show", Reply::fail(1, ""));
    let message = refusal(bench.machine.wait_for_unit("web.service", None, secs(900)).await);
    assert_eq!(message, "retrieving systemctl info for unit \"web.service\" failed with exit code 1");
}

#[tokio::test(start_paused = true)]
async fn waits_for_units_end_with_deadline_or_death() {
    let bench = bench();
    bench.fake.reply(STATE, state("activating"));
    assert_eq!(
        refusal(bench.machine.wait_for_unit("web.service", None, secs(3)).await),
        "waiting for unit web.service: action timed out after 3.00 seconds (timeout=3.0); last seen: state activating"
    );
    let fake = bench.fake.clone();
    tokio::spawn(async move {
        tokio::time::sleep(secs(5)).await;
        fake.die(Exit::Died("panic".into()));
    });
    let began = Instant::now();
    let error = fault(bench.machine.wait_for_unit("web.service", None, secs(900)).await);
    assert!(error.gone);
    assert_eq!(error.to_string(), "machine server: waiting for unit web.service: it died: panic");
    assert_eq!(began.elapsed(), secs(5));
}
