//! The package against the file that says what upstream's scripts rely on.

use std::path::Path;

use driver_core::event::Kind;
use driver_core::fake::Reply;
use driver_core::guest::QmpRefusal;

use crate::stage::Stage;

const TREE: &str = r#"
xwininfo: Window id: 0x1e4 (the root window) (has no name)
     0x1a00003 "Terminal": ("xterm" "XTerm")  484x316+0+0  +0+0
        0x1a0000e "a clock": ()  484x316+0+0  +0+0
     0x1a00001 (has no name): ()  10x10+-100+-100  +-100+-100
"#;

#[tokio::test(flavor = "multi_thread")]
async fn names_signatures_and_words_are_upstreams() {
    let stage = Stage::with_lan(&["box"]);
    let machine = stage.fake("box");
    machine.reply("list-jobs", Reply::ok("No jobs running.\n"));
    for (unit, state) in [("active", "active"), ("failed", "failed"), ("idle", "inactive")] {
        machine.reply(&format!("{unit}.service"), Reply::ok(format!("ActiveState={state}\n")));
    }
    let refusal = QmpRefusal { class: "CommandNotFound".into(), description: "no such command".into() };
    machine.has_monitor();
    machine.qmp_answers("bad", Err(refusal));
    machine.reply("missing.service", Reply::fail(4, "no such unit"));
    machine.reply("/run/systemd/system", Reply::ok(""));
    machine.reply("xdotool", Reply::ok(""));
    machine.reply("xwininfo -root", Reply::ok(""));
    machine.reply("xwininfo -root -tree", Reply::ok(TREE));
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/contract/api.toml");
    std::fs::write(stage.path().join("contract"), file.to_str().unwrap()).unwrap();
    stage.pass(include_str!("contract.py")).await;

    let expected = std::fs::read_to_string(stage.path().join("expected")).unwrap();
    let expected: serde_json::Value = serde_json::from_str(&expected).unwrap();
    let texts = |key: &str| expected[key].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned());
    let steps: Vec<String> = stage
        .events()
        .into_iter()
        .filter_map(|event| match event.kind {
            Kind::SpanStarted { title, .. } => Some(title),
            _ => None,
        })
        .collect();
    let missing: Vec<_> = texts("steps").filter(|step| !steps.contains(step)).collect();
    assert!(missing.is_empty(), "{missing:#?} not in {steps:#?}");
    let lines = stage.messages();
    let missing: Vec<_> = texts("lines").filter(|line| !lines.iter().any(|said| said.ends_with(line))).collect();
    assert!(missing.is_empty(), "{missing:#?} not in {lines:#?}");
}
