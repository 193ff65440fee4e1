//! The record for people: text on standard error.
//!
//! The text of a line is what the NixOS test driver would say, since people search for it: `MACHINE: MESSAGE`, `MACHINE # CONSOLE LINE`,
//! `(finished: TITLE, in 1.23 seconds)`, `subtest: NAME`, `!!! ` before each line of a failure or an error.

mod format;
mod spans;
mod spinner;
#[cfg(test)]
mod tests;
mod writer;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::event::{Event, Kind, Level, Sink};
use crate::need::Place;
use format::Format;
use spinner::Spinner;
use writer::Writer;

/// How the text looks.
#[derive(Clone, Debug)]
pub struct TerminalSettings {
    /// What matters less is left out. Failures and verdicts are always shown.
    pub level: Level,
    /// Whether there are colours.
    pub colours: bool,
    /// Who reads it.
    pub reader: Reader,
    /// Whether the text is no more than what the NixOS test driver would say: steps are not indented, and nothing tells of the run itself.
    pub plain_steps: bool,
    /// Whether what machines say is shown; can be changed while the run goes on.
    pub consoles: Arc<AtomicBool>,
    /// Where the run's files are, to be named at its end.
    pub output: Option<PathBuf>,
}

/// Who reads the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// Someone, later.
    File,
    /// Someone who watches: steps are indented, and a moving last line tells what is waited for.
    Watching,
    /// Someone who types below it: what a call said is written before the call is over.
    Typing,
}

impl TerminalSettings {
    /// What suits this process's standard error: live on a terminal, colours there unless `NO_COLOR` says otherwise. The terminal of a Nix
    /// build is read as a file.
    pub fn of_stderr(level: Level) -> Self {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let terminal = io::stderr().is_terminal() && !dumb;
        let live = terminal && Place::current() != Place::NixBuild;
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let consoles = Arc::new(true.into());
        let reader = if live { Reader::Watching } else { Reader::File };
        Self { level, colours: terminal && !no_color, reader, plain_steps: false, consoles, output: None }
    }

    /// The same where a prompt has the last line, on which nothing else can move.
    #[must_use]
    pub fn beside_a_prompt(self) -> Self {
        Self { reader: Reader::Typing, ..self }
    }
}

/// Writes the run for people to read.
///
/// Whatever a guest or a command says is made safe to show and bounded in length. A terminal that stops taking text (Ctrl-S, a full pipe)
/// does not hold up the run: after a second, lines are left out until it takes some again.
#[derive(Debug)]
pub struct Terminal {
    format: Format,
    writer: Writer,
    /// Someone types below the text.
    prompt: bool,
    /// The terminal took no text when it was last waited for.
    stuck: bool,
}

impl Terminal {
    /// A sink that writes to `to`. Fails if no thread can be started.
    pub fn new(settings: TerminalSettings, to: impl Write + Send + 'static) -> io::Result<Self> {
        let spinner = (settings.reader == Reader::Watching).then(|| Spinner::new(settings.colours));
        let writer = Writer::start(to, spinner)?;
        let prompt = settings.reader == Reader::Typing;
        Ok(Self { format: Format::new(settings), writer, prompt, stuck: false })
    }

    /// A sink that writes to standard error.
    pub fn stderr(settings: TerminalSettings) -> io::Result<Self> {
        Self::new(settings, io::stderr())
    }
}

impl Sink for Terminal {
    fn event(&mut self, event: &Event) {
        let text = self.format.event(event);
        match event.kind {
            Kind::Failure { .. } => self.writer.write_always(&text),
            Kind::RunFinished { .. } => {
                self.writer.write_always(&text);
                self.writer.wait_for(Vec::new());
                self.writer.drain();
            }
            Kind::SpanStarted { .. } | Kind::SpanFinished { .. } => {
                self.writer.write(&text);
                self.writer.wait_for(self.format.waits());
            }
            _ => self.writer.write(&text),
        }
        if self.prompt {
            self.stuck = !if self.stuck { self.writer.is_drained() } else { self.writer.drain() };
        }
    }
}
