//! What calls of the interface are answered with.

use std::collections::BTreeMap;

use serde::Serialize;
use zlink::introspect::{CustomType, Type};

/// Texts longer than this many bytes are sent in several replies: zlink's buffer grows in steps of 256 bytes, and it writes a reply anew
/// after each, so the cost of a large one grows with its square.
pub(super) const PART: usize = 16 << 10;

/// The answer of a verb that may take long. While it does, interim replies say what is waited for.
pub(super) trait Answer: Serialize + std::fmt::Debug + Sized + Send + 'static {
    /// An interim reply.
    fn interim(waiting: Waiting) -> Self;

    /// The answer as one or more replies, of which the client puts the texts together.
    fn parts(self) -> Vec<Self> {
        vec![self]
    }
}

/// What a call waits for.
#[derive(Clone, Debug, Serialize, CustomType)]
pub(super) struct Waiting {
    /// What it is, as shown to people.
    pub(super) what: String,
    /// For how many seconds by now.
    pub(super) seconds: f64,
}

/// The answer of a verb that has nothing to say.
#[derive(Debug, Default, Serialize, Type)]
pub(super) struct Done {
    /// Set in interim replies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) waiting: Option<Waiting>,
}

/// The answer of a verb with a text.
#[derive(Debug, Default, Serialize, Type)]
pub(super) struct Text {
    /// Set in interim replies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) waiting: Option<Waiting>,
    /// The text or a part of it, invalid UTF-8 replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) output: Option<String>,
}

/// The answer of a verb that runs one command.
#[derive(Debug, Default, Serialize, Type)]
pub(super) struct Ran {
    /// Set in interim replies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) waiting: Option<Waiting>,
    /// The exit status as a shell would have it, 124 for a timeout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<i32>,
    /// Standard output or a part of it, invalid UTF-8 replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stdout: Option<String>,
    /// Standard error or a part of it; empty where it is not kept apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stderr: Option<String>,
}

/// The properties of a unit.
#[derive(Debug, Default, Serialize, Type)]
pub(super) struct Properties {
    /// Set in interim replies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) waiting: Option<Waiting>,
    /// The properties as `systemctl show` has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) properties: Option<BTreeMap<String, String>>,
}

/// A part of a console.
#[derive(Debug, Serialize, Type)]
pub(super) struct Excerpt {
    /// The boot that they belong to, counted from 1.
    pub(super) boot: u64,
    /// The number of the first of them in that boot, counted from 0.
    pub(super) line: usize,
    /// The lines without their ends; none in a reply that only shows that the call goes on.
    pub(super) lines: Vec<String>,
    /// What has come of the line after them, such as a prompt; empty if nothing has.
    pub(super) unfinished: String,
}

/// A test and its machines.
#[derive(Debug, Serialize, Type)]
pub(super) struct Description {
    /// The test's name.
    pub(super) name: String,
    /// Where the script's results go, as an absolute path.
    pub(super) output_directory: String,
    /// How many seconds the whole run may take.
    pub(super) global_timeout: f64,
    /// How many seconds each boot may take.
    pub(super) boot_timeout: f64,
    /// Whether the driver wants to be told what the script finds defined, by `Announce`.
    pub(super) announces: bool,
    /// The machines, sorted by name.
    pub(super) machines: Vec<MachineDescription>,
    /// The numbers of all VLANs, sorted.
    pub(super) vlans: Vec<u8>,
}

/// A machine of the test.
#[derive(Clone, Debug, Serialize, CustomType)]
pub(super) struct MachineDescription {
    /// Its name, which is a host name.
    pub(super) name: String,
    /// Its name as a Python identifier.
    pub(super) python_name: String,
    /// The backend that makes it.
    pub(super) backend: String,
    /// Its VLANs in the order of its interfaces.
    pub(super) vlans: Vec<u8>,
    /// The command that logs in to it by SSH, if that was asked for.
    pub(super) ssh_command: Option<String>,
    /// Whether a start script boots it.
    pub(super) start_script: bool,
}

/// Whether a machine runs.
#[derive(Debug, Serialize, Type)]
pub(super) struct Presence {
    /// Launched and not gone; it may still be booting.
    pub(super) up: bool,
    /// It takes commands right now.
    pub(super) ready: bool,
    /// How many times something that takes commands has come up in it since its start.
    pub(super) shells: u64,
    /// Its process on the host, as the script sees it.
    pub(super) pid: Option<u32>,
    /// Its own pid 1, as the script sees it, where that is a process on the host.
    pub(super) leader: Option<u32>,
}

/// A span that began.
#[derive(Debug, Serialize, Type)]
pub(super) struct Begun {
    /// Its number, by which calls name it.
    pub(super) span: u64,
}

impl Answer for Done {
    fn interim(waiting: Waiting) -> Self {
        Self { waiting: Some(waiting) }
    }
}

impl Answer for Text {
    fn interim(waiting: Waiting) -> Self {
        Self { waiting: Some(waiting), ..Self::default() }
    }

    fn parts(self) -> Vec<Self> {
        let parts = cut(self.output.unwrap_or_default());
        parts.into_iter().map(|part| Self { output: Some(part), waiting: None }).collect()
    }
}

impl Answer for Ran {
    fn interim(waiting: Waiting) -> Self {
        Self { waiting: Some(waiting), ..Self::default() }
    }

    fn parts(self) -> Vec<Self> {
        let mut stderr = cut(self.stderr.unwrap_or_default());
        let last_of_stderr = stderr.pop();
        let mut parts: Vec<_> = stderr.into_iter().map(|part| Self { stderr: Some(part), ..Self::default() }).collect();
        let stdout = cut(self.stdout.unwrap_or_default());
        parts.extend(stdout.into_iter().map(|part| Self { stdout: Some(part), ..Self::default() }));
        if let Some(last) = parts.last_mut() {
            (last.status, last.stderr) = (self.status, last_of_stderr);
        }
        parts
    }
}

impl Answer for Properties {
    fn interim(waiting: Waiting) -> Self {
        Self { waiting: Some(waiting), ..Self::default() }
    }
}

/// A text in pieces of at most [`PART`] bytes; at least one piece.
fn cut(text: String) -> Vec<String> {
    if text.len() <= PART {
        return vec![text];
    }
    let mut pieces = Vec::new();
    let mut rest = &*text;
    while !rest.is_empty() {
        let end = (0..=PART.min(rest.len())).rev().find(|end| rest.is_char_boundary(*end)).unwrap_or_default();
        let (piece, more) = rest.split_at(end);
        pieces.push(piece.to_owned());
        rest = more;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let text = format!("a{}", "ä".repeat(PART));
        let pieces = cut(text.clone());
        assert_eq!(pieces.len(), 3);
        assert!(pieces.iter().all(|piece| piece.len() <= PART));
        assert_eq!(pieces.concat(), text);
        assert_eq!(cut(String::new()), [""]);
    }

    #[test]
    fn a_short_result_is_one_reply() {
        let ran = Ran { status: Some(3), stdout: Some("out".into()), stderr: Some("err".into()), waiting: None };
        let [part] = &ran.parts()[..] else { panic!("one part") };
        assert_eq!((part.status, part.stdout.as_deref(), part.stderr.as_deref()), (Some(3), Some("out"), Some("err")));
    }

    #[test]
    fn a_long_result_is_put_together_again() {
        let (out, err) = ("o".repeat(2 * PART + 1), "e".repeat(PART + 1));
        let ran = Ran { status: Some(0), stdout: Some(out.clone()), stderr: Some(err.clone()), waiting: None };
        let parts = ran.parts();
        let text =
            |of: fn(&Ran) -> &Option<String>| parts.iter().filter_map(|part| of(part).clone()).collect::<String>();
        assert_eq!((text(|part| &part.stdout), text(|part| &part.stderr)), (out, err));
        assert_eq!(parts.iter().filter_map(|part| part.status).collect::<Vec<_>>(), [0]);
    }
}
