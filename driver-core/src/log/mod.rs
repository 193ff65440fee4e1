//! Sinks of the record: where the [events](crate::event) of a run are written.
//!
//! - [`Terminal`] is for people: what happens, as it happens, safe to show whatever a guest says.
//! - [`Jsonl`] is for programs: every event, one JSON object a line.
//! - [`Xml`] is the XML file that the NixOS test driver writes.
//! - [`Junit`] is the report that CI systems read.
//! - [`MachineFiles`] keeps each machine's console and journal in files of its own.
//! - [`OutputDirectory`] is where the two kinds of file lie; it makes their sinks.
//!
//! Files take each event in one unbuffered write, so a driver that is killed loses nothing of its record. The JUnit report is written when a
//! test begins and when it ends.

mod file;
mod given;
mod harmless;
mod jsonl;
mod junit;
mod machine_files;
mod output;
mod terminal;
mod words;
mod xml;

pub use file::{WriteFault, WriteFaults};
pub use harmless::harmless;
pub use jsonl::Jsonl;
pub use junit::Junit;
pub use machine_files::MachineFiles;
pub use output::OutputDirectory;
pub use terminal::{Reader, Terminal, TerminalSettings};
pub use xml::Xml;
