//! Faults of a link: what is asked for.

use std::time::Duration;

/// What a link shall do to the frames that pass it in one direction. The default does nothing to them.
///
/// The steps are taken in the order of tc-netem(8): loss, duplication, corruption, then the line (`rate`, with its queue), then the way
/// (`delay`, `jitter`, `reorder`).
#[derive(Clone, Debug, PartialEq)]
pub struct Impairment {
    /// How long each frame is under way, beyond what it takes anyway.
    pub delay: Duration,
    /// How far the delay of a frame deviates from `delay`. A frame never overtakes another because of it.
    pub jitter: Duration,
    /// How deviations are distributed.
    pub distribution: Distribution,
    /// Share of frames that are lost, 0 to 1.
    pub loss: f64,
    /// How many frames in a row are lost on average, at least 1: losses come in bursts (Gilbert's model), and `loss` stays their share.
    pub burst: f64,
    /// Share of frames that arrive twice, 0 to 1.
    pub duplicate: f64,
    /// Share of frames that are sent without any delay, ahead of those that wait, 0 to 1.
    pub reorder: f64,
    /// Share of frames in which one bit is flipped, 0 to 1. Checksums are computed before.
    pub corrupt: f64,
    /// Bits a second that pass the line.
    pub rate: Option<u64>,
    /// How many frames may be queued or under way; what comes on top is dropped.
    pub limit: usize,
    /// Makes the sequence of decisions repeatable: the n-th frame meets the same fate in each run.
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
    /// Most frames are a little early, few are very late; `jitter` is the standard deviation.
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
