//! The serial line: what the guest says there, line by line, and what is typed into it.

use std::io;
use std::time::Duration;

use async_trait::async_trait;
use driver_core::console::Console;
use driver_core::error::MachineError;
use driver_core::guest::Terminal;
use driver_core::life::Standing;
use driver_core::log::harmless;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::guest::{LAST_WORDS, Vm};
use crate::signs::Sign;

/// Longest line in bytes; a longer one is cut into several, so that a guest cannot fill the driver's memory with one.
const LINE_MAX: usize = 64 * 1024;

/// How long the guest may take to read what is typed.
const PATIENCE: Duration = Duration::from_secs(10);

/// After this time without more of it, a line without an end is shown as it is.
const PAUSE: Duration = Duration::from_millis(200);

/// Follows a serial line to its end and sends what its lines tell to `signs`.
///
/// The beginning of a line, such as a prompt, is shown as the console's unfinished line after a pause; the line itself stays whole.
pub(crate) async fn follow(mut serial: impl AsyncRead + Unpin, console: Console, signs: mpsc::Sender<Sign>) {
    let mut portion = vec![0; 16 * 1024];
    let (mut line, mut shown) = (Vec::new(), true);
    loop {
        let read = serial.read(&mut portion);
        let length = if shown {
            read.await
        } else {
            let Ok(length) = timeout(PAUSE, read).await else {
                console.show_unfinished(clean(&line));
                shown = true;
                continue;
            };
            length
        };
        let Ok(length @ 1..) = length else { break };
        for part in portion[..length].split_inclusive(|byte| *byte == b'\n') {
            line.extend_from_slice(part);
            while line.ends_with(b"\n") || line.len() >= LINE_MAX {
                let rest = line.split_off(line.len().min(LINE_MAX));
                say(&console, &signs, &line);
                line = rest;
            }
        }
        shown = line.is_empty();
    }
    if !line.is_empty() {
        say(&console, &signs, &line);
    }
}

fn say(console: &Console, signs: &mpsc::Sender<Sign>, line: &[u8]) {
    let text = clean(line);
    let sign = Sign::read(&text);
    console.push(text);
    if let Some(sign) = sign {
        // Where nobody keeps up, an earlier sign has told enough.
        let _ = signs.try_send(sign);
    }
}

/// The text of a line: no line end, no escape sequences, other control characters escaped, invalid UTF-8 replaced.
fn clean(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    harmless(&text.trim_end().replace('\r', "")).into_owned()
}

#[async_trait]
impl Terminal for Vm {
    async fn write(&self, bytes: &[u8]) -> Result<(), MachineError> {
        let life = &self.shared.life;
        let operation = "type into the console";
        let mut left = bytes;
        let typed = async {
            let mut serial = self.shared.typing.lock().await;
            while !left.is_empty() {
                match serial.write(left).await? {
                    0 => return Err(io::Error::from(io::ErrorKind::WriteZero)),
                    length => left = &left[length..],
                }
            }
            Ok(())
        };
        match timeout(PATIENCE, typed).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                life.ends_within(LAST_WORDS).await;
                Err(if matches!(life.standing(), Standing::Ended(_)) {
                    life.not_there(operation)
                } else {
                    life.error(operation, &error).source(error)
                })
            }
            Err(_elapsed) => {
                let cause = format!("the guest does not read: {} of {} bytes are left", left.len(), bytes.len());
                Err(life.error(operation, cause).after(PATIENCE))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use driver_core::event::Recorder;
    use tokio::io::{AsyncWriteExt, duplex};
    use tokio::time::sleep;

    use super::*;

    fn console() -> Console {
        Console::new(Recorder::new(Vec::new()))
    }

    #[tokio::test]
    async fn lines_are_whole_clean_and_bounded() {
        let long = vec![b'x'; LINE_MAX + 10];
        let text = [
            b"one\r\ntwo \x1b[1;31mred\x1b[0m  \n\n\xff[   1.5] Kernel panic - not".as_slice(),
            b"\n",
            &long,
            b"\nlast",
        ]
        .concat();
        for size in [1, 7, 1000, text.len()] {
            let (console, (signs, _told)) = (console(), mpsc::channel(1));
            let (mut near, far) = duplex(size);
            let following = tokio::spawn(follow(far, console.clone(), signs));
            near.write_all(&text).await.unwrap();
            drop(near);
            following.await.unwrap();
            let lines = console.since(0);
            assert_eq!(lines[..4], ["one", "two red", "", "\u{fffd}[   1.5] Kernel panic - not"]);
            let lengths: Vec<usize> = lines[4..].iter().map(String::len).collect();
            assert_eq!(lengths, [LINE_MAX, 10, 4], "{size}");
        }
    }

    #[tokio::test]
    async fn signs_are_told() {
        let (console, (signs, mut told)) = (console(), mpsc::channel(1));
        follow(b"[    1.5] Kernel panic - not syncing: x\r\n".as_slice(), console, signs).await;
        assert_eq!(told.recv().await, Some(Sign::Panic("x".into())));
    }

    #[tokio::test(start_paused = true)]
    async fn a_prompt_is_seen_and_its_line_stays_whole() {
        let (console, (signs, _told)) = (console(), mpsc::channel(1));
        let (mut near, far) = duplex(100);
        tokio::spawn(follow(far, console.clone(), signs));
        near.write_all(b"hello\nlogin: ").await.unwrap();
        sleep(PAUSE * 2).await;
        assert_eq!(console.since_with_unfinished(0), (vec!["hello".to_owned()], "login:".to_owned()));
        near.write_all(b"root\n").await.unwrap();
        sleep(PAUSE * 2).await;
        assert_eq!(console.since_with_unfinished(1), (vec!["login: root".to_owned()], String::new()));
    }
}
