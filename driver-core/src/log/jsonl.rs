//! The record for programs: JSON lines.

use std::fs::File;
use std::io;
use std::path::Path;

use super::file::{RecordFile, WriteFaults};
use crate::event::{Event, Sink};

/// Writes every event as one JSON object a line, each in one write.
#[derive(Debug)]
pub struct Jsonl(RecordFile);

impl Jsonl {
    /// A sink into a new file at `path`; a file that is there is removed first.
    pub fn create(path: &Path, faults: &WriteFaults) -> io::Result<Self> {
        RecordFile::replace(path, faults).map(Self)
    }

    /// A sink into an open file, which must have been opened for appending if anyone else writes to it. `path` names it in faults.
    pub fn new(file: File, path: &Path, faults: &WriteFaults) -> Self {
        Self(RecordFile::new(file, path, faults))
    }
}

impl Sink for Jsonl {
    fn event(&mut self, event: &Event) {
        self.0.write(&line(event));
    }
}

pub(super) fn line(event: &Event) -> Vec<u8> {
    let mut line = serde_json::to_vec(event).expect("an event has string keys and no failing serializer");
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Kind, Level, MachineState, Outcome, Recorder};
    use crate::spec::VlanId;

    #[test]
    fn what_is_recorded_can_be_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events.jsonl");
        std::fs::write(&path, "of an earlier run").unwrap();
        let kinds = [
            Kind::RunStarted { test: "hello".into(), version: "1".into() },
            Kind::Message { level: Level::Warning, text: "two\nlines \x1b[31m \u{2028}".into() },
            Kind::Console { line: "invalid \u{fffd}".into() },
            Kind::Journal { message: "up".into(), unit: Some("a.service".into()), priority: Some(6) },
            Kind::Machine { state: MachineState::Stopped, detail: String::new() },
            Kind::Network {
                vlan: VlanId::new(3).unwrap(),
                machines: vec!["server".into()],
                change: "delay 50ms (out)".into(),
            },
            Kind::Command {
                command: "true".into(),
                status: 0,
                elapsed: 0.5,
                stdout: String::new(),
                stderr: "x\n".into(),
            },
            Kind::Failure { report: "no".into() },
            Kind::RunFinished { outcome: Outcome::Failed, elapsed: 1.5 },
        ];

        let recorder = Recorder::new(vec![Box::new(Jsonl::create(&path, &WriteFaults::default()).unwrap())]);
        let span = recorder.span("outer", true);
        for kind in &kinds {
            span.recorder().machine("server").record_at(kind.clone(), Some(12.25));
        }
        span.finish(None);

        let text = std::fs::read_to_string(&path).unwrap();
        let events: Vec<Event> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(events.iter().map(|event| event.seq).collect::<Vec<_>>(), (0..11).collect::<Vec<_>>());
        for (event, kind) in events[1..].iter().zip(&kinds) {
            assert_eq!(&event.kind, kind);
            assert_eq!(event.machine.as_deref(), Some("server"));
            assert_eq!((event.span, event.guest_time), (Some(1), Some(12.25)));
        }
    }

    #[test]
    fn an_event_is_in_the_file_as_soon_as_it_is_recorded() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events.jsonl");
        let recorder = Recorder::new(vec![Box::new(Jsonl::create(&path, &WriteFaults::default()).unwrap())]);
        recorder.message(Level::Info, "now");
        assert!(std::fs::read_to_string(&path).unwrap().ends_with("\"text\":\"now\"}\n"));
    }
}
