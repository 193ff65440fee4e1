//! The host's end of a console, with what is under way in both directions.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use rustix::rand::{GetRandomFlags, getrandom};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, timeout_at};

use super::error::ShellError;
use super::wire::{self, Piece};

/// How much is kept of what comes before the shell does.
const KEPT: usize = 4096;

/// While so much was not sent, nothing is added that a guest can bring about as often as it likes: one that reads nothing would fill the
/// memory.
const BACKLOG: usize = 64 * 1024;

/// A console. All of its calls are cancel-safe: what was not sent or understood yet stays here.
#[derive(Debug)]
pub(super) struct Link<S> {
    stream: S,
    nonce: String,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    heard: Instant,
    asked: Instant,
    moved: Instant,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Link<S> {
    pub(super) fn new(stream: S) -> io::Result<Self> {
        let mut bytes = [0; 8];
        // The fuzzer must know it.
        if !cfg!(fuzzing) {
            getrandom(&mut bytes, GetRandomFlags::empty())?;
        }
        let nonce = format!("{:016x}", u64::from_ne_bytes(bytes));
        let now = Instant::now();
        Ok(Self { stream, nonce, incoming: Vec::new(), outgoing: Vec::new(), heard: now, asked: now, moved: now })
    }

    /// What marks of this connection begin with.
    pub(super) fn nonce(&self) -> &str {
        &self.nonce
    }

    /// When something came last.
    pub(super) fn heard(&self) -> Instant {
        self.heard
    }

    /// When something was asked that must be answered.
    pub(super) fn asked(&self) -> Instant {
        self.asked
    }

    /// When something last went in either direction.
    pub(super) fn moved(&self) -> Instant {
        self.moved
    }

    /// Has a line sent.
    pub(super) fn say(&mut self, line: &str) {
        self.send(line.as_bytes());
    }

    /// Has a line sent that the guest has asked for.
    pub(super) fn reply(&mut self, line: &str) {
        if self.outgoing.len() < BACKLOG {
            self.say(line);
        }
    }

    /// Has a line sent that will be answered, as something that was said before may be.
    pub(super) fn ask_again(&mut self, line: &str) {
        self.asked = Instant::now();
        self.reply(line);
    }

    /// Has a line sent that will be answered.
    pub(super) fn ask(&mut self, line: &str) {
        self.asked = Instant::now();
        self.say(line);
    }

    /// Has bytes sent.
    pub(super) fn send(&mut self, bytes: &[u8]) {
        self.outgoing.extend_from_slice(bytes);
    }

    #[cfg(test)]
    pub(super) fn unsent(&self) -> usize {
        self.outgoing.len()
    }

    /// Drops all that is under way in both directions.
    pub(super) fn clear(&mut self) {
        self.incoming.clear();
        self.outgoing.clear();
    }

    /// Drops what was not sent yet.
    pub(super) fn unsay(&mut self) {
        self.outgoing.clear();
    }

    /// Waits for the next piece of what the shell says; none once it is `until`.
    pub(super) async fn piece(&mut self, until: Instant) -> Result<Option<Piece>, ShellError> {
        loop {
            if let Some(piece) = wire::take(&mut self.incoming, &self.nonce) {
                return Ok(Some(piece));
            }
            if !self.transfer(until).await? {
                return Ok(None);
            }
        }
    }

    /// Drops everything up to and with `text`; false if it has not come yet.
    pub(super) fn skip_past(&mut self, text: &[u8]) -> bool {
        let found = self.incoming.windows(text.len()).position(|there| there == text);
        match found {
            Some(at) => drop(self.incoming.drain(..at + text.len())),
            None => drop(self.incoming.drain(..self.incoming.len().saturating_sub(KEPT))),
        }
        found.is_some()
    }

    /// The end of what came and was not understood.
    pub(super) fn last_words(&self) -> String {
        let last = &self.incoming[self.incoming.len().saturating_sub(200)..];
        String::from_utf8_lossy(last).trim().to_owned()
    }

    /// Sends or receives something; false if neither was possible until then.
    pub(super) async fn transfer(&mut self, until: Instant) -> Result<bool, ShellError> {
        match timeout_at(until, poll_fn(|context| self.poll(context))).await {
            Ok(done) => done.map(|()| true),
            Err(_elapsed) => Ok(false),
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ShellError>> {
        let mut space = [0; 16 * 1024];
        let mut buffer = ReadBuf::new(&mut space);
        let received = match Pin::new(&mut self.stream).poll_read(context, &mut buffer) {
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => return Poll::Ready(Err(ShellError::Closed)),
            Poll::Ready(Ok(())) => true,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(broken(error))),
            Poll::Pending => false,
        };
        self.incoming.extend_from_slice(buffer.filled());
        let mut sent = 0;
        if !self.outgoing.is_empty() {
            match Pin::new(&mut self.stream).poll_write(context, &self.outgoing) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(ShellError::Closed)),
                Poll::Ready(Ok(length)) => sent = length,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(broken(error))),
                Poll::Pending => {}
            }
        }
        self.outgoing.drain(..sent);
        if !received && sent == 0 {
            return Poll::Pending;
        }
        self.moved = Instant::now();
        if received {
            self.heard = self.moved;
        }
        Poll::Ready(Ok(()))
    }
}

fn broken(error: io::Error) -> ShellError {
    match error.kind() {
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => ShellError::Closed,
        _ => ShellError::Broken(error),
    }
}
