//! The word to go: what an interpreter with a checked script hears before it does anything with it.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use serde::Serialize;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;

/// A line of JSON.
#[derive(Debug, Serialize)]
pub(super) struct Word<'a> {
    /// The socket of the driver.
    pub(super) address: &'a Path,
    /// What a person runs who wants to come to a breakpoint; empty if nothing was named. Without it, breakpoints do nothing.
    pub(super) debug_hook: Option<&'a str>,
    /// Where the lines typed at the prompt are kept; without it there is no prompt.
    pub(super) history: Option<&'a Path>,
}

/// Says the word.
pub(super) async fn say(channel: &mut UnixStream, word: &Word<'_>) -> io::Result<()> {
    let mut line = serde_json::to_vec(word)?;
    line.push(b'\n');
    channel.write_all(&line).await
}

/// Hands over the driver's own standard input, output and error, with a byte of their own.
pub(super) async fn hand_over_terminal(channel: &UnixStream) -> io::Result<()> {
    let (input, output, error) = (io::stdin(), io::stdout(), io::stderr());
    let descriptors: [BorrowedFd<'_>; 3] = [input.as_fd(), output.as_fd(), error.as_fd()];
    channel.writable().await?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::Error::other("three descriptors do not fit into one message"));
    }
    rustix::net::sendmsg(channel, &[IoSlice::new(b"\n")], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}
