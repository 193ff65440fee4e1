//! Impairments as people read them.

use std::fmt;
use std::time::Duration;

use super::{Distribution, Impairment};

impl fmt::Display for Impairment {
    /// What is asked for, in the words that ask for it: `delay 50ms, jitter 10ms, loss 1%, rate 10mbit, seed 7`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        let default = Self::default();
        if self.delay != default.delay {
            words.push(format!("delay {}", time(self.delay)));
        }
        if self.jitter != default.jitter {
            let distribution = match self.distribution {
                Distribution::Uniform => "",
                Distribution::Normal => " (normal)",
                Distribution::Pareto => " (pareto)",
            };
            words.push(format!("jitter {}{distribution}", time(self.jitter)));
        }
        if self.loss > 0.0 {
            words.push(format!("loss {}", percent(self.loss)));
        }
        if self.burst > 1.0 {
            words.push(format!("burst {}", self.burst));
        }
        for (name, share) in [("duplicate", self.duplicate), ("reorder", self.reorder), ("corrupt", self.corrupt)] {
            if share > 0.0 {
                words.push(format!("{name} {}", percent(share)));
            }
        }
        if let Some(bits) = self.rate {
            words.push(format!("rate {}", rate(bits)));
        }
        if self.limit != default.limit {
            words.push(format!("limit {}", self.limit));
        }
        if let Some(seed) = self.seed {
            words.push(format!("seed {seed}"));
        }
        f.write_str(if words.is_empty() { "no impairment" } else { "" })?;
        f.write_str(&words.join(", "))
    }
}

fn time(time: Duration) -> String {
    format!("{time:?}").replace('µ', "u")
}

fn percent(share: f64) -> String {
    // Without what the binary fraction adds to it.
    let text = format!("{:.6}", share * 100.0);
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}

fn rate(bits: u64) -> String {
    for (unit, name) in [(1_000_000_000, "gbit"), (1_000_000, "mbit"), (1000, "kbit")] {
        if bits >= unit && bits.is_multiple_of(unit) {
            return format!("{}{name}", bits / unit);
        }
    }
    format!("{bits}bit")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_that_ask_for_it() {
        assert_eq!(Impairment::default().to_string(), "no impairment");
        let all = Impairment {
            delay: Duration::from_millis(50),
            jitter: Duration::from_micros(1500),
            distribution: Distribution::Normal,
            loss: 0.01,
            burst: 4.0,
            duplicate: 0.1,
            reorder: 0.005,
            corrupt: 1.0,
            rate: Some(10_000_000),
            limit: 50,
            seed: Some(7),
        };
        let text = "delay 50ms, jitter 1.5ms (normal), loss 1%, burst 4, duplicate 10%, reorder 0.5%, corrupt 100%, rate 10mbit, \
                    limit 50, seed 7";
        assert_eq!(all.to_string(), text);
        let rates =
            [1, 1500, 64_000, 2_000_000_000].map(|bits| Impairment { rate: Some(bits), ..Impairment::default() });
        let texts = rates.map(|impairment| impairment.to_string());
        assert_eq!(texts, ["rate 1bit", "rate 1500bit", "rate 64kbit", "rate 2gbit"]);
    }
}
