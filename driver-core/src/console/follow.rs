//! From the bytes of a machine's console to its lines.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

use super::Console;
use crate::log::harmless;

/// Longest line in bytes; a longer one is cut into several, so that a machine cannot fill the driver's memory with one.
const LINE_MAX: usize = 64 * 1024;

/// After this time without more of it, a line without an end is shown as it is.
const PAUSE: Duration = Duration::from_millis(200);

/// Follows what a machine prints to its end, and tells each line also to `said`.
///
/// Lines have no white space at their ends, no escape sequences, other control characters escaped, and invalid UTF-8 replaced. The beginning
/// of a line, such as a prompt, is shown as the console's unfinished line after a pause; the line itself stays whole.
pub async fn follow(mut printed: impl AsyncRead + Unpin, console: Console, mut said: impl FnMut(&str)) {
    let mut portion = vec![0; 16 * 1024];
    let (mut line, mut shown) = (Vec::new(), true);
    let mut say = |line: &[u8]| {
        let text = clean(line);
        console.push(&*text);
        said(&text);
    };
    loop {
        let read = printed.read(&mut portion);
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
                say(&line);
                line = rest;
            }
        }
        shown = line.is_empty();
    }
    if !line.is_empty() {
        say(&line);
    }
}

fn clean(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    harmless(&text.trim_end().replace('\r', "")).into_owned()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt, duplex};
    use tokio::time::sleep;

    use super::*;
    use crate::event::Recorder;

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
            let console = console();
            let (mut near, far) = duplex(size);
            let following = tokio::spawn(follow(far, console.clone(), |_| ()));
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
    async fn each_line_is_told() {
        let mut told = Vec::new();
        follow(b"one\ntwo".as_slice(), console(), |line| told.push(line.to_owned())).await;
        assert_eq!(told, ["one", "two"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_prompt_is_seen_and_its_line_stays_whole() {
        let console = console();
        let (mut near, far) = duplex(100);
        tokio::spawn(follow(far, console.clone(), |_| ()));
        near.write_all(b"hello\nlogin: ").await.unwrap();
        sleep(PAUSE * 2).await;
        assert_eq!(console.since_with_unfinished(0), (vec!["hello".to_owned()], "login:".to_owned()));
        near.write_all(b"root\n").await.unwrap();
        sleep(PAUSE * 2).await;
        assert_eq!(console.since_with_unfinished(1), (vec!["login: root".to_owned()], String::new()));
    }
}
