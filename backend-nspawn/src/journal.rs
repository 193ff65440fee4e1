//! The container's journal, followed by its own journalctl(1).

use std::io;
use std::os::fd::OwnedFd;

use driver_core::event::{Kind, Recorder};
use serde::Deserialize;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};

use crate::channel::Channel;
use crate::exec::Shell;

/// Longest entry in bytes; journald's own limit for a message is 48 KiB by default (journald.conf(5), `LineMax`).
const ENTRY_MAX: u64 = 1024 * 1024;

/// Waits until there is a journal, then prints its entries for ever. The wait's descriptor never has anything to read.
///
/// It goes to the background at once, so that it becomes a child of the machine's own pid 1: systemd-shutdown(8) waits ten seconds for
/// processes that are not. Its working directory keeps no file system busy.
fn script(cursor: Option<&str>) -> String {
    // Cursors are made of letters, digits, `=` and `;` (journalctl(1), `--show-cursor`); they come from the guest.
    let after = cursor.map(|cursor| format!(" --after-cursor='{}'", cursor.replace('\'', ""))).unwrap_or_default();
    format!(
        "cd /; exec 2>/dev/null {{pause}}<> <(:)
(until [ -d /run/log/journal -o -d /var/log/journal ]; do read -rt 0.02 -u $pause; done
exec journalctl --follow --no-tail --output=json --quiet --all{after}) &"
    )
}

/// One entry, with the fields of systemd.journal-fields(7) that are recorded.
#[derive(Deserialize)]
struct Entry {
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

/// Follows the journal until the machine is gone, from after `cursor` on; returns the last entry's cursor.
pub(crate) async fn follow(
    shell: &Shell,
    channel: &Channel,
    recorder: &Recorder,
    cursor: Option<String>,
) -> Option<String> {
    let mut last = cursor;
    // A machine without journalctl, or one that goes away meanwhile, ends the record of its journal and nothing else.
    if let Err(error) = read(shell, channel, recorder, &mut last).await {
        tracing::debug!(%error, "the journal cannot be followed");
    }
    last
}

async fn read(shell: &Shell, channel: &Channel, recorder: &Recorder, last: &mut Option<String>) -> io::Result<()> {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let null = || std::fs::OpenOptions::new().read(true).write(true).open("/dev/null").map(OwnedFd::from);
    let fds = [null()?, write, null()?];
    let argv = ["bash", "--norc", "-c", &script(last.as_deref())].map(|word| word.as_bytes().to_vec());
    shell.start(channel, argv.into(), &fds).await?.ended().await?;
    drop(fds);
    let mut reader = BufReader::new(tokio::net::unix::pipe::Receiver::from_owned_fd(read)?);
    let mut line = Vec::new();
    loop {
        line.clear();
        if (&mut reader).take(ENTRY_MAX).read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        if let Ok(entry) = serde_json::from_slice::<Entry>(&line) {
            record(recorder, &entry);
            *last = entry.cursor.as_str().map(str::to_owned);
        }
    }
}

fn record(recorder: &Recorder, entry: &Entry) {
    let micros: Option<f64> = entry.time.as_str().and_then(|time| time.parse().ok());
    let unit = text(&entry.about).or_else(|| text(&entry.unit));
    let priority = entry.priority.as_str().and_then(|priority| priority.parse().ok());
    let message = text(&entry.message).unwrap_or_default();
    recorder.record_at(Kind::Journal { message, unit, priority }, micros.map(|micros| micros / 1e6));
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

    #[test]
    fn fields_come_in_three_shapes() {
        assert_eq!(text(&serde_json::json!("a")), Some("a".into()));
        assert_eq!(text(&serde_json::json!([104, 255, 105])), Some("h\u{fffd}i".into()));
        assert_eq!(text(&serde_json::json!(["x", "y"])), Some("x".into()));
        assert_eq!(text(&Value::Null), None);
    }
}
