//! Polling conditions.

use std::time::Duration;

use driver_core::fake::Reply;

use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_is_checked_before_commands() {
    let stage = Stage::new(&["server"]);
    let script = r#"
from test_driver.polling_condition import PollingConditionError
checks = []

@polling_condition
def fine():
    "all is fine"
    checks.append(1)
    server.succeed("true")  # may use machines

@polling_condition(interval=__import__("datetime").timedelta(0), description="will fail")
def failing():
    return len(checks) < 100 and not failed
failed = False

server.succeed("true")
assert not checks
with fine:
    server.succeed("true")
    server.succeed("true")
    assert len(checks) == 1, checks  # the next is due in two seconds
    with failing:
        server.succeed("true")
        failed = True
        try:
            server.succeed("true")
            raise SystemExit("should have failed")
        except PollingConditionError as error:
            assert str(error) == "Polling condition failed: will fail", error
    server.succeed("true")
"#;
    stage.pass(script).await;
    let messages = stage.messages();
    for expected in
        ["(not called yet)", "Polling condition succeeded: all is fine", "Polling condition failed: will fail"]
    {
        assert!(messages.iter().any(|text| text.contains(expected)), "{expected}: {messages:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_that_fails_during_a_wait_ends_it() {
    let stage = Stage::new(&["server"]);
    stage.fake("server").reply("forever", Reply::hang());
    let script = r#"
from datetime import timedelta
checks = []

@polling_condition(interval=timedelta(milliseconds=20))
def alive():
    checks.append(1)
    return server.execute("true")[0] == 0 and len(checks) < 4

with alive:
    server.succeed("forever")
"#;
    let report = stage.fail(script).await;
    assert!(report.ends_with("PollingConditionError: Polling condition failed: alive"), "{report}");
    assert!(report.contains("line 11"), "{report}");
    // The wait that it ended was cancelled.
    tokio::time::timeout(Duration::from_secs(5), async {
        while stage.failure("must succeed: forever").is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_can_be_waited_for() {
    let stage = Stage::new(&[]);
    let script = r#"
from datetime import timedelta
from test_driver.errors import RequestedAssertionFailed
calls = []

@polling_condition(description="third time lucky")
def lucky():
    calls.append(1)
    return len(calls) >= 3

lucky.wait()
assert len(calls) == 3

@polling_condition
def never():
    raise ValueError("no")

try:
    never.wait(timeout=timedelta(milliseconds=30))
    raise SystemExit("should have failed")
except RequestedAssertionFailed as error:
    assert str(error).startswith("action timed out after "), error
    assert str(error).endswith("(timeout=0.03)"), error
"#;
    stage.pass(script).await;
    let messages = stage.messages();
    assert!(messages.iter().any(|text| text == "(third time lucky failure not fatal yet)"), "{messages:#?}");
    assert!(messages.iter().any(|text| text == "Last chance for never"), "{messages:#?}");
}
