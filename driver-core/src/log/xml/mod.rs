//! The record as the XML file that the NixOS test driver writes to `LOGFILE`.

mod element;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::file::WriteFaults;
use super::given::GivenFile;
use super::words;
use crate::event::{Event, Kind, Sink, SpanId};
use element::{Element, printed};

const BEGINNING: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<logfile>";
const END: &str = "</logfile>\n";
const NEST_END: &str = "</nest>";

/// Writes steps as `<nest>` elements that lie in each other, and what is said in them as `<line>` elements.
///
/// A regular file is a whole document after every event, so it is one also when the driver is killed. Steps that go on at the same time take
/// turns: a step that another one interrupts is closed and goes on in a `<nest>` of its own, whose head has the attribute `continued`.
/// What lies in no step is written where the last step is. Characters that XML cannot hold are left out.
#[derive(Debug)]
pub struct Xml {
    file: GivenFile,
    spans: BTreeMap<SpanId, Step>,
    /// The elements that are open, from the outside in.
    open: Vec<SpanId>,
    finished: bool,
}

/// A step that goes on.
#[derive(Debug)]
struct Step {
    parent: Option<SpanId>,
    title: String,
    attributes: BTreeMap<String, String>,
    /// Its head was written before.
    begun: bool,
}

impl Xml {
    /// A sink into the file at `path`, which is emptied; it may be a device or a pipe.
    pub fn create(path: &Path, faults: &WriteFaults) -> io::Result<Self> {
        let mut file = GivenFile::open(path, faults)?;
        file.grow(BEGINNING, END);
        Ok(Self { file, spans: BTreeMap::new(), open: Vec::new(), finished: false })
    }

    /// Closes and opens elements until those of `span` are open.
    fn go_to(&mut self, span: Option<SpanId>, text: &mut String) {
        let outwards = |id: &SpanId| self.spans.get(id).and_then(|step| step.parent);
        let mut path: Vec<_> = std::iter::successors(span, outwards).filter(|id| self.spans.contains_key(id)).collect();
        path.reverse();
        let common = self.open.iter().zip(&path).take_while(|(open, wanted)| open == wanted).count();
        for _ in common..self.open.len() {
            text.push_str(NEST_END);
        }
        for id in &path[common..] {
            if let Some(step) = self.spans.get_mut(id) {
                text.push_str("<nest>");
                text.push_str(&step.head());
                step.begun = true;
            }
        }
        self.open = path;
    }

    fn write(&mut self, text: &str) {
        let end = NEST_END.repeat(self.open.len()) + END;
        self.file.grow(text, &end);
    }
}

impl Step {
    fn head(&self) -> String {
        let mut head = Element::new("head");
        for (name, value) in &self.attributes {
            head = head.attribute(name, value);
        }
        if self.begun {
            head = head.attribute("continued", "true");
        }
        head.text(&self.title)
    }
}

impl Sink for Xml {
    fn event(&mut self, event: &Event) {
        if self.finished {
            return;
        }
        let machine = event.machine.as_deref();
        let mut text = String::new();
        let line = |line: &str| Element::new("line").of(machine).text(line);
        let said = |line: &str| Element::new("line").of(machine).attribute("type", "serial").text(&printed(line));
        match &event.kind {
            Kind::SpanStarted { title, subtest, parent, attributes } => {
                let Some(id) = event.span else { return };
                let title = words::subtest_title(title, *subtest).into_owned();
                let mut attributes = attributes.clone();
                attributes.extend(machine.map(|machine| ("machine".to_owned(), machine.to_owned())));
                self.spans.insert(id, Step { parent: *parent, title, attributes, begun: false });
                self.go_to(Some(id), &mut text);
            }
            Kind::SpanFinished { title, elapsed, failure } => {
                let Some(id) = event.span.filter(|id| self.spans.contains_key(id)) else { return };
                self.go_to(Some(id), &mut text);
                let title = self.spans.remove(&id).map_or_else(|| title.clone(), |step| step.title);
                text.push_str(&line(&words::end(&title, *elapsed, failure.as_deref())));
                text.push_str(NEST_END);
                self.open.pop();
            }
            Kind::Message { text: message, .. } => {
                if event.span.is_some() {
                    self.go_to(event.span, &mut text);
                }
                text.push_str(&line(message));
            }
            Kind::Console { line } => text.push_str(&said(line)),
            Kind::Journal { message, unit, .. } => {
                text.extend(words::journal(message, unit.as_deref()).map(|line| said(&line)));
            }
            Kind::Machine { state, detail } => text.push_str(&line(&words::state(*state, detail))),
            Kind::Network { vlan, change, .. } => text.push_str(&line(&words::network(machine, *vlan, change))),
            Kind::Failure { report } => text.extend(words::non_empty(report).map(line)),
            Kind::RunFinished { .. } => {
                self.go_to(None, &mut text);
                self.write(&text);
                self.file.finish(END);
                self.finished = true;
                return;
            }
            Kind::RunStarted { .. } | Kind::Command { .. } => return,
        }
        self.write(&text);
    }
}
