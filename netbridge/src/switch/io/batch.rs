//! Frames as they come in, many at a time: buffers that are used again and again.

use crate::frame::Offload;

/// How many frames are taken from a port before another one has its turn.
pub(crate) const BATCH: usize = 64;

/// The longest frame: what an IP packet can be at most, behind an Ethernet header with two tags.
pub(crate) const LONGEST: usize = 65_535 + 14 + 8;

/// What a buffer holds: a [`Offload`] in front of a frame, and room for a tag that is put back.
pub(crate) const BUFFER: usize = Offload::LENGTH + LONGEST + 4 + 1;

/// Buffers for one batch, and what is in them.
pub(crate) struct Batch {
    buffers: Vec<Box<[u8]>>,
    frames: Vec<Taken>,
}

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
        Self { buffers, frames: Vec::with_capacity(BATCH) }
    }

    /// One that nothing can be received into.
    pub(crate) fn empty() -> Self {
        Self { buffers: Vec::new(), frames: Vec::new() }
    }

    pub(crate) fn clear(&mut self) {
        self.frames.clear();
    }

    /// Buffers for the next batch; what [`take`](Self::take) is told lies [`Offload::LENGTH`] behind the start of them.
    pub(crate) fn buffers(&mut self) -> &mut [Box<[u8]>] {
        &mut self.buffers
    }

    /// Takes the frame of `length` bytes that lies in a buffer.
    pub(crate) fn take(&mut self, buffer: usize, length: usize, offload: Offload) {
        self.frames.push(Taken { buffer, length, offload });
    }

    pub(crate) fn len(&self) -> usize {
        self.frames.len()
    }

    pub(crate) fn frame(&self, index: usize) -> (&[u8], Offload) {
        let Taken { buffer, length, offload } = self.frames[index];
        (&self.buffers[buffer][Offload::LENGTH..][..length], offload)
    }
}
