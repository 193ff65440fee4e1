//! One port of a switch: its descriptor, and what waits to be sent by it.

use std::collections::{HashMap, VecDeque};
use std::io;

use super::io::{BATCH, Batch, Io};
use crate::frame::{Frame, Offload};
use crate::offload;

/// The most that may wait for a reader that is slow, in frames and in bytes.
const MOST_FRAMES: usize = 4096;
const MOST_BYTES: usize = 8 << 20;

/// The most that may wait of what one port sent: who floods takes no room from others.
const SHARE: usize = MOST_FRAMES / 4;

/// A frame that is to be sent.
#[derive(Debug)]
pub(super) enum Next {
    /// It lies in the batch that is being treated.
    Batch(usize),
    Own(Own),
}

/// A frame in memory of its own.
pub(super) type Own = Frame<'static>;

/// What was done since the last call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) frames: u64,
    pub(super) bytes: u64,
    /// Dropped, because too many waited.
    pub(super) overflowed: u64,
    /// Refused, because they were too long.
    pub(super) malformed: u64,
    /// Refused, because nobody is at the other end.
    pub(super) blocked: u64,
}

/// A port.
#[derive(Debug)]
pub(super) struct Port {
    pub(super) io: Io,
    /// Its link; none if it leads to a bridge.
    pub(super) link: Option<usize>,
    next: Vec<(usize, Next)>,
    /// With the numbers of the ports that they came from.
    queue: VecDeque<(usize, Own)>,
    /// Bytes in the queue, and frames by the port that they came from.
    queued: usize,
    shares: HashMap<usize, usize>,
    /// Whether the poller is asked to tell when it can send again.
    pub(super) polled: bool,
    /// Nothing comes from it any more.
    pub(super) ended: bool,
}

impl Port {
    pub(super) fn new(io: Io, link: Option<usize>) -> Self {
        Self {
            io,
            link,
            next: Vec::new(),
            queue: VecDeque::new(),
            queued: 0,
            shares: HashMap::new(),
            polled: false,
            ended: false,
        }
    }

    /// Takes a frame from the port `source` that [`flush`](Self::flush) is to send. Says whether it is the first one.
    pub(super) fn push(&mut self, source: usize, frame: Next) -> bool {
        self.next.push((source, frame));
        self.next.len() == 1
    }

    /// Whether something waits for the other side to read.
    pub(super) fn waits(&mut self) -> bool {
        !self.queue.is_empty() || self.io.finish()
    }

    /// Sends what it can; the rest is queued.
    pub(super) fn flush(&mut self, batch: &Batch) -> Sent {
        let mut sent = Sent::default();
        self.drain(&mut sent);
        let next = std::mem::take(&mut self.next);
        let mut rest = &next[..];
        while self.queue.is_empty() && !rest.is_empty() {
            let count = {
                let mut frames: [(&[u8], Offload); BATCH] = [(&[], Offload::default()); BATCH];
                for (slot, (_, frame)) in frames.iter_mut().zip(rest) {
                    *slot = view(frame, batch);
                }
                let frames = &frames[..rest.len().min(BATCH)];
                attempt(&mut self.io, frames, &mut sent)
            };
            let Some(count) = count else { break };
            rest = &rest[count..];
        }
        for (source, frame) in rest {
            let (data, offload) = view(frame, batch);
            let share = self.shares.entry(*source).or_default();
            if *share >= SHARE || self.queue.len() >= MOST_FRAMES || self.queued + data.len() > MOST_BYTES {
                sent.overflowed += 1;
                continue;
            }
            *share += 1;
            self.queued += data.len();
            self.queue.push_back((*source, Frame { data: data.to_vec().into(), offload }));
        }
        // Its memory is used again.
        self.next = next;
        self.next.clear();
        sent
    }

    /// Sends what is queued, until the other side has to read first.
    fn drain(&mut self, sent: &mut Sent) {
        while !self.queue.is_empty() {
            let mut frames: [(&[u8], Offload); BATCH] = [(&[], Offload::default()); BATCH];
            let mut count = 0;
            for (slot, (_, frame)) in frames.iter_mut().zip(&self.queue) {
                *slot = (&frame.data, frame.offload);
                count += 1;
            }
            let Some(count) = attempt(&mut self.io, &frames[..count], sent) else { return };
            for (source, frame) in self.queue.drain(..count) {
                self.queued -= frame.data.len();
                if let Some(share) = self.shares.get_mut(&source) {
                    *share -= 1;
                }
            }
            if self.queue.is_empty() {
                self.shares.clear();
            }
        }
    }
}

fn view<'a>(frame: &'a Next, batch: &'a Batch) -> (&'a [u8], Offload) {
    match frame {
        Next::Batch(index) => batch.frame(*index),
        Next::Own(own) => (&own.data, own.offload),
    }
}

/// Sends once. Gives how many frames are done with, sent or not; none if the other side has to read first.
fn attempt(io: &mut Io, frames: &[(&[u8], Offload)], sent: &mut Sent) -> Option<usize> {
    match io.send(frames) {
        Ok(count) => {
            for (data, offload) in &frames[..count] {
                sent.frames += offload::frames(data, *offload) as u64;
                sent.bytes += offload::wire_length(data, *offload) as u64;
            }
            Some(count)
        }
        Err(error) => match (error.kind(), error.raw_os_error()) {
            // A full queue of a device says the latter two, and there is no telling when it has room again.
            (io::ErrorKind::WouldBlock, _) => None,
            (io::ErrorKind::Interrupted, _) => Some(0),
            (_, Some(libc::ENOBUFS | libc::ENOMEM)) => {
                sent.overflowed += 1;
                Some(1)
            }
            (_, Some(libc::EMSGSIZE | libc::EINVAL)) => {
                sent.malformed += 1;
                Some(1)
            }
            _ => {
                sent.blocked += 1;
                Some(1)
            }
        },
    }
}
