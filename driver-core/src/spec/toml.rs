//! From TOML to the tree.

use toml::de::{DeTable, DeValue, Error};

use super::value::{SyntaxError, Table, Value};

/// Reads TOML, or tells every line that cannot be read.
pub(super) fn parse(text: &str) -> Result<Table, Vec<SyntaxError>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(tree(table.into_inner()));
    }
    let mut errors: Vec<_> = errors.iter().map(|error| locate(text, error)).collect();
    errors.sort_by_key(|error| (error.line, error.column));
    // What follows the first error of a line is mostly its echo.
    errors.dedup_by_key(|error| error.line);
    Err(errors)
}

fn locate(text: &str, error: &Error) -> SyntaxError {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    SyntaxError {
        line: before.matches('\n').count() + 1,
        column: before.chars().rev().take_while(|c| *c != '\n').count() + 1,
        message: error.message().replace('\n', ", "),
    }
}

fn tree(table: DeTable<'_>) -> Table {
    let mut entries: Vec<_> = table.into_iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    Table(entries.into_iter().map(|(key, entry)| (key.into_inner().into_owned(), value(entry.into_inner()))).collect())
}

fn value(value: DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::String(text.into_owned()),
        DeValue::Integer(digits) => match i64::from_str_radix(digits.as_str(), digits.radix()) {
            Ok(number) => Value::Integer(number),
            Err(_) => Value::Float(digits.as_str().parse().unwrap_or(f64::INFINITY)),
        },
        // The parser let only floats through, and Rust reads all of TOML's.
        DeValue::Float(digits) => Value::Float(digits.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(yes) => Value::Bool(yes),
        DeValue::Datetime(_) => Value::Date,
        DeValue::Array(items) => Value::List(items.into_iter().map(|item| self::value(item.into_inner())).collect()),
        DeValue::Table(table) => Value::Table(tree(table)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_kind_and_the_order_of_the_file() {
        let text = "z = 0x1f\na = 1.5\nbig = 99999999999999999999\n[m.b]\nd = 2026-01-01\n[m.a]\nl = [true, '']\n";
        let table = |entries: Vec<(&str, Value)>| {
            Table(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
        };
        let expected = table(vec![
            ("z", Value::Integer(31)),
            ("a", Value::Float(1.5)),
            ("big", Value::Float(1e20)),
            (
                "m",
                Value::Table(table(vec![
                    ("b", Value::Table(table(vec![("d", Value::Date)]))),
                    (
                        "a",
                        Value::Table(table(vec![(
                            "l",
                            Value::List(vec![Value::Bool(true), Value::String(String::new())]),
                        )])),
                    ),
                ])),
            ),
        ]);
        assert_eq!(parse(text), Ok(expected));
    }

    #[test]
    fn every_bad_line_is_told() {
        for (text, expected) in [
            ("a = \nb = 2\n[c\nd = 3", &["1:5", "3:3"][..]),
            ("é = 1", &["1:1"]),
            ("'é' = x", &["1:7"]),
            ("a = 1\na = 2\n", &["2:1"]),
            ("a = 'open", &["1:10"]),
            ("a = [1, 2\nb = 3\n", &["2:1"]),
        ] {
            let errors = parse(text).unwrap_err();
            assert!(
                errors.iter().all(|error| !error.message.is_empty() && !error.message.contains('\n')),
                "{errors:?}"
            );
            let places: Vec<_> = errors.iter().map(|error| format!("{}:{}", error.line, error.column)).collect();
            assert_eq!(places, expected, "{text}: {errors:?}");
        }
    }
}
