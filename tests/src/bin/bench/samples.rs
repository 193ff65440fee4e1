//! Measured values of one thing.

use std::time::Duration;

use serde::Serialize;

/// Values in milliseconds, or whatever else the row says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(Vec<f64>);

/// Which values are the bad ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Worst {
    /// Those of times and sizes.
    Most,
    /// Those of rates.
    Least,
}

/// What is told of samples.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Summary {
    pub(crate) n: usize,
    pub(crate) p50: f64,
    /// Of fewer than a hundred values it is the worst.
    pub(crate) p99: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Samples {
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    pub(crate) fn time(&mut self, time: Duration) {
        self.push(time.as_secs_f64() * 1e3);
    }

    /// None of nothing.
    pub(crate) fn summary(&self, worst: Worst) -> Option<Summary> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        if worst == Worst::Least {
            sorted.reverse();
        }
        Some(Summary { n: sorted.len(), p50: rank(&sorted, 50), p99: rank(&sorted, 99), min, max })
    }
}

impl Extend<f64> for Samples {
    fn extend<T: IntoIterator<Item = f64>>(&mut self, values: T) {
        self.0.extend(values);
    }
}

/// The first value, from the best, that is no better than so many percent of all.
fn rank(sorted: &[f64], percent: usize) -> f64 {
    let count = (sorted.len() * percent).div_ceil(100);
    sorted[count.clamp(1, sorted.len()) - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(values: impl IntoIterator<Item = f64>) -> Summary {
        let mut samples = Samples::default();
        samples.extend(values);
        samples.summary(Worst::Most).unwrap()
    }

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let hundred = summary((1..=100).rev().map(f64::from));
        assert_eq!((hundred.n, hundred.p50, hundred.p99, hundred.max), (100, 50.0, 99.0, 100.0));
        let three = summary([9.0, 1.0, 2.0]);
        assert_eq!((three.min, three.p50, three.p99), (1.0, 2.0, 9.0));
        assert!(Samples::default().summary(Worst::Most).is_none());
    }

    #[test]
    fn of_rates_the_least_are_the_worst() {
        let mut samples = Samples::default();
        samples.extend((1..=100).map(f64::from));
        let rates = samples.summary(Worst::Least).unwrap();
        assert_eq!((rates.p50, rates.p99, rates.min, rates.max), (51.0, 2.0, 1.0, 100.0));
    }
}
