//! Which frames are lost.

use super::chance::{Sequence, happens};

/// Gilbert's model: a chain of two states, in one of which every frame is lost. Losses that do not depend on each other are the chain
/// whose next state does not depend on the last.
#[derive(Clone, Debug)]
pub(super) struct Loss {
    /// The share of frames that are lost in the long run.
    share: f64,
    /// How likely a frame is lost after one that was lost.
    again: f64,
    /// How likely a frame is lost after one that was not.
    anew: f64,
    /// Whether the last frame was lost.
    last: Option<bool>,
    sequence: Sequence,
}

impl Loss {
    /// Of all frames, `share` are lost, `burst` in a row on average where that is more than 1.
    pub(super) fn new(share: f64, burst: f64, sequence: Sequence) -> Self {
        let (again, anew) =
            if burst > 1.0 { (1.0 - 1.0 / burst, shortest_burst(share) / burst) } else { (share, share) };
        Self { share, again, anew, last: None, sequence }
    }

    /// Whether the next frame is lost.
    pub(super) fn next(&mut self) -> bool {
        if self.share <= 0.0 {
            return false;
        }
        let likely = match self.last {
            // The first frame finds the chain as it is in the long run.
            None => self.share,
            Some(true) => self.again,
            Some(false) => self.anew,
        };
        let lost = happens(likely, &mut self.sequence);
        self.last = Some(lost);
        lost
    }
}

/// How many frames in a row are lost on average if `share` of all frames are and a single frame passes between two bursts.
pub(super) fn shortest_burst(share: f64) -> f64 {
    share / (1.0 - share)
}
