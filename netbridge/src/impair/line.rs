//! The line: frames leave it one after another, at its rate.

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

const NANOS: u128 = 1_000_000_000;

/// When the line has sent what it was given.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    rate: Option<NonZeroU64>,
    free: Instant,
    /// What rounding to whole nanoseconds left to send, in bits times nanoseconds a second. Without it, short frames on a fast line
    /// would be sent too fast.
    rest: u128,
}

impl Line {
    /// A line with nothing to send; without a rate it takes no time.
    pub(super) fn new(rate: Option<u64>, now: Instant) -> Self {
        Self { rate: rate.and_then(NonZeroU64::new), free: now, rest: 0 }
    }

    /// When all it was given has left.
    pub(super) fn free(&self) -> Instant {
        self.free
    }

    /// The line after it was also given a frame of `length` bytes at `now`.
    #[must_use]
    pub(super) fn with(self, now: Instant, length: usize) -> Self {
        let Some(rate) = self.rate else { return Self { free: now, ..self } };
        let (start, rest) = if self.free >= now { (self.free, self.rest) } else { (now, 0) };
        let work = length as u128 * 8 * NANOS + rest;
        let rate = u128::from(rate.get());
        let nanos = u64::try_from(work / rate).unwrap_or(u64::MAX);
        Self { free: later(start, Duration::from_nanos(nanos)), rest: work % rate, ..self }
    }
}

/// `wait` after `instant`; `instant` itself where the clock does not go that far.
pub(super) fn later(instant: Instant, wait: Duration) -> Instant {
    instant.checked_add(wait).unwrap_or(instant)
}
