//! What is decided by chance about each frame, apart from any clock.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use super::Impairment;
use super::chance::{Chance, Decision, sequence};
use super::jitter::Delays;
use super::loss::Loss;
use crate::Direction;

/// The decisions about one frame after another.
#[derive(Clone, Debug)]
pub(super) struct Decisions {
    loss: Loss,
    duplicate: Chance,
    corrupt: Chance,
    reorder: Chance,
    delays: Delays,
}

/// What is decided about a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Verdict {
    pub(super) lost: bool,
    pub(super) twice: bool,
    /// What becomes of the frame, and of its double if there is one.
    pub(super) copies: [Treatment; 2],
}

/// What is decided about a copy of a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Treatment {
    pub(super) corrupt: Option<u64>,
    pub(super) reordered: bool,
    pub(super) delay: Duration,
}

impl Decisions {
    /// The decisions that follow from the seed and the direction. Without a seed they are others each time.
    pub(super) fn new(impairment: &Impairment, direction: Direction) -> Self {
        // The standard library's hash maps get their keys from the system's random numbers.
        let seed = impairment.seed.unwrap_or_else(|| RandomState::new().hash_one(direction));
        let of = |decision| sequence(seed, direction, decision);
        Self {
            loss: Loss::new(impairment.loss, impairment.burst, of(Decision::Loss)),
            duplicate: Chance::new(impairment.duplicate, of(Decision::Duplicate)),
            corrupt: Chance::new(impairment.corrupt, of(Decision::Corrupt)),
            reorder: Chance::new(impairment.reorder, of(Decision::Reorder)),
            delays: Delays::new(impairment, of(Decision::Jitter)),
        }
    }

    /// The decisions about the next frame. All are made for each frame, lost or not, doubled or not: so no setting shifts what
    /// another one decides.
    pub(super) fn next(&mut self) -> Verdict {
        Verdict {
            lost: self.loss.next(),
            twice: self.duplicate.happens(),
            copies: [self.treatment(), self.treatment()],
        }
    }

    fn treatment(&mut self) -> Treatment {
        Treatment { corrupt: self.corrupt.number(), reordered: self.reorder.happens(), delay: self.delays.next() }
    }
}
