//! Faults of a link: what is asked for, and what it means for each frame.

mod chance;
mod check;
mod decisions;
mod jitter;
mod line;
mod loss;
mod shaper;
mod text;
mod words;

#[cfg(test)]
mod tests;

use std::time::Duration;

#[cfg(test)]
use shaper::Passage;
pub(crate) use shaper::{Fate, Shaper};

/// What a link shall do to the frames that pass it in one direction. The default does nothing to them.
///
/// The steps are taken in the order of tc-netem(8): loss, duplication, corruption, then the line (`rate`, with its queue), then the way
/// (`delay`, `jitter`, `reorder`).
///
/// ```
/// use netbridge::Impairment;
///
/// # fn main() -> Result<(), netbridge::Error> {
/// let bad_radio = Impairment {
///     delay: Impairment::duration("50ms")?,
///     jitter: Impairment::duration("10ms")?,
///     loss: Impairment::share("1%")?,
///     rate: Some(Impairment::rate("10mbit")?),
///     seed: Some(7),
///     ..Impairment::default()
/// };
/// bad_radio.check()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Impairment {
    /// How long each frame is under way, beyond what it takes anyway; an hour at most.
    pub delay: Duration,
    /// How far the delay of a frame deviates from `delay`, at most by all of it. A frame never overtakes another because of it: where
    /// frames follow each other closely, those behind a late one are late as well.
    pub jitter: Duration,
    /// How deviations are distributed.
    pub distribution: Distribution,
    /// Share of frames that are lost, 0 to 1.
    pub loss: f64,
    /// How many frames in a row are lost on average: losses come in bursts (Gilbert's model), and `loss` stays their share. With 1, each
    /// frame is lost or not whatever became of the one before.
    pub burst: f64,
    /// Share of frames that arrive twice, 0 to 1.
    pub duplicate: f64,
    /// Share of frames that are sent without any delay, ahead of those that wait, 0 to 1.
    pub reorder: f64,
    /// Share of frames in which one bit is flipped, 0 to 1. Checksums are computed before.
    pub corrupt: f64,
    /// Bits a second that pass the line, one frame after another.
    pub rate: Option<u64>,
    /// How many frames may be queued or under way; what comes on top is dropped.
    pub limit: usize,
    /// Makes the sequence of decisions repeatable: the n-th frame since this was asked meets the same fate in each run. Each kind of
    /// decision has a sequence of its own, and each direction, so that the same frames are lost when some are doubled besides.
    pub seed: Option<u64>,
}

/// How jitter is distributed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Distribution {
    /// Every deviation up to `jitter`, in either direction, is as likely as another.
    #[default]
    Uniform,
    /// `jitter` is the standard deviation. A delay is never below nothing.
    Normal,
    /// Most frames are a little early, few are very late; `jitter` is the standard deviation. The shape is 3, that of tc-netem(8).
    Pareto,
}

impl Default for Impairment {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            distribution: Distribution::default(),
            loss: 0.0,
            burst: 1.0,
            duplicate: 0.0,
            reorder: 0.0,
            corrupt: 0.0,
            rate: None,
            limit: 1000,
            seed: None,
        }
    }
}
