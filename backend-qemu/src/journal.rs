//! The guest's journal, which a service of ours in the guest sends line by line.

use driver_core::event::Recorder;
use driver_core::journal::{ENTRY_MAX, Entry};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};

/// Records entries to the end of the stream, reboots included. What is no entry is left out: the rest of a line that a reboot cut off, or
/// what others in the guest write there.
pub(crate) async fn follow(journal: impl AsyncRead + Unpin, recorder: Recorder) {
    let mut reader = BufReader::new(journal);
    let (mut line, mut too_long) = (Vec::new(), false);
    loop {
        line.clear();
        match (&mut reader).take(ENTRY_MAX as u64).read_until(b'\n', &mut line).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => return,
        }
        let is_rest = too_long;
        too_long = !line.ends_with(b"\n");
        if is_rest || too_long {
            continue;
        }
        // A line that was begun before a reboot has no end of its own.
        let begins = line.windows(2).rposition(|two| two == b"{\"").filter(|_| Entry::parse(&line).is_none());
        if let Some(entry) = Entry::parse(&line[begins.unwrap_or_default()..]) {
            entry.record(&recorder);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use driver_core::event::{Event, Kind, Sink};

    use super::*;

    #[derive(Clone, Default)]
    struct Messages(Arc<Mutex<Vec<String>>>);

    impl Sink for Messages {
        fn event(&mut self, event: &Event) {
            if let Kind::Journal { message, .. } = &event.kind {
                self.0.lock().unwrap().push(message.clone());
            }
        }
    }

    #[tokio::test]
    async fn what_is_no_entry_is_left_out() {
        let messages = Messages::default();
        let long = format!("{{\"MESSAGE\":\"{}\"}}\n", "x".repeat(ENTRY_MAX));
        let text = format!(
            "{}{}{long}{}{}",
            "{\"MESSAGE\":\"one\"}\n\n\u{0}garbage\n",
            "{\"MESSAGE\":\"cut of",
            "{\"MESSAGE\":\"two\"}\n",
            "{\"MESSAGE\":\"cut off{\"MESSAGE\":\"three\"}\n",
        );
        follow(text.as_bytes(), Recorder::new(vec![Box::new(messages.clone())])).await;
        assert_eq!(*messages.0.lock().unwrap(), ["one", "two", "three"]);
    }
}
