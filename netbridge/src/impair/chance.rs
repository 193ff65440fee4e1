//! Random numbers: a sequence for each kind of decision, so that what one setting draws changes nothing for the others.

use rand::{Rng, RngExt, SeedableRng};
use rand_pcg::{Pcg64, Pcg64Mcg};

use crate::Direction;

/// Random numbers for one kind of decision. PCG's output is documented and the same everywhere, so a seed means the same in each release.
pub(super) type Sequence = Pcg64Mcg;

/// What is decided by chance. The numbers are part of what a seed means: they never change, and new kinds get new ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    Loss = 0,
    Duplicate = 1,
    Corrupt = 2,
    Reorder = 3,
    Jitter = 4,
}

/// The sequence of one kind of decision in one direction.
pub(super) fn sequence(seed: u64, direction: Direction, decision: Decision) -> Sequence {
    let column = match direction {
        Direction::Out => 0,
        Direction::In => 1,
    };
    // Each sequence starts at a number of its own that a first generator draws: two words, at a place that no other has.
    let place = 2 * decision as u128 + column;
    let mut starts = Pcg64::seed_from_u64(seed);
    starts.advance(2 * place);
    let (high, low) = (starts.next_u64(), starts.next_u64());
    Sequence::new(u128::from(high) << 64 | u128::from(low))
}

/// Something that happens to a share of all frames.
#[derive(Clone, Debug)]
pub(super) struct Chance {
    share: f64,
    sequence: Sequence,
}

impl Chance {
    pub(super) fn new(share: f64, sequence: Sequence) -> Self {
        Self { share, sequence }
    }

    /// Whether it happens this time.
    pub(super) fn happens(&mut self) -> bool {
        self.share > 0.0 && happens(self.share, &mut self.sequence)
    }

    /// A random number if it happens this time. It takes as many numbers of the sequence if not.
    pub(super) fn number(&mut self) -> Option<u64> {
        if self.share <= 0.0 {
            return None;
        }
        let happens = happens(self.share, &mut self.sequence);
        let number = self.sequence.next_u64();
        happens.then_some(number)
    }
}

/// Draws one number, and with a probability of `share` says yes.
pub(super) fn happens(share: f64, sequence: &mut Sequence) -> bool {
    // From 0 up to but not including 1: a share of 0 is never, one of 1 is always.
    sequence.random::<f64>() < share
}
