//! The container's console: what systemd-nspawn prints, line by line.

use std::io;
use std::os::fd::OwnedFd;

use driver_core::console::Console;
use driver_core::log::harmless;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::task::JoinHandle;

/// Longest line in bytes; a longer one is cut into several, so that a container cannot fill the driver's memory with one.
const LINE_MAX: u64 = 64 * 1024;

/// Follows a console to its end in a task of its own.
pub(crate) fn follow(output: OwnedFd, console: Console) -> io::Result<JoinHandle<()>> {
    let mut reader = BufReader::new(tokio::net::unix::pipe::Receiver::from_owned_fd(output)?);
    Ok(tokio::spawn(async move {
        let mut line = Vec::new();
        loop {
            line.clear();
            match (&mut reader).take(LINE_MAX).read_until(b'\n', &mut line).await {
                Ok(0) | Err(_) => break,
                Ok(_) => console.push(clean(&line)),
            }
        }
    }))
}

/// The text of a line: no line end, no escape sequences, other control characters escaped, invalid UTF-8 replaced.
fn clean(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    harmless(&text.trim_end_matches(['\n', '\r']).replace('\r', "")).into_owned()
}
