//! Frames as they come in, many at a time: buffers that are used again and again.

use crate::frame::Offload;

/// How many frames are taken from a port before another one has its turn.
pub(crate) const BATCH: usize = 64;

/// The longest frame: what an IP packet can be at most, behind an Ethernet header with two tags.
pub(crate) const LONGEST: usize = 65_535 + 14 + 8;

/// What a buffer holds: a [`Offload`] in front of a frame, and room for a tag that is put back.
pub(crate) const BUFFER: usize = Offload::LENGTH + LONGEST + 4 + 1;

/// How many buffers are offered where the last batch was small: each costs something, also if nothing comes into it.
const FEW: usize = 8;

/// Buffers for one batch, and what is in them.
pub(crate) struct Batch {
    buffers: Vec<Box<[u8]>>,
    frames: Frames,
    /// How many frames the last batch had.
    last: usize,
}

/// The frames of a batch.
#[derive(Default)]
pub(crate) struct Frames(Vec<Taken>);

/// One frame of a batch.
#[derive(Clone, Copy, Debug)]
struct Taken {
    /// Where it lies.
    buffer: usize,
    length: usize,
    offload: Offload,
}

impl Batch {
    pub(crate) fn new() -> Self {
        let buffers = (0..BATCH).map(|_| vec![0; BUFFER].into_boxed_slice()).collect();
        Self { buffers, frames: Frames(Vec::with_capacity(BATCH)), last: 0 }
    }

    /// One that nothing can be received into.
    pub(crate) fn empty() -> Self {
        Self { buffers: Vec::new(), frames: Frames::default(), last: 0 }
    }

    pub(crate) fn clear(&mut self) {
        self.last = self.len();
        self.frames.0.clear();
    }

    /// Buffers for the next batch, and what tells which frames lie in them, each [`Offload::LENGTH`] behind the start of one.
    pub(crate) fn parts(&mut self) -> (&mut [Box<[u8]>], &mut Frames) {
        let count = if self.last < FEW { FEW } else { BATCH };
        let count = count.min(self.buffers.len());
        (&mut self.buffers[..count], &mut self.frames)
    }

    pub(crate) fn len(&self) -> usize {
        self.frames.0.len()
    }

    pub(crate) fn frame(&self, index: usize) -> (&[u8], Offload) {
        let Taken { buffer, length, offload } = self.frames.0[index];
        (&self.buffers[buffer][Offload::LENGTH..][..length], offload)
    }
}

impl Frames {
    /// Takes the frame of `length` bytes that lies in the buffer of this index.
    pub(crate) fn take(&mut self, buffer: usize, length: usize, offload: Offload) {
        self.0.push(Taken { buffer, length, offload });
    }
}
