//! Whether an impairment makes sense.

use std::time::Duration;

use super::Impairment;
use super::loss::shortest_burst;
use crate::Error;

const HOUR: Duration = Duration::from_secs(3600);

/// A second of full frames at 12 Gbit/s, which take 1.5 GB.
const HIGHEST_LIMIT: usize = 1_000_000;

const LONGEST_BURST: f64 = 1_000_000.0;

impl Impairment {
    /// Reports the first thing that is asked for and cannot be, or would do nothing: what it is, and what to write instead.
    pub fn check(&self) -> Result<(), Error> {
        match self
            .share_fault()
            .or_else(|| self.burst_fault())
            .or_else(|| self.line_fault())
            .or_else(|| self.way_fault())
        {
            Some(fault) => Err(Error::Impairment { fault }),
            None => Ok(()),
        }
    }

    /// Whether it does nothing to any frame.
    pub fn is_none(&self) -> bool {
        let &Self { distribution, limit, seed, .. } = self;
        *self == Self { distribution, limit, seed, ..Self::default() }
    }

    fn share_fault(&self) -> Option<String> {
        let shares =
            [("loss", self.loss), ("duplicate", self.duplicate), ("reorder", self.reorder), ("corrupt", self.corrupt)];
        let (name, share) = shares.into_iter().find(|(_, share)| !(0.0..=1.0).contains(share))?;
        Some(format!("{name} {share} is no share; write a number from 0 to 1, such as 0.05 for 5 %"))
    }

    fn burst_fault(&self) -> Option<String> {
        let Self { loss, burst, .. } = *self;
        if !(1.0..=LONGEST_BURST).contains(&burst) {
            Some(format!(
                "burst {burst} is out of range; write how many frames in a row are lost on average, \
                 1 to {LONGEST_BURST}"
            ))
        } else if burst <= 1.0 {
            None
        } else if loss <= 0.0 {
            Some(format!("burst {burst} without loss loses nothing; set loss as well, or burst to 1"))
        } else if loss >= 1.0 {
            Some(format!("burst {burst} cannot be when all frames are lost; write a loss below 1, or burst 1"))
        } else if burst < shortest_burst(loss) {
            let shortest = (shortest_burst(loss) * 1000.0).ceil() / 1000.0;
            Some(format!(
                "burst {burst} is too short for loss {loss}, since at least one frame passes between two bursts; \
                 write {shortest} or more, or 1 for losses that do not depend on each other"
            ))
        } else {
            None
        }
    }

    fn line_fault(&self) -> Option<String> {
        if self.rate == Some(0) {
            Some("rate 0 lets nothing pass; write at least 1 (bit a second), or take the link down".to_owned())
        } else if self.limit == 0 {
            Some("limit 0 lets no frame wait; write at least 1, or take the link down to let nothing pass".to_owned())
        } else if self.limit > HIGHEST_LIMIT {
            Some(format!("limit {} takes too much memory; write {HIGHEST_LIMIT} frames at most", self.limit))
        } else {
            None
        }
    }

    fn way_fault(&self) -> Option<String> {
        let Self { delay, jitter, reorder, .. } = *self;
        if delay > HOUR {
            Some(format!("delay {delay:?} is too long; write {HOUR:?} at most"))
        } else if jitter > delay {
            Some(format!(
                "jitter {jitter:?} is more than delay {delay:?}, and no frame can be early by more than its delay; \
                 write a delay of at least {jitter:?}, or less jitter"
            ))
        } else if reorder > 0.0 && delay.is_zero() {
            Some(format!(
                "reorder {reorder} without delay changes nothing, for no frame is under way to be overtaken; \
                 set delay as well"
            ))
        } else if reorder >= 1.0 {
            Some(format!("reorder {reorder} sends all frames ahead and leaves none to be overtaken; write less than 1"))
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slow() -> Impairment {
        Impairment { delay: Duration::from_millis(10), ..Impairment::default() }
    }

    #[test]
    fn what_makes_sense_passes() {
        let all = Impairment {
            jitter: Duration::from_millis(10),
            loss: 0.6,
            burst: 1.5,
            duplicate: 1.0,
            reorder: 0.999,
            corrupt: 1.0,
            rate: Some(1),
            limit: 1,
            seed: Some(0),
            ..slow()
        };
        let longest = Impairment { delay: HOUR, loss: 1.0, limit: HIGHEST_LIMIT, ..Impairment::default() };
        for impairment in [Impairment::default(), slow(), all, longest] {
            impairment.check().unwrap();
        }
    }

    #[test]
    fn faults_name_the_field_the_value_and_what_to_write() {
        let long = Duration::from_secs(3601);
        let late = Duration::from_millis(11);
        for (faulty, field, cure) in [
            (Impairment { loss: 1.5, ..slow() }, "loss 1.5", "from 0 to 1"),
            (Impairment { loss: f64::NAN, ..slow() }, "loss NaN", "from 0 to 1"),
            (Impairment { duplicate: -0.1, ..slow() }, "duplicate -0.1", "from 0 to 1"),
            (Impairment { reorder: f64::INFINITY, ..slow() }, "reorder inf", "from 0 to 1"),
            (Impairment { corrupt: 1.0001, ..slow() }, "corrupt 1.0001", "from 0 to 1"),
            (Impairment { burst: 0.5, ..slow() }, "burst 0.5", "1 to 1000000"),
            (Impairment { burst: f64::NAN, ..slow() }, "burst NaN", "1 to 1000000"),
            (Impairment { burst: f64::INFINITY, ..slow() }, "burst inf", "1 to 1000000"),
            (Impairment { burst: 3.0, ..slow() }, "burst 3 without loss", "set loss"),
            (Impairment { burst: 3.0, loss: 1.0, ..slow() }, "burst 3", "a loss below 1"),
            (Impairment { burst: 1.2, loss: 0.6, ..slow() }, "burst 1.2", "write 1.5 or more"),
            (Impairment { rate: Some(0), ..slow() }, "rate 0", "at least 1"),
            (Impairment { limit: 0, ..slow() }, "limit 0", "at least 1"),
            (Impairment { limit: 1_000_001, ..slow() }, "limit 1000001", "1000000 frames at most"),
            (Impairment { delay: long, ..slow() }, "delay 3601s", "3600s at most"),
            (Impairment { jitter: late, ..slow() }, "jitter 11ms", "a delay of at least 11ms"),
            (Impairment { reorder: 0.1, ..Impairment::default() }, "reorder 0.1 without delay", "set delay"),
            (Impairment { reorder: 1.0, ..slow() }, "reorder 1 ", "less than 1"),
        ] {
            let error = faulty.check().unwrap_err().to_string();
            assert!(error.starts_with(&format!("impairment: {field}")) && error.contains(cure), "{field}: {error}");
        }
    }

    #[test]
    fn none_is_what_does_nothing() {
        assert!(Impairment::default().is_none());
        assert!(Impairment { limit: 5, seed: Some(1), ..Impairment::default() }.is_none());
        assert!(!slow().is_none());
        assert!(!Impairment { corrupt: 0.1, ..Impairment::default() }.is_none());
        assert!(!Impairment { rate: Some(1), ..Impairment::default() }.is_none());
    }
}
