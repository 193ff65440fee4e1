//! How what a script does lies in the record.

use driver_core::event::Kind;

use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn spans_lie_in_each_other() {
    let stage = Stage::new(&["server"]);
    let script = r#"
with subtest("outer"):
    with server.nested("middle"):
        log.info("inside")
        server.succeed("true")
    log.info("between")
log.info("outside")
"#;
    stage.pass(script).await;
    let (outer, middle) = (stage.span("outer"), stage.span("middle"));
    assert_eq!(stage.parent("outer"), None);
    assert_eq!(stage.parent("middle"), Some(outer));
    assert_eq!(stage.parent("must succeed: true"), Some(middle));
    let places: Vec<_> = stage.messages_with_place().into_iter().map(|(text, _, span)| (text, span)).collect();
    let expected = [("inside", Some(middle)), ("between", Some(outer)), ("outside", None)];
    assert_eq!(places, expected.map(|(text, span)| (text.to_owned(), span)));
    let subtests: Vec<_> = stage
        .events()
        .into_iter()
        .filter(|event| matches!(event.kind, Kind::SpanStarted { subtest: true, .. }))
        .collect();
    assert_eq!(subtests.len(), 1);
    let of_machine = stage.events().into_iter().find(|event| event.span == Some(middle)).unwrap();
    assert_eq!(of_machine.machine.as_deref(), Some("server"));
}

#[tokio::test(flavor = "multi_thread")]
async fn threads_have_spans_of_their_own() {
    let stage = Stage::new(&["a", "b"]);
    let script = r#"
import threading
both = threading.Barrier(2, timeout=20)

def work(machine):
    machine.succeed("echo before")
    with subtest(f"of {machine.name}"):
        both.wait()
        machine.succeed(f"echo {machine.name}")
        with log.nested(f"deep in {machine.name}"):
            both.wait()
            log.info(machine.name)
        both.wait()

with subtest("all"):
    threads = [threading.Thread(target=work, args=(machine,)) for machine in machines]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
"#;
    stage.pass(script).await;
    let all = stage.span("all");
    assert_eq!(stage.parent("must succeed: echo before"), Some(all));
    for name in ["a", "b"] {
        let own = stage.span(&format!("of {name}"));
        assert_eq!(stage.parent(&format!("of {name}")), Some(all));
        assert_eq!(stage.parent(&format!("must succeed: echo {name}")), Some(own));
        let deep = stage.span(&format!("deep in {name}"));
        let message = stage.messages_with_place().into_iter().find(|(text, ..)| text == name).unwrap();
        assert_eq!(message.2, Some(deep));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn attributes_of_a_step_are_recorded() {
    let stage = Stage::new(&["server"]);
    stage.pass("with server.nested('step', {'image': 'a.png', 'number': 7}): pass").await;
    let attributes = stage.events().into_iter().find_map(|event| match event.kind {
        Kind::SpanStarted { attributes, .. } => Some((event.machine, attributes)),
        _ => None,
    });
    let expected = [("image", "a.png"), ("number", "7")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(attributes, Some((Some("server".to_owned()), expected.into())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_serial_message_is_the_machines() {
    let stage = Stage::new(&["server"]);
    stage.pass("server.log_serial('one\\ntwo')").await;
    let said = stage.events().into_iter().filter_map(|event| match event.kind {
        Kind::Console { line } => Some((event.machine.unwrap_or_default(), line)),
        _ => None,
    });
    let expected = ["one", "two"].map(|line| ("server".to_owned(), line.to_owned()));
    assert_eq!(said.collect::<Vec<_>>(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_over_all_machines_have_the_names_that_people_know() {
    let stage = Stage::new(&["server"]);
    stage.pass("start_all()\nserver.shutdown()\njoin_all()").await;
    stage.span("start all VMs");
    stage.span("wait for all VMs to finish");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_subtest_says_why() {
    let stage = Stage::new(&["server"]);
    let script = r#"
try:
    with subtest("bound to fail"):
        server.succeed("false")
except Exception:
    pass
with subtest("cut short"):
    os._exit(0)
"#;
    stage.fail(script).await;
    let why = "command `false` failed (exit code 1)";
    assert_eq!(stage.failure("bound to fail").as_deref(), Some(why));
    assert!(stage.messages().contains(&format!("Test \"bound to fail\" failed with error: \"{why}\"")));
    assert_eq!(stage.failure("cut short").as_deref(), Some("cancelled"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_printed_comes_in_order_and_in_its_span() {
    let stage = Stage::new(&[]);
    let script = r#"
import subprocess, sys
for number in range(20):
    print("out", number)
    log.info(f"log {number}")
    print("err", number, file=sys.stderr)
with subtest("inside"):
    subprocess.run(["echo", "from a child"])
    print("in span")
print("no end", end="")
"#;
    stage.pass(script).await;
    let mut expected: Vec<_> =
        (0..20).flat_map(|n| [format!("out {n}"), format!("log {n}"), format!("err {n}")]).collect();
    expected.extend(["from a child", "in span", "no end"].map(str::to_owned));
    assert_eq!(stage.messages(), expected);
    let inside = stage.span("inside");
    let places: Vec<_> = stage.messages_with_place().into_iter().skip(60).map(|(.., span)| span).collect();
    assert_eq!(places, [Some(inside), Some(inside), None]);
}

#[tokio::test(flavor = "multi_thread")]
async fn much_can_be_printed() {
    let stage = Stage::new(&[]);
    stage.pass("for number in range(20000): print(number)\n").await;
    let messages = stage.messages();
    assert_eq!(messages.len(), 20000);
    assert!(messages.iter().enumerate().all(|(number, text)| *text == number.to_string()));
}
