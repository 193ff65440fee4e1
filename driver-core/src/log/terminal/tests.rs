use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::*;
use crate::event::{MachineState, Outcome, SpanId};
use crate::spec::VlanId;

fn settings(colours: bool, live: bool, level: Level) -> TerminalSettings {
    TerminalSettings {
        level,
        colours,
        reader: if live { Reader::Watching } else { Reader::File },
        plain_steps: false,
        consoles: Arc::new(true.into()),
        output: Some("out/hello".into()),
    }
}

fn event(machine: &str, span: SpanId, kind: Kind) -> Event {
    let machine = (!machine.is_empty()).then(|| machine.to_owned());
    let span = (span > 0).then_some(span);
    Event { schema: 1, seq: 0, time: 0.0, wall: 0.0, machine, span, guest_time: None, kind }
}

fn started(machine: &str, span: SpanId, parent: SpanId, title: &str, subtest: bool) -> Event {
    let parent = (parent > 0).then_some(parent);
    event(machine, span, Kind::SpanStarted { title: title.into(), subtest, parent, attributes: BTreeMap::new() })
}

fn finished(machine: &str, span: SpanId, title: &str, failure: Option<&str>) -> Event {
    event(
        machine,
        span,
        Kind::SpanFinished { title: title.into(), elapsed: 1.234, failure: failure.map(str::to_owned) },
    )
}

fn message(machine: &str, span: SpanId, level: Level, text: &str) -> Event {
    event(machine, span, Kind::Message { level, text: text.into() })
}

fn console(machine: &str, line: &str) -> Event {
    event(machine, 0, Kind::Console { line: line.into() })
}

fn network(machine: &str, change: &str) -> Event {
    let vlan = VlanId::new(1).unwrap();
    event(machine, 0, Kind::Network { vlan, machines: vec!["server".into()], change: change.into() })
}

fn command(machine: &str, span: SpanId, status: i32, stdout: &str, stderr: &str) -> Event {
    let (stdout, stderr) = (stdout.into(), stderr.into());
    event(machine, span, Kind::Command { command: "x".into(), status, elapsed: 0.5, stdout, stderr })
}

/// A run that has a little of everything.
fn story() -> Vec<Event> {
    let journal = Kind::Journal { message: "one\ntwo".into(), unit: Some("web.service".into()), priority: Some(3) };
    vec![
        event("", 0, Kind::RunStarted { test: "hello".into(), version: "1.0".into() }),
        event("server", 0, Kind::Machine { state: MachineState::Ready, detail: "pid 7".into() }),
        console("server", "Welcome"),
        network("", "partition: server | client"),
        network("server", "delay 50ms (out)"),
        event("server", 0, journal),
        message("", 0, Level::Debug, "hidden"),
        started("", 1, 0, "the page is served", true),
        message("client", 1, Level::Warning, "odd"),
        started("client", 2, 1, "must succeed: curl\n--fail", false),
        command("client", 2, 7, "out\n", "err\n"),
        message("client", 2, Level::Info, "output: out\n"),
        finished("client", 2, "must succeed: curl\n--fail", Some("command `curl` failed (exit code 7)")),
        finished("", 1, "the page is served", Some("command `curl` failed (exit code 7)")),
        started("client", 3, 0, "waiting for file '/x'", false),
        finished("client", 3, "waiting for file '/x'", None),
        event("", 0, Kind::Failure { report: "Traceback:\n\nno".into() }),
        event("", 0, Kind::RunFinished { outcome: Outcome::Failed, elapsed: 2.0 }),
    ]
}

fn text(settings: TerminalSettings, events: &[Event]) -> String {
    let mut format = Format::new(settings);
    events.iter().map(|event| format.event(event)).collect()
}

#[test]
fn plain() {
    let expected = "\
test hello (tandem 1.0)
server: ready: pid 7
server # Welcome
vlan 1: partition: server | client
server: link to vlan 1: delay 50ms (out)
server # web.service: one
server # web.service: two
subtest: the page is served
client: odd
client: must succeed: curl
client: --fail
client: output: out
client: (failed: must succeed: curl, after 1.23 seconds: command `curl` failed (exit code 7))
(failed: subtest: the page is served, after 1.23 seconds)
client: waiting for file '/x'
client: (finished: waiting for file '/x', in 1.23 seconds)
!!! Traceback:
!!! 
!!! no
test hello failed after 2.00 seconds; its record is in out/hello
";
    assert_eq!(text(settings(false, false, Level::Info), &story()), expected);
}

#[test]
fn coloured_and_indented() {
    let expected = "\
<bold>test hello (tandem 1.0)<>
server: ready: pid 7
<dim>server # Welcome<>
vlan 1: partition: server | client
server: link to vlan 1: delay 50ms (out)
<dim>server # web.service: one<>
<dim>server # web.service: two<>
<step>subtest: the page is served<>
  client: <odd>odd<>
  client: <step>must succeed: curl<>
  client: <step>--fail<>
    client: output: out
  client: <odd>(failed: must succeed: curl, after 1.23 seconds: command `curl` failed (exit code 7))<>
<odd>(failed: subtest: the page is served, after 1.23 seconds)<>
client: <step>waiting for file '/x'<>
client: (finished: waiting for file '/x', in 1.23 seconds)
<bad>!!! Traceback:<>
<bad>!!! <>
<bad>!!! no<>
<badbold>test hello failed after 2.00 seconds; its record is in out/hello<>
";
    let mut shown = text(settings(true, true, Level::Info), &story());
    for (sequence, name) in [
        ("\x1b[1m\x1b[32m", "<step>"),
        ("\x1b[1m\x1b[31m", "<badbold>"),
        ("\x1b[1m", "<bold>"),
        ("\x1b[2m", "<dim>"),
        ("\x1b[33m", "<odd>"),
        ("\x1b[31m", "<bad>"),
        ("\x1b[0m", "<>"),
    ] {
        shown = shown.replace(sequence, name);
    }
    assert_eq!(shown, expected);
}

#[test]
fn the_level_hides_what_matters_less() {
    let quiet = text(settings(false, false, Level::Error), &story());
    assert_eq!(
        quiet,
        "!!! Traceback:\n!!! \n!!! no\ntest hello failed after 2.00 seconds; its record is in out/hello\n"
    );

    let verbose = text(settings(false, false, Level::Debug), &story());
    assert!(verbose.contains("\nhidden\n"));
    let output =
        "client: command `x` ended with status 7 in 0.50 seconds\nclient: output: out\nclient: error output: err\n";
    assert!(verbose.contains(output), "{verbose}");
}

#[test]
fn consoles_can_be_switched_off_and_on() {
    let settings = settings(false, false, Level::Info);
    let switch = settings.consoles.clone();
    let mut format = Format::new(settings);
    let mut shown = String::new();
    for (on, line) in [(true, "one"), (false, "two"), (true, "three")] {
        switch.store(on, std::sync::atomic::Ordering::Relaxed);
        shown += &format.event(&console("a", line));
        shown += &format.event(&message("a", 0, Level::Info, line));
    }
    assert_eq!(shown, "a # one\na: one\na: two\na # three\na: three\n");
}

#[test]
fn a_hostile_guest_cannot_touch_the_terminal() {
    let evil = "\x1b]0;owned\x07\x1b[2J\rroot# \u{9b}31m\u{202e}";
    let events = [
        console("a", evil),
        event("a", 0, Kind::Journal { message: evil.into(), unit: Some(evil.into()), priority: None }),
        message("a", 0, Level::Info, evil),
        started("a", 1, 0, evil, false),
        command("a", 1, 1, evil, evil),
        finished("a", 1, evil, Some(evil)),
        event("", 0, Kind::Failure { report: evil.into() }),
        event("", 0, Kind::RunStarted { test: evil.into(), version: evil.into() }),
        event("a", 0, Kind::Machine { state: MachineState::Stopped, detail: evil.into() }),
    ];
    let shown = text(settings(false, false, Level::Info), &events);
    assert_eq!(shown.matches("root# ").count(), 11, "{shown}");
    assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{shown:?}");
    assert!(!shown.contains('\u{202e}'));
    // A line feed cannot make a second line that looks like ours.
    assert_eq!(text(settings(false, false, Level::Info), &[console("a", "x\n!!! fake")]), "a # x\\n!!! fake\n");
}

#[test]
fn long_lines_and_outputs_are_bounded() {
    let shown = text(settings(false, false, Level::Info), &[console("a", &"x".repeat(1 << 20))]);
    assert!(shown.len() < 5000, "{}", shown.len());
    assert!(shown.ends_with("… (1044480 more bytes)\n"), "{shown}");

    let lines = (0..1000).map(|number| number.to_string()).collect::<Vec<_>>().join("\n");
    let shown = text(settings(false, false, Level::Info), &[message("a", 0, Level::Info, &lines)]);
    assert!(shown.contains("a: 99\na: … (800 more lines)\na: 900\n"), "{shown}");
    assert_eq!(shown.lines().count(), 201);
}

#[test]
fn everything_is_written_when_the_run_has_finished() {
    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);
    impl Write for Buffer {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(text)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let buffer = Buffer::default();
    let mut terminal = Terminal::new(settings(false, false, Level::Info), buffer.clone()).unwrap();
    let events = story();
    for event in &events {
        terminal.event(event);
    }
    let written = String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap();
    assert_eq!(written, text(settings(false, false, Level::Info), &events));
}

#[test]
fn plain_steps_are_all_that_is_said() {
    let plain = TerminalSettings { plain_steps: true, ..settings(false, true, Level::Info) };
    let shown = text(plain, &story());
    assert!(shown.contains("\nclient: must succeed: curl\n") && shown.contains("\n!!! no\n"), "{shown}");
    assert!(!shown.contains("test hello") && !shown.lines().any(|line| line.starts_with(' ')), "{shown}");
}

#[test]
fn errors_are_marked_and_never_hidden() {
    let events = [
        message("", 0, Level::Error, "Test \"x\" failed with error: \"one\ntwo\""),
        message("a", 0, Level::Error, "no"),
    ];
    let shown = text(settings(false, false, Level::Error), &events);
    assert_eq!(shown, "!!! Test \"x\" failed with error: \"one\n!!! two\"\na: !!! no\n");
}
