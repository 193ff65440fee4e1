//! What passed a link, and what did not.

/// The counts of one link, since it first had a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkStats {
    /// From what is plugged in to the segment.
    pub out: Flow,
    /// From the segment to what is plugged in.
    pub r#in: Flow,
}

/// The counts of one direction.
///
/// Where the kernel carries a link, it counts frames, bytes and what overflowed, and what is still to be cut into segments as one frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Frames that passed.
    pub frames: u64,
    /// Their bytes, without preamble and check sequence.
    pub bytes: u64,
    /// Frames that the link's impairment lost.
    pub lost: u64,
    /// Frames that it doubled.
    pub duplicated: u64,
    /// Frames that it sent ahead of others.
    pub reordered: u64,
    /// Frames that it flipped a bit of.
    pub corrupted: u64,
    /// Frames dropped because a queue was full: the impairment's, or that of a reader that is too slow.
    pub overflowed: u64,
    /// Frames dropped because the link was down, or by a partition.
    pub blocked: u64,
    /// Frames dropped because they are none (runts), or too long for where they go (giants), or cannot be understood; and
    /// VDE clients refused because they could not.
    pub malformed: u64,
}
