//! What is wrong with a network, in words for the record.

use netbridge::{Distribution, Impairment};

use super::Direction;

/// Units of a rate, the largest first.
const RATES: [(&str, u64); 3] = [("gbit", 1_000_000_000), ("mbit", 1_000_000), ("kbit", 1_000)];

pub(super) fn partition(groups: &[Vec<&str>]) -> String {
    let groups: Vec<_> = groups.iter().map(|group| group.join(", ")).collect();
    format!("partition: {}", groups.join(" | "))
}

pub(super) fn partition_one_way(from: &[&str], to: &[&str]) -> String {
    format!("partition: nothing from {} to {}", from.join(", "), to.join(", "))
}

/// What is asked for that differs from a link as it should be.
pub(super) fn impairment(asked: &Impairment, direction: Direction) -> String {
    let usual = Impairment::default();
    let mut parts = Vec::new();
    let mut add = |name: &str, differs: bool, value: String| {
        if differs {
            parts.push(format!("{name} {value}"));
        }
    };
    add("delay", asked.delay != usual.delay, format!("{:?}", asked.delay));
    add("jitter", asked.jitter != usual.jitter, format!("{:?}{}", asked.jitter, distribution(asked.distribution)));
    add("loss", asked.loss > 0.0, share(asked.loss));
    add("burst", asked.burst > 1.0, asked.burst.to_string());
    add("duplicate", asked.duplicate > 0.0, share(asked.duplicate));
    add("reorder", asked.reorder > 0.0, share(asked.reorder));
    add("corrupt", asked.corrupt > 0.0, share(asked.corrupt));
    add("rate", asked.rate.is_some(), asked.rate.map(rate).unwrap_or_default());
    add("limit", asked.limit != usual.limit, asked.limit.to_string());
    add("seed", asked.seed.is_some(), asked.seed.unwrap_or_default().to_string());
    let direction = match direction {
        Direction::Both => "out and in",
        Direction::Out => "out",
        Direction::In => "in",
    };
    let parts = if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") };
    format!("{parts} ({direction})")
}

fn distribution(distribution: Distribution) -> &'static str {
    match distribution {
        Distribution::Uniform => "",
        Distribution::Normal => " normal",
        Distribution::Pareto => " pareto",
    }
}

fn share(share: f64) -> String {
    // What multiplication adds to 0.07 is far behind the sixth place.
    let percent = format!("{:.6}", share * 100.0);
    format!("{}%", percent.trim_end_matches('0').trim_end_matches('.'))
}

fn rate(bits: u64) -> String {
    let fits = RATES.iter().find(|(_, unit)| bits >= *unit && bits.is_multiple_of(*unit));
    fits.map_or_else(|| format!("{bits}bit"), |(name, unit)| format!("{}{name}", bits / unit))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_what_is_asked_for_is_told() {
        let both = |asked: &Impairment| impairment(asked, Direction::Both);
        let usual = Impairment::default();
        assert_eq!(both(&usual), "nothing (out and in)");
        let slow = Impairment {
            delay: Duration::from_millis(50),
            jitter: Duration::from_millis(10),
            loss: 0.01,
            rate: Some(10_000_000),
            seed: Some(7),
            ..usual.clone()
        };
        assert_eq!(both(&slow), "delay 50ms, jitter 10ms, loss 1%, rate 10mbit, seed 7 (out and in)");
        let odd = Impairment {
            delay: Duration::from_micros(1500),
            jitter: Duration::from_micros(250),
            distribution: Distribution::Pareto,
            loss: 0.07,
            burst: 2.5,
            duplicate: 1.0,
            reorder: 0.0025,
            corrupt: 0.001,
            rate: Some(1_500),
            limit: 10,
            seed: Some(0),
        };
        assert_eq!(
            impairment(&odd, Direction::In),
            "delay 1.5ms, jitter 250µs pareto, loss 7%, burst 2.5, duplicate 100%, reorder 0.25%, corrupt 0.1%, rate 1500bit, limit 10, seed 0 (in)"
        );
    }

    #[test]
    fn groups_are_told_apart() {
        assert_eq!(partition(&[vec!["a", "b"], vec!["c"]]), "partition: a, b | c");
        assert_eq!(partition_one_way(&["a", "b"], &["c"]), "partition: nothing from a, b to c");
    }
}
