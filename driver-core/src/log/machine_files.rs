//! Each machine's console and journal as files of their own.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::file::{RecordFile, WriteFault, WriteFaults};
use super::{harmless, jsonl};
use crate::event::{Event, Kind, Sink};

/// Names of the files in a machine's directory.
pub(super) const CONSOLE: &str = "console.log";
pub(super) const JOURNAL: &str = "journal.jsonl";

/// Writes `MACHINE/console.log`, which is the console's lines and nothing else, and `MACHINE/journal.jsonl`, which is the journal's events.
///
/// Console lines are made safe to show, since people `cat` them.
#[derive(Debug)]
pub struct MachineFiles {
    directory: PathBuf,
    machines: BTreeMap<String, Option<Files>>,
    faults: WriteFaults,
}

#[derive(Debug)]
struct Files {
    console: RecordFile,
    journal: RecordFile,
}

impl MachineFiles {
    /// Makes the files of `machines` below `directory` in the place of those of an earlier run. A machine that comes later gets its own then.
    pub fn create<'a>(
        directory: &Path,
        machines: impl IntoIterator<Item = &'a str>,
        faults: &WriteFaults,
    ) -> io::Result<Self> {
        let machines =
            machines.into_iter().map(|name| Ok((name.to_owned(), Some(Files::create(&directory.join(name), faults)?))));
        Ok(Self { directory: directory.into(), machines: machines.collect::<io::Result<_>>()?, faults: faults.clone() })
    }

    /// The files of `machine`, or none if they could not be made, which is a fault once.
    fn of(&mut self, machine: &str) -> Option<&mut Files> {
        let open = || {
            let path = self.directory.join(machine);
            Files::create(&path, &self.faults).map_err(|source| self.faults.add(WriteFault { path, source })).ok()
        };
        self.machines.entry(machine.to_owned()).or_insert_with(open).as_mut()
    }
}

impl Files {
    fn create(directory: &Path, faults: &WriteFaults) -> io::Result<Self> {
        std::fs::create_dir_all(directory)?;
        Ok(Self {
            console: RecordFile::replace(&directory.join(CONSOLE), faults)?,
            journal: RecordFile::replace(&directory.join(JOURNAL), faults)?,
        })
    }
}

impl Sink for MachineFiles {
    fn event(&mut self, event: &Event) {
        let Some(machine) = &event.machine else { return };
        match &event.kind {
            Kind::Console { line } => {
                let line = format!("{}\n", harmless(line));
                if let Some(files) = self.of(machine) {
                    files.console.write(line.as_bytes());
                }
            }
            Kind::Journal { .. } => {
                if let Some(files) = self.of(machine) {
                    files.journal.write(&jsonl::line(event));
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Level, Recorder};

    #[test]
    fn each_machine_has_its_own_lines_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let out = directory.path();
        std::fs::create_dir(out.join("server")).unwrap();
        std::fs::write(out.join("server/console.log"), "of an earlier run").unwrap();
        std::fs::write(out.join("server/copied.txt"), "foreign").unwrap();

        let faults = WriteFaults::default();
        let sink = MachineFiles::create(out, ["client", "server"], &faults).unwrap();
        let recorder = Recorder::new(vec![Box::new(sink)]);
        let server = recorder.machine("server");
        server.record(Kind::Console { line: "Welcome to \x1b[1mDebian\x1b[0m\x07".into() });
        server.message(Level::Info, "not the console");
        server.record(Kind::Console { line: "login:".into() });
        server.record(Kind::Journal { message: "up".into(), unit: None, priority: None });
        recorder.machine("late").record(Kind::Console { line: "hello".into() });

        let read = |path: &str| std::fs::read_to_string(out.join(path)).unwrap();
        assert_eq!(read("server/console.log"), "Welcome to Debian\\u{7}\nlogin:\n");
        assert_eq!(read("server/copied.txt"), "foreign");
        let journal: Event = serde_json::from_str(&read("server/journal.jsonl")).unwrap();
        assert_eq!((journal.seq, journal.machine.as_deref()), (3, Some("server")));
        assert_eq!(read("client/console.log"), "");
        assert_eq!(read("late/console.log"), "hello\n");
        assert!(faults.take().is_empty());
    }
}
