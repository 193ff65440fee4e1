//! From JSON to the tree.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::value::{SyntaxError, Table, Value};

/// Reads JSON. What is not an object at the top is an error too, and so is a key that comes twice.
pub(super) fn parse(text: &str) -> Result<Table, Vec<SyntaxError>> {
    match serde_json::from_str(text) {
        Ok(Value::Table(table)) => Ok(table),
        Ok(other) => Err(vec![SyntaxError {
            line: 1,
            column: 1,
            message: format!("expected an object `{{...}}`, found {other}"),
        }]),
        Err(error) => Err(vec![locate(&error)]),
    }
}

fn locate(error: &serde_json::Error) -> SyntaxError {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    SyntaxError {
        line: error.line().max(1),
        // 0 at the end of a line that is empty.
        column: error.column().max(1),
        message: text.strip_suffix(&place).unwrap_or(&text).to_owned(),
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Tree)
    }
}

struct Tree;

impl<'de> Visitor<'de> for Tree {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, yes: bool) -> Result<Value, E> {
        Ok(Value::Bool(yes))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Integer(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        // Only what exceeds every limit of ours gets here as a float, so lost digits do not matter.
        #[expect(clippy::cast_precision_loss, reason = "see above")]
        Ok(i64::try_from(number).map_or(Value::Float(number as f64), Value::Integer))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Float(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut table = Table::default();
        while let Some(key) = entries.next_key::<String>()? {
            if table.value(&key).is_some() {
                return Err(A::Error::custom(format_args!("duplicate key {key:?}")));
            }
            table.0.push((key, entries.next_value()?));
        }
        Ok(Value::Table(table))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_kind_and_the_order_of_the_file() {
        let text = r#"{"z": 1, "a": [1.5, true, null, "x"], "n": {"big": 18446744073709551615, "low": -2}}"#;
        let nested = Table(vec![
            ("big".to_owned(), Value::Float(18_446_744_073_709_551_615.0)),
            ("low".to_owned(), Value::Integer(-2)),
        ]);
        let list = Value::List(vec![Value::Float(1.5), Value::Bool(true), Value::Null, Value::String("x".to_owned())]);
        let expected = Table(vec![
            ("z".to_owned(), Value::Integer(1)),
            ("a".to_owned(), list),
            ("n".to_owned(), Value::Table(nested)),
        ]);
        assert_eq!(parse(text), Ok(expected));
    }

    #[test]
    fn errors_have_a_place() {
        for (text, expected) in [
            ("{\n \"a\": 1,\n}", "3:1 trailing comma"),
            ("[]", "1:1 expected an object `{...}`, found a list"),
            ("{\"a\": 1, \"a\": 2}", "1:12 duplicate key \"a\""),
            ("{} x", "1:4 trailing characters"),
            ("{", "1:1 EOF while parsing an object"),
        ] {
            let errors = parse(text).unwrap_err();
            let lines: Vec<_> = errors.iter().map(|e| format!("{}:{} {}", e.line, e.column, e.message)).collect();
            assert_eq!(lines, [expected], "{text}");
        }
    }
}
