//! Shapers: what is decided by chance, what the clock adds, and that nothing makes them panic.

mod any;
mod chance;
mod clock;
mod pinned;

use std::time::{Duration, Instant};

use super::{Fate, Impairment, Passage, Shaper};
use crate::Direction;

const SEEDS: [u64; 3] = [0, 1, 0xdead_beef];

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// What becomes of `count` frames of 1000 bytes that come every `interval`, each with the time at which it comes.
fn fates(impairment: &Impairment, direction: Direction, interval: Duration, count: u32) -> Vec<(Instant, Fate)> {
    impairment.check().unwrap();
    let start = Instant::now();
    let mut shaper = Shaper::new(impairment, direction, start);
    (0..count).map(|i| start + interval * i).map(|now| (now, shaper.admit(now, 1000))).collect()
}

fn passage(fate: Fate) -> Passage {
    match fate {
        Fate::Pass(passage, None) => passage,
        fate => panic!("not one passage: {fate:?}"),
    }
}

/// Asserts that of `count` trials that succeed with probability `share` about the right number did: within five standard deviations.
fn assert_share(what: &str, hits: usize, count: u32, share: f64) {
    assert_near(what, hits, count, share, 1.0);
}

/// The same of trials that depend on each other, so that the variance is `inflation` times as high.
#[expect(clippy::cast_precision_loss, reason = "counts are small")]
fn assert_near(what: &str, hits: usize, count: u32, share: f64, inflation: f64) {
    let expected = f64::from(count) * share;
    let sigma = (expected * (1.0 - share) * inflation).sqrt();
    let off = hits as f64 - expected;
    assert!(off.abs() <= 5.0 * sigma, "{what}: {hits} of {count}, expected {expected} \u{b1} {sigma}");
}
