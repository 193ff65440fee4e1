//! Frames on a stream: each behind its length in 32 bits, big-endian, as QEMU's `-netdev stream` and `-netdev socket` have them.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

/// The longest frame: 64 KiB that a sender left to be cut into segments, behind an Ethernet header with a tag.
pub(crate) const LONGEST: usize = 65_550 + 4;

/// Bytes of the length before each frame.
const PREFIX: usize = 4;
/// How many frames are sent with one call at most.
const MOST: usize = 64;
/// Some of the longest frames, or many ordinary ones.
const BUFFER: usize = 256 * 1024;

/// A stream says that a frame is longer than any can be. It cannot be known where the next one begins: the connection is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {length} bytes was announced, but none has more than {LONGEST}")]
pub(crate) struct Giant {
    pub(crate) length: u32,
}

/// Finds the frames in what is read from a stream, however it is cut.
///
/// Read into [`space`](Self::space), say how much with [`filled`](Self::filled), then take all frames.
#[derive(Debug)]
pub(crate) struct Decoder {
    buffer: Box<[u8]>,
    begin: usize,
    end: usize,
}

impl Decoder {
    pub(crate) fn new() -> Self {
        Self { buffer: vec![0; BUFFER].into(), begin: 0, end: 0 }
    }

    /// Where to read to. It has room whenever all frames were taken.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        if self.begin == self.end {
            (self.begin, self.end) = (0, 0);
        } else if BUFFER - self.end < PREFIX + LONGEST {
            // Seldom, and then but a part of a frame.
            self.buffer.copy_within(self.begin..self.end, 0);
            (self.begin, self.end) = (0, self.end - self.begin);
        }
        &mut self.buffer[self.end..]
    }

    /// Takes in the first `length` bytes of the space.
    ///
    /// # Panics
    /// If the space has fewer.
    pub(crate) fn filled(&mut self, length: usize) {
        assert!(length <= BUFFER - self.end, "no more is read than there is room for");
        self.end += length;
    }

    /// The next frame, if it is here whole. It can be empty, and too short to be one.
    pub(crate) fn next_frame(&mut self) -> Result<Option<&[u8]>, Giant> {
        let Some((prefix, rest)) = self.buffer[self.begin..self.end].split_first_chunk::<PREFIX>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*prefix);
        let bytes = length as usize;
        if bytes > LONGEST {
            return Err(Giant { length });
        }
        let frame = rest.get(..bytes);
        if frame.is_some() {
            self.begin += PREFIX + bytes;
        }
        Ok(frame)
    }
}

/// Why a frame was not sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unsent {
    #[error("the stream takes nothing now")]
    Full,
    #[error("the frame is longer than {LONGEST} bytes")]
    Giant,
    #[error("{0}")]
    Broken(#[from] io::Error),
}

/// Writes frames to a stream that does not block and can take a part of one. A frame once begun is finished before the next.
///
/// `write` is writev(2) of that stream.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// The rest of the frame that was begun.
    waiting: VecDeque<u8>,
}

impl Outbox {
    /// Whether there is nothing to flush.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Sends the first of `frames` with one call, without a copy; says how many, the one counted in whose rest waits to be flushed.
    ///
    /// An error is about the first one.
    pub(crate) fn send<'a>(
        &mut self,
        frames: impl Iterator<Item = &'a [u8]>,
        mut write: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> Result<usize, Unsent> {
        if !self.is_empty() {
            return Err(Unsent::Full);
        }
        let (mut prefixes, mut bodies) = ([[0; PREFIX]; MOST], [&[][..]; MOST]);
        let mut count = 0;
        for ((prefix, body), frame) in prefixes.iter_mut().zip(&mut bodies).zip(frames) {
            match u32::try_from(frame.len()) {
                Ok(length) if frame.len() <= LONGEST => *prefix = length.to_be_bytes(),
                _ if count == 0 => return Err(Unsent::Giant),
                _ => break,
            }
            *body = frame;
            count += 1;
        }
        if count == 0 {
            return Ok(0);
        }
        let mut slices = [IoSlice::new(&[]); 2 * MOST];
        for (pair, (prefix, body)) in slices.chunks_exact_mut(2).zip(prefixes.iter().zip(bodies)) {
            pair.copy_from_slice(&[IoSlice::new(prefix), IoSlice::new(body)]);
        }
        let mut written = match attempt(&slices[..2 * count], &mut write)? {
            0 => return Err(Unsent::Full),
            written => written,
        };
        for (index, (prefix, body)) in prefixes.iter().zip(bodies).take(count).enumerate() {
            let length = PREFIX + body.len();
            if written == 0 {
                return Ok(index);
            }
            if written < length {
                self.waiting.extend(prefix.iter().chain(body).skip(written));
                return Ok(index + 1);
            }
            written -= length;
        }
        Ok(count)
    }

    /// Writes as much of what waits as the stream takes: to be called when it can be written to again.
    pub(crate) fn flush(&mut self, mut write: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>) -> io::Result<()> {
        while !self.is_empty() {
            let (first, second) = self.waiting.as_slices();
            match attempt(&[IoSlice::new(first), IoSlice::new(second)], &mut write)? {
                0 => break,
                written => drop(self.waiting.drain(..written)),
            }
        }
        Ok(())
    }
}

/// How many bytes a stream takes now.
fn attempt(bytes: &[IoSlice<'_>], write: &mut impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            written => return written,
        }
    }
}

#[cfg(test)]
mod tests;
