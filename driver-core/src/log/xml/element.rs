//! One element with attributes and a text.

use std::borrow::Cow;
use std::fmt::Write as _;

use quick_xml::escape::escape;

/// An element under construction.
pub(super) struct Element {
    name: &'static str,
    attributes: String,
}

impl Element {
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, attributes: String::new() }
    }

    /// Adds the attribute `machine`, if it is about one.
    pub(super) fn of(self, machine: Option<&str>) -> Self {
        match machine {
            Some(machine) => self.attribute("machine", machine),
            None => self,
        }
    }

    /// Adds an attribute. One whose name XML does not allow is left out.
    pub(super) fn attribute(mut self, name: &str, value: &str) -> Self {
        if is_name(name) {
            let _ = write!(self.attributes, " {name}=\"{}\"", escape(allowed(value)));
        }
        self
    }

    /// The whole element.
    pub(super) fn text(self, text: &str) -> String {
        let Self { name, attributes } = self;
        format!("<{name}{attributes}>{}</{name}>", escape(allowed(text)))
    }
}

/// A text without what XML 1.0 cannot hold in any way.
fn allowed(text: &str) -> Cow<'_, str> {
    let is_allowed = |character: char| matches!(character, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    if text.chars().all(is_allowed) { text.into() } else { text.chars().filter(|it| is_allowed(*it)).collect() }
}

/// What a machine printed, without what only controls a terminal.
pub(super) fn printed(line: &str) -> Cow<'_, str> {
    let controls = |character: char| character.is_control() && character != '\t';
    if line.contains(controls) { line.chars().filter(|it| !controls(*it)).collect() } else { line.into() }
}

fn is_name(name: &str) -> bool {
    let mut characters = name.chars();
    characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|next| next.is_ascii_alphanumeric() || matches!(next, '_' | '-' | '.'))
        && !name.to_ascii_lowercase().starts_with("xml")
}
