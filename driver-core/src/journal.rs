//! The journal of a guest, as `journalctl --output=json` prints it: one entry a line.

use serde::Deserialize;
use serde_json::Value;

use crate::event::{Kind, Level, Recorder};

/// Longest entry in bytes; journald's own limit for a message is 48 KiB by default (journald.conf(5), `LineMax`).
pub const ENTRY_MAX: usize = 1024 * 1024;

/// One entry, with the fields of systemd.journal-fields(7) that are recorded.
#[derive(Clone, Debug, Deserialize)]
pub struct Entry {
    #[serde(rename = "MESSAGE", default)]
    message: Value,
    #[serde(rename = "_SYSTEMD_UNIT", default)]
    unit: Value,
    #[serde(rename = "UNIT", default)]
    about: Value,
    #[serde(rename = "PRIORITY", default)]
    priority: Value,
    #[serde(rename = "__REALTIME_TIMESTAMP", default)]
    time: Value,
    #[serde(rename = "__CURSOR", default)]
    cursor: Value,
}

impl Entry {
    /// An entry from its line; none if it is no entry.
    pub fn parse(line: &[u8]) -> Option<Self> {
        // A list would do, too (serde's structs).
        if line.trim_ascii_start().starts_with(b"{") { serde_json::from_slice(line).ok() } else { None }
    }

    /// Where it stands in the journal, for `--after-cursor`.
    pub fn cursor(&self) -> Option<&str> {
        self.cursor.as_str()
    }

    /// Records it, at the guest's own time, and tells of a unit that could not be confined as it asks for.
    pub fn record(&self, recorder: &Recorder) {
        let micros: Option<u64> = self.time.as_str().and_then(|time| time.parse().ok());
        let unit = text(&self.about).or_else(|| text(&self.unit));
        let priority = self.priority.as_str().and_then(|priority| priority.parse().ok());
        let message = text(&self.message).unwrap_or_default();
        if let Some(told) = text(&self.about).and_then(|unit| not_confined(&unit, &message)) {
            recorder.message(Level::Warning, told);
        }
        #[expect(clippy::cast_precision_loss, reason = "exact for 285 years from 1970")]
        let seconds = micros.map(|micros| micros as f64 / 1e6);
        recorder.record_at(Kind::Journal { message, unit, priority }, seconds);
    }
}

/// What is to be told of a unit whose processes systemd could not give the mount namespace that the unit's settings ask for, by what systemd
/// says of it: `UNIT: Failed at step NAMESPACE spawning PROGRAM: WHY`.
fn not_confined(unit: &str, message: &str) -> Option<String> {
    let rest = message.strip_prefix(unit)?.strip_prefix(": Failed at step NAMESPACE spawning ")?;
    let (program, why) = rest.split_once(": ")?;
    Some(format!(
        "{unit} ends with 226/NAMESPACE: systemd could not start {program} in the mount namespace that the unit asks for by settings such as \
         ProtectSystem=, PrivateTmp= or BindPaths=: {why}"
    ))
}

/// A field's text. journalctl writes one that is no UTF-8 as a list of bytes, and one that occurs several times as a list of texts.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => {
            let bytes: Option<Vec<u8>> = items.iter().map(|item| u8::try_from(item.as_u64()?).ok()).collect();
            bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).or_else(|| items.first().and_then(text))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Sink};

    #[test]
    fn fields_come_in_three_shapes() {
        assert_eq!(text(&serde_json::json!("a")), Some("a".into()));
        assert_eq!(text(&serde_json::json!([104, 255, 105])), Some("h\u{fffd}i".into()));
        assert_eq!(text(&serde_json::json!(["x", "y"])), Some("x".into()));
        assert_eq!(text(&Value::Null), None);
    }

    #[test]
    fn units_that_cannot_be_confined_are_told() {
        let message = "web.service: Failed at step NAMESPACE spawning /bin/true: No such file or directory";
        assert_eq!(
            not_confined("web.service", message).unwrap(),
            "web.service ends with 226/NAMESPACE: systemd could not start /bin/true in the mount namespace that the unit asks for by \
             settings such as ProtectSystem=, PrivateTmp= or BindPaths=: No such file or directory"
        );
        assert_eq!(not_confined("web.service", "web.service: Failed at step EXEC spawning /bin/true: why"), None);
    }

    #[test]
    fn what_is_no_time_is_none() {
        struct Times(std::sync::mpsc::Sender<Option<f64>>);
        impl Sink for Times {
            fn event(&mut self, event: &Event) {
                self.0.send(event.guest_time).unwrap();
            }
        }
        for (time, expected) in
            [("1500000", Some(1.5)), ("NaN", None), ("inf", None), ("1e209", None), ("-1", None), ("", None)]
        {
            let (sender, times) = std::sync::mpsc::channel();
            let line = serde_json::json!({ "__REALTIME_TIMESTAMP": time }).to_string();
            Entry::parse(line.as_bytes()).unwrap().record(&Recorder::new(vec![Box::new(Times(sender))]));
            assert_eq!(times.recv().unwrap(), expected, "{time}");
        }
    }

    #[test]
    fn lines_that_are_no_entries_are_none() {
        for line in ["", "{", "[]", "null", "-- No entries --", "{\"MESSAGE\": \"cut"] {
            assert!(Entry::parse(line.as_bytes()).is_none(), "{line}");
        }
        let entry = Entry::parse(br#"{"__CURSOR": "s=1", "MESSAGE": null, "PRIORITY": 6, "more": {}}"#).unwrap();
        assert_eq!(entry.cursor(), Some("s=1"));
    }
}
