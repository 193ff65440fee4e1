//! From an event to the lines that people read.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use anstyle::{AnsiColor, Color, Style};

use super::spans::{Spans, Wait};
use super::{Reader, TerminalSettings};
use crate::event::{Event, Kind, Level, Outcome, SpanId};
use crate::log::harmless::{bounded, harmless};
use crate::log::words;

/// How many bytes of a line are shown.
const LINE: usize = 4096;
/// How many lines of a message are shown of its start and of its end each; a command's output can be a message.
const LINES: usize = 100;

const PLAIN: Style = Style::new();
const DIM: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();
const STEP: Style = colour(AnsiColor::Green).bold();
const GOOD: Style = colour(AnsiColor::Green);
const ODD: Style = colour(AnsiColor::Yellow);
const BAD: Style = colour(AnsiColor::Red);

/// Turns events into lines, one after another.
#[derive(Debug)]
pub(super) struct Format {
    settings: TerminalSettings,
    test: String,
    spans: Spans,
    /// The last reason of a failed span that was shown: a failure ends the spans around it with the same reason.
    reason: Option<String>,
}

impl Format {
    pub(super) fn new(settings: TerminalSettings) -> Self {
        Self { settings, test: String::new(), spans: Spans::default(), reason: None }
    }

    /// What is waited for, for a person who watches.
    pub(super) fn waits(&self) -> Vec<Wait> {
        self.spans.waits()
    }

    /// The event's lines, each with its end; empty if it is not shown.
    pub(super) fn event(&mut self, event: &Event) -> String {
        let machine = event.machine.as_deref();
        let mut text = Lines { text: String::new(), colours: self.settings.colours, indent: self.indent(event.span) };
        match &event.kind {
            Kind::RunStarted { test, version } => {
                self.test.clone_from(test);
                if self.shows(Level::Info) && !self.settings.plain_steps {
                    text.push(None, BOLD, &format!("test {test} (tandem {version})"));
                }
            }
            Kind::RunFinished { .. } if self.settings.plain_steps => {}
            Kind::RunFinished { outcome, elapsed } => self.verdict(&mut text, *outcome, *elapsed),
            Kind::SpanStarted { title, subtest, parent, .. } => {
                let title = words::subtest_title(title, *subtest);
                if self.shows(Level::Info) {
                    text.indent = self.indent(*parent);
                    text.push(machine, STEP, &title);
                }
                if let Some(id) = event.span {
                    self.spans.start(id, *parent, machine, &title);
                }
            }
            Kind::SpanFinished { title, elapsed, failure } => {
                self.finished(&mut text, event, title, *elapsed, failure.as_deref());
            }
            Kind::Message { level, text: message } => {
                if *level == Level::Error {
                    text.error(machine, message);
                } else if self.shows(*level) {
                    text.push(machine, style(*level), message);
                }
            }
            Kind::Console { line } => {
                if self.shows_consoles() {
                    text.said(machine, line);
                }
            }
            Kind::Journal { message, unit, .. } => {
                if self.shows_consoles() {
                    for line in words::journal(message, unit.as_deref()) {
                        text.said(machine, &line);
                    }
                }
            }
            Kind::Machine { state, detail } => {
                if self.shows(Level::Info) {
                    text.push(machine, PLAIN, &words::state(*state, detail));
                }
            }
            Kind::Network { vlan, change, .. } => {
                if self.shows(Level::Info) {
                    text.push(machine, PLAIN, &words::network(machine, *vlan, change));
                }
            }
            Kind::Command { command, status, elapsed, stdout, stderr } => {
                if self.shows(Level::Debug) {
                    let ended = format!("command `{command}` ended with status {status} in {elapsed:.2} seconds");
                    text.push(machine, DIM, &ended);
                    for (name, output) in [("output", stdout), ("error output", stderr)] {
                        if !output.is_empty() {
                            text.push(machine, DIM, &format!("{name}: {output}"));
                        }
                    }
                }
            }
            Kind::Failure { report } => text.failure(report),
        }
        text.text
    }

    fn finished(&mut self, text: &mut Lines, event: &Event, title: &str, elapsed: f64, failure: Option<&str>) {
        let machine = event.machine.as_deref();
        let open = event.span.and_then(|id| self.spans.finish(id));
        text.indent = self.indent(open.as_ref().and_then(|open| open.parent));
        let title = open.as_ref().map_or(title, |open| &open.title);
        let Some(failure) = failure else {
            if self.shows(Level::Info) {
                text.push(machine, PLAIN, &words::end(title, elapsed, None));
            }
            return;
        };
        if !self.shows(Level::Warning) {
            return;
        }
        let reason = failure.lines().next().unwrap_or_default();
        let new = self.reason.as_deref() != Some(failure);
        self.reason = Some(failure.to_owned());
        text.push(machine, ODD, &words::end(title, elapsed, Some(if new { reason } else { "" })));
    }

    fn verdict(&self, text: &mut Lines, outcome: Outcome, elapsed: f64) {
        let (word, style) = match outcome {
            Outcome::Passed => ("passed", GOOD),
            Outcome::Failed => ("failed", BAD),
            Outcome::Broken => ("broke down", BAD),
            Outcome::Interrupted => ("was interrupted", ODD),
            Outcome::TimedOut => ("timed out", BAD),
        };
        let files = self.settings.output.as_ref().map(|path| format!("; its record is in {}", path.display()));
        let line = format!("test {} {word} after {elapsed:.2} seconds{}", self.test, files.unwrap_or_default());
        text.indent = 0;
        text.push(None, style.bold(), &line);
    }

    fn shows(&self, level: Level) -> bool {
        level >= self.settings.level
    }

    fn shows_consoles(&self) -> bool {
        self.shows(Level::Info) && self.settings.consoles.load(Ordering::Relaxed)
    }

    fn indent(&self, span: Option<SpanId>) -> usize {
        let watching = self.settings.reader == Reader::Watching;
        if watching && !self.settings.plain_steps { 2 * self.spans.depth(span) } else { 0 }
    }
}

/// Lines under construction.
struct Lines {
    text: String,
    colours: bool,
    indent: usize,
}

impl Lines {
    /// Adds what was said by us or the script about a machine.
    fn push(&mut self, machine: Option<&str>, style: Style, message: &str) {
        self.lines(machine.map(|name| format!("{name}: ")).unwrap_or_default(), style, message);
    }

    /// Adds an error that was said by us or the script, which is marked as a failure is.
    fn error(&mut self, machine: Option<&str>, message: &str) {
        self.lines(machine.map(|name| format!("{name}: ")).unwrap_or_default() + "!!! ", BAD, message);
    }

    #[expect(clippy::needless_pass_by_value, reason = "it is made for this")]
    fn lines(&mut self, before: String, style: Style, message: &str) {
        let lines: Vec<_> = words::non_empty(message).collect();
        let left_out = lines.len().saturating_sub(2 * LINES);
        for (index, line) in lines.iter().enumerate() {
            if left_out == 0 || index < LINES || index >= LINES + left_out {
                self.line(&before, style, &shown(line));
            } else if index == LINES {
                self.line(&before, style, &format!("… ({left_out} more lines)"));
            }
        }
    }

    /// Adds what the machine itself said.
    fn said(&mut self, machine: Option<&str>, line: &str) {
        self.indent = 0;
        self.line("", DIM, &format!("{} # {}", machine.unwrap_or_default(), shown(line)));
    }

    fn failure(&mut self, report: &str) {
        self.indent = 0;
        for line in words::non_empty(report) {
            self.line("", BAD, &format!("!!! {}", shown(line)));
        }
    }

    /// Adds one line that is safe to show.
    fn line(&mut self, before: &str, style: Style, line: &str) {
        let style = if self.colours { style } else { PLAIN };
        let indent = self.indent;
        let _ = writeln!(self.text, "{:indent$}{before}{style}{line}{style:#}", "");
    }
}

fn shown(line: &str) -> Cow<'_, str> {
    match bounded(line, LINE) {
        Cow::Borrowed(line) => harmless(line),
        Cow::Owned(line) => Cow::Owned(harmless(&line).into_owned()),
    }
}

fn style(level: Level) -> Style {
    match level {
        Level::Debug => DIM,
        Level::Info => PLAIN,
        Level::Warning => ODD,
        Level::Error => BAD,
    }
}

const fn colour(colour: AnsiColor) -> Style {
    Style::new().fg_color(Some(Color::Ansi(colour)))
}
