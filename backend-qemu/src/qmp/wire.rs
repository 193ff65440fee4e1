//! QMP's lines, apart from the stream that they come on.

use std::io;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio_util::bytes::BytesMut;
use tokio_util::codec::{Decoder, LinesCodec, LinesCodecError};

use super::event::Event;

/// How much of a line that is not QMP is shown.
const SHOWN: usize = 120;

/// Why there are no more messages from QEMU.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// QEMU ended, or let go of its end.
    #[error("QEMU closed the connection")]
    Closed,
    /// The last line has no end.
    #[error("QEMU closed the connection in the middle of a line")]
    Cut,
    /// A line is longer than this many bytes. Whose answer it is cannot be told, so the connection is of no more use.
    #[error("a line from QEMU is longer than {0} bytes")]
    TooLong(usize),
    /// A line is not UTF-8.
    #[error("a line that is not UTF-8 where QMP was expected")]
    NotText,
    /// A line is no message of QMP.
    #[error("not a message of QMP: `{line}`")]
    NotQmp {
        /// Its beginning, control characters escaped.
        line: String,
        /// What is wrong with it.
        #[source]
        source: Option<serde_json::Error>,
    },
    /// An answer came before the greeting.
    #[error("an answer where QEMU's greeting was expected")]
    Ungreeted,
    /// Reading or writing failed.
    #[error("the connection to QEMU broke")]
    Io(#[from] io::Error),
}

/// One line from QEMU.
#[derive(Debug, PartialEq)]
pub(super) enum Message {
    /// The first one.
    Greeting(Greeting),
    /// What became of a request. QEMU leaves the id out if it could not read the request.
    Reply { id: Option<u64>, outcome: Result<Value, Refusal> },
    /// Something happened by itself.
    Event(Event),
}

/// What QEMU says of itself.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct Greeting {
    pub(super) version: Version,
}

/// QEMU's version.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Version {
    /// Its numbers.
    pub qemu: VersionNumbers,
    /// What a distribution adds, such as ` (Debian 1:7.2+dfsg-7)`; may be empty.
    #[serde(default)]
    pub package: String,
}

/// The numbers of a version, in the order of their weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct VersionNumbers {
    /// The first.
    pub major: u32,
    /// The second.
    pub minor: u32,
    /// The third.
    pub micro: u32,
}

/// An answer that says no.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Refusal {
    pub(super) class: String,
    #[serde(rename = "desc")]
    pub(super) description: String,
}

/// A request's line. `arguments` that are null are left out.
pub(super) fn request(id: u64, command: &str, arguments: &Value) -> String {
    let mut request = json!({ "execute": command, "id": id });
    if !arguments.is_null() {
        request["arguments"] = arguments.clone();
    }
    format!("{request}\n")
}

/// Takes messages out of bytes, however they were cut.
#[derive(Debug)]
pub(super) struct Codec {
    lines: LinesCodec,
    limit: usize,
}

impl Codec {
    /// `limit` is the longest line that is read, in bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self { lines: LinesCodec::new_with_max_length(limit), limit }
    }
}

impl Decoder for Codec {
    type Item = Message;
    type Error = WireError;

    fn decode(&mut self, bytes: &mut BytesMut) -> Result<Option<Message>, WireError> {
        match self.lines.decode(bytes) {
            Ok(None) => Ok(None),
            Ok(Some(line)) => {
                tracing::trace!(line, "from QEMU");
                parse(&line).map(Some)
            }
            Err(LinesCodecError::MaxLineLengthExceeded) => Err(WireError::TooLong(self.limit)),
            // A decoder does not read: all that it can fail at is the text.
            Err(LinesCodecError::Io(_)) => Err(WireError::NotText),
        }
    }

    fn decode_eof(&mut self, bytes: &mut BytesMut) -> Result<Option<Message>, WireError> {
        match self.decode(bytes)? {
            None if !bytes.is_empty() => Err(WireError::Cut),
            message => Ok(message),
        }
    }
}

fn parse(line: &str) -> Result<Message, WireError> {
    let not_qmp = |source| {
        let shown = line.chars().take(SHOWN).flat_map(char::escape_debug).collect();
        WireError::NotQmp { line: shown, source }
    };
    message(line).map_err(|error| not_qmp(Some(error)))?.ok_or_else(|| not_qmp(None))
}

fn message(line: &str) -> Result<Option<Message>, serde_json::Error> {
    let mut fields: Map<String, Value> = serde_json::from_str(line)?;
    if fields.contains_key("event") {
        return serde_json::from_value(fields.into()).map(|event| Some(Message::Event(event)));
    }
    if let Some(greeting) = fields.remove("QMP") {
        return serde_json::from_value(greeting).map(|greeting| Some(Message::Greeting(greeting)));
    }
    let outcome = if let Some(value) = fields.remove("return") {
        Ok(value)
    } else if let Some(refusal) = fields.remove("error") {
        Err(serde_json::from_value(refusal)?)
    } else {
        return Ok(None);
    };
    Ok(Some(Message::Reply { id: fields.get("id").and_then(Value::as_u64), outcome }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 200;

    /// All messages in `bytes` that arrive in pieces of `piece` bytes, and how they end.
    fn read(bytes: &[u8], piece: usize) -> (Vec<Message>, Result<(), WireError>) {
        let (mut codec, mut buffer, mut messages) = (Codec::new(LIMIT), BytesMut::new(), Vec::new());
        let pieces = bytes.chunks(piece).map(|piece| (piece, false)).chain([(&b""[..], true)]);
        for (piece, end) in pieces {
            buffer.extend_from_slice(piece);
            loop {
                match if end { codec.decode_eof(&mut buffer) } else { codec.decode(&mut buffer) } {
                    Ok(Some(message)) => messages.push(message),
                    Ok(None) => break,
                    Err(error) => return (messages, Err(error)),
                }
            }
        }
        (messages, Ok(()))
    }

    fn one(line: &str) -> Result<Message, WireError> {
        let (mut messages, end) = read(line.as_bytes(), line.len());
        end.map(|()| messages.remove(0))
    }

    #[test]
    fn each_kind_of_message_is_told_from_the_others() {
        let greeting = r#"{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": " (Debian)"}, "capabilities": ["oob"]}}"#;
        let numbers = VersionNumbers { major: 7, minor: 2, micro: 22 };
        let version = Version { qemu: numbers, package: " (Debian)".into() };
        let refusal = Refusal { class: "CommandNotFound".into(), description: "no such thing".into() };
        for (line, expected) in [
            (greeting, Message::Greeting(Greeting { version })),
            (r#"{"return": {}, "id": 3}"#, Message::Reply { id: Some(3), outcome: Ok(json!({})) }),
            (r#"{"return": null, "id": 3, "new": 1}"#, Message::Reply { id: Some(3), outcome: Ok(Value::Null) }),
            (r#"{"return": "event", "id": "mine"}"#, Message::Reply { id: None, outcome: Ok(json!("event")) }),
            (
                r#"{"error": {"class": "CommandNotFound", "desc": "no such thing", "more": []}}"#,
                Message::Reply { id: None, outcome: Err(refusal) },
            ),
        ] {
            assert_eq!(one(&format!("{line}\n")).unwrap(), expected, "{line}");
        }
        assert!(numbers > VersionNumbers { major: 6, minor: 9, micro: 99 });
    }

    #[test]
    fn an_event_keeps_what_is_not_known() {
        let line =
            r#"{"event":"BRAND_NEW","data":{"a":[1]},"timestamp":{"seconds":5,"microseconds":6},"cause":"moon"}"#;
        let Message::Event(event) = one(&format!("{line}\n")).unwrap() else { panic!("no event") };
        assert_eq!(event.name, "BRAND_NEW");
        assert_eq!(event.data, json!({ "a": [1] }));
        assert_eq!(event.timestamp.map(|time| (time.seconds, time.microseconds)), Some((5, 6)));
        assert_eq!(serde_json::to_value(&event).unwrap(), serde_json::from_str::<Value>(line).unwrap());
    }

    #[test]
    fn lines_may_arrive_in_any_pieces() {
        let bytes =
            b"{\"return\": 1, \"id\": 1}\r\n{\"event\": \"STOP\"}\n{\"return\": \"\\u00e9\xc3\xa9\", \"id\": 2}\r\n";
        let (whole, end) = read(bytes, bytes.len());
        assert!(end.is_ok());
        assert_eq!(whole.len(), 3);
        assert_eq!(whole[2], Message::Reply { id: Some(2), outcome: Ok(json!("éé")) });
        for piece in 1..20 {
            assert_eq!(read(bytes, piece).0, whole, "{piece}");
        }
    }

    #[test]
    fn what_is_no_message_is_told() {
        let long = format!("{{\"return\": \"{}\"}}", "x".repeat(LIMIT));
        for (bytes, expected) in [
            (&b"hello\n"[..], "not a message of QMP: `hello`"),
            (b"\n", "not a message of QMP: ``"),
            (b"[1]\n", "not a message of QMP: `[1]`"),
            (b"{}\n", "not a message of QMP: `{}`"),
            (b"{\"id\": 1}\r\n", "not a message of QMP: `{\\\"id\\\": 1}`"),
            (b"{\"event\": 1}\n", "not a message of QMP: `{\\\"event\\\": 1}`"),
            (b"{\"error\": \"no\"}\n", "not a message of QMP: `{\\\"error\\\": \\\"no\\\"}`"),
            (b"{\"QMP\": {}}\n", "not a message of QMP: `{\\\"QMP\\\": {}}`"),
            (b"\x1b[2J{\n", "not a message of QMP: `\\u{1b}[2J{`"),
            (b"\xff\n", "a line that is not UTF-8 where QMP was expected"),
            (b"{\"return\"", "QEMU closed the connection in the middle of a line"),
            (b"{\"return\": 1}", "QEMU closed the connection in the middle of a line"),
            (long.as_bytes(), "a line from QEMU is longer than 200 bytes"),
        ] {
            for piece in [1, 7, bytes.len()] {
                let (messages, end) = read(bytes, piece);
                assert_eq!(messages, []);
                assert_eq!(end.unwrap_err().to_string(), expected, "{}", bytes.escape_ascii());
            }
        }
        let endless = "y".repeat(10 * SHOWN) + "\n";
        let shown = parse(&endless).unwrap_err().to_string();
        assert!(shown.len() < 2 * SHOWN, "{shown}");
    }

    #[test]
    fn a_line_of_the_longest_length_is_read() {
        let longest = |length: usize| format!("{{\"return\":\"{}\"}}\n", "x".repeat(length - 13)).into_bytes();
        assert_eq!(longest(LIMIT).len(), LIMIT + 1);
        assert_eq!(read(&longest(LIMIT), 9).0.len(), 1);
        assert!(matches!(read(&longest(LIMIT + 1), 9), (none, Err(WireError::TooLong(LIMIT))) if none.is_empty()));
    }

    #[test]
    fn a_request_is_one_line() {
        for (arguments, expected) in [
            (Value::Null, r#"{"execute":"stop","id":7}"#),
            (json!({}), r#"{"arguments":{},"execute":"stop","id":7}"#),
            (json!({ "text": "a\nb" }), r#"{"arguments":{"text":"a\nb"},"execute":"stop","id":7}"#),
        ] {
            assert_eq!(request(7, "stop", &arguments), format!("{expected}\n"));
        }
    }
}
