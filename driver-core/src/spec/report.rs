//! Gathers problems while a test file is read, and reads values that have the right type.

use std::fmt::Display;
use std::io;
use std::path::Path;

use super::nearest::nearest;
use super::problem::Problem;
use super::value::{SyntaxError, Table, Value};

/// What is being read, and the problems of all that was read before.
///
/// A reader that finds something wrong tells it here and returns any value: a test file with a problem is not used.
pub(super) struct Report<'a> {
    subject: String,
    problems: &'a mut Vec<Problem>,
}

impl<'a> Report<'a> {
    /// A report on a whole file.
    pub(super) fn new(file: &Path, problems: &'a mut Vec<Problem>) -> Self {
        Self { subject: file.display().to_string(), problems }
    }

    /// A report on a part of this one's subject, such as ``machine `server` ``.
    pub(super) fn part(&mut self, part: impl Display) -> Report<'_> {
        Report { subject: format!("{}: {part}", self.subject), problems: self.problems }
    }

    /// A report on a key of this one's subject.
    pub(super) fn key(&mut self, key: &str) -> Report<'_> {
        self.part(format_args!("key {}", quote(key)))
    }

    /// A report on another file, which this one's subject names.
    pub(super) fn file(&mut self, file: &Path) -> Report<'_> {
        Report::new(file, self.problems)
    }

    /// A report on one line of this one's subject, which is a file.
    pub(super) fn line(&mut self, line: usize) -> Report<'_> {
        Report { subject: format!("{}:{line}", self.subject), problems: self.problems }
    }

    /// Tells what is wrong with the subject and what to do.
    pub(super) fn problem(&mut self, message: impl Into<String>, cure: impl Into<String>) {
        self.problems.push(Problem::user(self.subject.as_str(), message, cure));
    }

    /// Tells that a part of the subject, which is a file, cannot be read as `language`.
    pub(super) fn syntax(&mut self, language: &str, errors: Vec<SyntaxError>) {
        for SyntaxError { line, column, message } in errors {
            let subject = format!("{}:{line}:{column}", self.subject);
            self.problems.push(Problem::user(subject, format!("not valid {language}: {message}"), ""));
        }
    }

    /// Tells that there is no key like the subject.
    pub(super) fn unknown_key(&mut self, key: &str, known: &[&str]) {
        let cure = nearest(key, known.iter().copied())
            .map_or_else(|| format!("the keys here are {}", list(known)), |meant| format!("did you mean `{meant}`?"));
        self.problem("unknown key", cure);
    }

    /// Tells that a path cannot be used.
    pub(super) fn path(&mut self, path: &Path, error: &io::Error, cure: &str) {
        self.problem(format!("{} {}", quote(&path.to_string_lossy()), unusable(error)), cure);
    }

    /// Tells that the value has another type than `expected`, which reads after "expected".
    pub(super) fn wrong_type(&mut self, expected: &str, found: impl Display) {
        self.problem(format!("expected {expected}, found {found}"), "");
    }

    /// The text that `value` is.
    pub(super) fn string<'v>(&mut self, value: &'v Value, expected: &str) -> Option<&'v str> {
        match value {
            Value::String(text) => Some(text),
            other => {
                self.wrong_type(expected, other);
                None
            }
        }
    }

    /// What the one of `words` means that `value` is.
    pub(super) fn word<T: Copy>(&mut self, value: &Value, words: &[(&str, T)]) -> Option<T> {
        let text = self.string(value, "a string")?;
        let found = words.iter().find_map(|(word, meaning)| (*word == text).then_some(*meaning));
        if found.is_none() {
            let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            let cure = nearest(text, words.iter().copied())
                .map_or_else(|| "write one of them".to_owned(), |meant| format!("did you mean `{meant}`?"));
            self.problem(format!("{} is none of {}", quote(text), list(&words)), cure);
        }
        found
    }

    /// The table that `value` is.
    pub(super) fn table<'v>(&mut self, value: &'v Value, expected: &str) -> Option<&'v Table> {
        match value {
            Value::Table(table) => Some(table),
            other => {
                self.wrong_type(expected, other);
                None
            }
        }
    }

    /// The values in the list that `value` is.
    pub(super) fn list<'v>(&mut self, value: &'v Value, expected: &str) -> &'v [Value] {
        match value {
            Value::List(items) => items,
            other => {
                self.wrong_type(expected, other);
                &[]
            }
        }
    }

    /// The texts in the list that `value` is.
    pub(super) fn strings<'v>(&mut self, value: &'v Value, expected: &str) -> Vec<&'v str> {
        let mut texts = Vec::new();
        for item in self.list(value, expected) {
            match item {
                Value::String(text) => texts.push(text.as_str()),
                other => self.wrong_type(expected, format_args!("{other} in the list")),
            }
        }
        texts
    }
}

/// Why a path cannot be used, to be read after the path.
pub(super) fn unusable(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "does not exist".to_owned(),
        io::ErrorKind::PermissionDenied => "cannot be read: permission denied".to_owned(),
        _ => format!("cannot be read: {error}"),
    }
}

/// `text` in backticks, with nothing in it that a terminal would act on.
pub(super) fn quote(text: &str) -> String {
    let plain = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    format!("`{}`", text.chars().map(plain).collect::<String>())
}

/// `words` in backticks with commas between.
pub(super) fn list(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}
