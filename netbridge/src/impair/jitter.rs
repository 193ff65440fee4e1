//! How long a frame is under way.

use std::time::Duration;

use rand::RngExt;
use rand_distr::{Pareto, StandardNormal, StandardUniform};

use super::chance::Sequence;
use super::{Distribution, Impairment};

/// The shape of Pareto's distribution, and what follows from it for a scale of 1. The standard deviation is finite from 2 on.
const SHAPE: f64 = 3.0;
const MEAN: f64 = SHAPE / (SHAPE - 1.0);
const VARIANCE: f64 = MEAN / ((SHAPE - 1.0) * (SHAPE - 2.0));

/// Draws delays.
#[derive(Clone, Debug)]
pub(super) struct Delays {
    delay: Duration,
    jitter: Duration,
    distribution: Distribution,
    sequence: Sequence,
}

impl Delays {
    pub(super) fn new(impairment: &Impairment, sequence: Sequence) -> Self {
        let &Impairment { delay, jitter, distribution, .. } = impairment;
        Self { delay, jitter, distribution, sequence }
    }

    /// The next frame's delay.
    pub(super) fn next(&mut self) -> Duration {
        if self.jitter.is_zero() {
            return self.delay;
        }
        let seconds = self.delay.as_secs_f64() + self.jitter.as_secs_f64() * self.deviation();
        Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(self.delay)
    }

    /// A deviation in units of the jitter; 0 on average.
    fn deviation(&mut self) -> f64 {
        match self.distribution {
            Distribution::Uniform => 2.0 * self.sequence.sample::<f64, _>(StandardUniform) - 1.0,
            Distribution::Normal => self.sequence.sample(StandardNormal),
            Distribution::Pareto => {
                let pareto = Pareto::new(1.0, SHAPE).expect("scale and shape are positive");
                (self.sequence.sample(pareto) - MEAN) / VARIANCE.sqrt()
            }
        }
    }
}
