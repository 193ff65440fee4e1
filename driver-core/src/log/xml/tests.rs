use std::path::PathBuf;

use quick_xml::Reader;
use quick_xml::events::Event as Part;
use tempfile::TempDir;

use super::*;
use crate::event::{Level, MachineState, Outcome, Recorder};

struct Written {
    _directory: TempDir,
    path: PathBuf,
    recorder: Recorder,
}

impl Written {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log.xml");
        let recorder = Recorder::new(vec![Box::new(Xml::create(&path, &WriteFaults::default()).unwrap())]);
        Self { _directory: directory, path, recorder }
    }

    /// The document, once it was found to be whole.
    fn text(&self) -> String {
        let text = std::fs::read_to_string(&self.path).unwrap();
        let mut reader = Reader::from_str(&text);
        let mut depth = 0_i32;
        loop {
            match reader.read_event().unwrap_or_else(|error| panic!("{error} in {text}")) {
                Part::Start(start) => {
                    start.attributes().for_each(|attribute| assert!(attribute.is_ok(), "{text}"));
                    depth += 1;
                }
                Part::End(_) => depth -= 1,
                Part::Eof => break,
                _ => {}
            }
        }
        assert_eq!(depth, 0, "{text}");
        text.strip_prefix(BEGINNING).and_then(|rest| rest.strip_suffix(END)).expect(&text).to_owned()
    }

    fn finish(&self) {
        self.recorder.record(Kind::RunFinished { outcome: Outcome::Passed, elapsed: 1.0 });
    }
}

/// With all times the same.
fn timeless(text: &str) -> String {
    let mut parts = text.split(" seconds");
    let mut timeless = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        timeless.truncate(timeless.rfind(' ').unwrap() + 1);
        timeless.push_str("0.00 seconds");
        timeless.push_str(part);
    }
    timeless
}

#[test]
fn it_has_the_shape_that_people_know() {
    let written = Written::new();
    let server = written.recorder.machine("server");
    let subtest = written.recorder.span("a <b> & c", true);
    let attributes = [("image".to_owned(), "x\".png".to_owned()), ("not a name".to_owned(), "x".to_owned())];
    let shot = server.within(Some(subtest.id())).span_with("making screenshot", false, attributes.into());
    server.record(Kind::Console { line: "login:\x07".into() });
    server.record(Kind::Machine { state: MachineState::Ready, detail: String::new() });
    shot.finish(None);
    subtest.recorder().message(Level::Warning, "odd");
    subtest.finish(Some("no".into()));
    written.recorder.record(Kind::Failure { report: "one\ntwo".into() });
    written.finish();
    let expected = "<nest><head>subtest: a &lt;b&gt; &amp; c</head>\
        <nest><head image=\"x&quot;.png\" machine=\"server\">making screenshot</head>\
        <line machine=\"server\" type=\"serial\">login:</line><line machine=\"server\">ready</line>\
        <line machine=\"server\">(finished: making screenshot, in 0.00 seconds)</line></nest>\
        <line>odd</line><line>(failed: subtest: a &lt;b&gt; &amp; c, after 0.00 seconds: no)</line></nest>\
        <line>one</line><line>two</line>";
    assert_eq!(timeless(&written.text()), expected);
}

#[test]
fn it_is_whole_after_every_event() {
    let written = Written::new();
    assert_eq!(written.text(), "");
    let outer = written.recorder.span("outer", false);
    assert_eq!(written.text(), "<nest><head>outer</head></nest>");
    let inner = outer.recorder().span("inner", false);
    assert_eq!(written.text(), "<nest><head>outer</head><nest><head>inner</head></nest></nest>");
    inner.recorder().message(Level::Info, "x".repeat(100_000));
    written.text();
    inner.finish(None);
    written.text();
    drop(outer);
    assert!(written.text().contains("(failed: outer, after "), "{}", written.text());
}

#[test]
fn what_xml_cannot_hold_is_left_out() {
    let written = Written::new();
    let evil: String = (0..0x20).chain(0x7f..0xa0).chain([0xfffe, 0xffff]).filter_map(char::from_u32).collect();
    let evil = format!("{evil}</line>]]>&\"'\u{1f600}");
    let machine = written.recorder.machine(&evil);
    let span = machine.span_with(evil.clone(), true, [("name".to_owned(), evil.clone())].into());
    machine.record(Kind::Console { line: evil.clone() });
    machine.record(Kind::Journal { message: evil.clone(), unit: Some(evil.clone()), priority: None });
    span.recorder().message(Level::Info, evil.clone());
    span.finish(Some(evil.clone()));
    let text = written.text();
    assert_eq!(text.matches("<line").count(), text.matches("</line>").count());
    assert!(!text.contains(['\0', '\u{1b}', '\u{fffe}']) && text.contains('\u{1f600}'));
}

#[test]
fn steps_at_the_same_time_take_turns() {
    let written = Written::new();
    let (one, two) = (written.recorder.span("one", false), written.recorder.span("two", false));
    one.recorder().message(Level::Info, "of one");
    two.recorder().message(Level::Info, "of two");
    written.recorder.message(Level::Info, "of none");
    one.finish(None);
    two.finish(None);
    let expected = "<nest><head>one</head></nest><nest><head>two</head></nest>\
        <nest><head continued=\"true\">one</head><line>of one</line></nest>\
        <nest><head continued=\"true\">two</head><line>of two</line><line>of none</line></nest>\
        <nest><head continued=\"true\">one</head><line>(finished: one, in 0.00 seconds)</line></nest>\
        <nest><head continued=\"true\">two</head><line>(finished: two, in 0.00 seconds)</line></nest>";
    assert_eq!(timeless(&written.text()), expected);
}

#[test]
fn a_step_that_ends_before_those_in_it_leaves_the_document_whole() {
    let written = Written::new();
    let outer = written.recorder.span("outer", false);
    let inner = outer.recorder().span("inner", false);
    outer.finish(None);
    inner.recorder().message(Level::Info, "late");
    inner.finish(None);
    written.finish();
    assert_eq!(written.text().matches("<nest>").count(), 3);
}

#[test]
fn a_pipe_gets_a_whole_document_too() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let reader = std::thread::spawn({
        let path = path.clone();
        move || std::fs::read_to_string(path).unwrap()
    });
    let sink = loop {
        // Until the reader is there.
        match Xml::create(&path, &WriteFaults::default()) {
            Ok(sink) => break sink,
            Err(_) => std::thread::sleep(std::time::Duration::from_millis(10)),
        }
    };
    let recorder = Recorder::new(vec![Box::new(sink)]);
    let open = recorder.span("open", false);
    recorder.record(Kind::RunFinished { outcome: Outcome::Interrupted, elapsed: 1.0 });
    drop(open);
    drop(recorder);
    let text = reader.join().unwrap();
    assert_eq!(text, format!("{BEGINNING}<nest><head>open</head></nest>{END}"));
}
