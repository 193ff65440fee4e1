//! The tree that TOML and JSON both become, so that what the keys mean is checked in one place.

use std::fmt;

/// One value of a test file.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// JSON's `null`.
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// Any other number, and whole ones that are too large.
    Float(f64),
    /// A text.
    String(String),
    /// A date or time of TOML's: no key takes one.
    Date,
    /// Values in a row.
    List(Vec<Value>),
    /// Keys with their values.
    Table(Table),
}

/// Keys with their values, in the order of the file. No key comes twice.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Table(pub(super) Vec<(String, Value)>);

impl Table {
    /// The value of a key.
    pub(super) fn value(&self, key: &str) -> Option<&Value> {
        self.0.iter().find_map(|(name, value)| (name == key).then_some(value))
    }
}

impl<'a> IntoIterator for &'a Table {
    type Item = &'a (String, Value);
    type IntoIter = std::slice::Iter<'a, (String, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

/// What kind of value it is, to be read after "found".
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Value::Null => "null",
            Value::Bool(_) => "a truth value",
            Value::Integer(_) => "a whole number",
            Value::Float(_) => "a number",
            Value::String(_) => "a string",
            Value::Date => "a date or time",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
        })
    }
}

/// A place in a text that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SyntaxError {
    /// Counts from 1.
    pub(super) line: usize,
    /// Counts characters from 1.
    pub(super) column: usize,
    /// What is wrong, on one line.
    pub(super) message: String,
}
