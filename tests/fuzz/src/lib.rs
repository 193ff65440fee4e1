//! The other end of a connection, made up.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// Longer than anything here is patient.
const LONG: Duration = Duration::from_secs(600);

/// Says what it was told to, in the parts and with the pauses that the first line of its bytes stands for, and takes all that is said to it.
///
/// Each byte of that line is a part of 1 to 32 KiB or a pause, and what follows comes at once. Then the connection is closed, or if the line
/// has an odd length it stays silent.
pub struct Peer {
    parts: std::vec::IntoIter<u8>,
    says: Vec<u8>,
    said: usize,
    stays: bool,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Peer {
    /// None without such a line.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let (parts, says) = (bytes[..end].to_vec(), bytes[end + 1..].to_vec());
        Some(Self { stays: parts.len() % 2 == 1, parts: parts.into_iter(), says, said: 0, pause: None })
    }

    /// What it says.
    pub fn says(&self) -> &[u8] {
        &self.says
    }
}

impl AsyncRead for Peer {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(pause) = &mut self.pause {
            std::task::ready!(pause.as_mut().poll(context));
            self.pause = None;
        }
        let rest = self.says.len() - self.said;
        if rest == 0 && !self.stays {
            return Poll::Ready(Ok(()));
        }
        let part = match self.parts.next() {
            _ if rest == 0 => Err(LONG),
            Some(byte) if byte % 32 < 16 => Ok(1 << (byte % 16)),
            Some(byte) if byte % 32 < 24 => Err(Duration::from_millis(300)),
            Some(byte) if byte % 32 < 31 => Err(Duration::from_secs(6)),
            Some(_) => Err(LONG),
            None => Ok(usize::MAX),
        };
        match part {
            Ok(length) => {
                let end = self.said + length.min(rest).min(buffer.remaining());
                buffer.put_slice(&self.says[self.said..end]);
                self.said = end;
                Poll::Ready(Ok(()))
            }
            Err(time) => {
                self.pause = Some(Box::pin(sleep(time)));
                self.poll_read(context, buffer)
            }
        }
    }
}

impl AsyncWrite for Peer {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Runs to the end by a clock that passes over all waiting, and returns how long that would have taken.
pub fn run(future: impl Future<Output = ()>) -> Duration {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("there is memory").block_on(async {
        let began = tokio::time::Instant::now();
        future.await;
        began.elapsed()
    })
}
