//! Whatever is asked, and whatever the clock says, no shaper panics or holds more than it may.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{Fate, Impairment, Shaper};
use crate::{Direction, Distribution};

fn any_share() -> impl Strategy<Value = f64> {
    prop_oneof![4 => Just(0.0), 8 => 0.0..=1.0, 1 => Just(1.0), 1 => any::<f64>()]
}

fn any_wait() -> impl Strategy<Value = Duration> {
    prop_oneof![
        2 => Just(Duration::ZERO),
        8 => (0..3_600_000_000_000_u64).prop_map(Duration::from_nanos),
        1 => any::<Duration>(),
    ]
}

fn any_impairment() -> impl Strategy<Value = Impairment> {
    let distribution = prop_oneof![Just(Distribution::Uniform), Just(Distribution::Normal), Just(Distribution::Pareto)];
    let burst = prop_oneof![2 => Just(1.0), 2 => 1.0..20.0, 1 => any::<f64>()];
    let rate = prop_oneof![Just(None), (0..1_000_u64).prop_map(Some), any::<u64>().prop_map(Some)];
    let limit = prop_oneof![8 => 0..20_usize, 1 => any::<usize>()];
    let shares = (any_share(), any_share(), any_share(), any_share());
    let way = (any_wait(), any_wait(), distribution);
    (shares, way, burst, rate, limit, any::<Option<u64>>()).prop_map(
        |((loss, duplicate, reorder, corrupt), (delay, jitter, distribution), burst, rate, limit, seed)| {
            // Often enough less than the delay.
            let jitter = if jitter > delay && jitter.subsec_nanos() % 4 > 0 { delay } else { jitter };
            Impairment { delay, jitter, distribution, loss, burst, duplicate, reorder, corrupt, rate, limit, seed }
        },
    )
}

fn any_clock() -> impl Strategy<Value = Instant> {
    let base = Instant::now();
    any_wait().prop_map(move |wait| base.checked_add(wait).unwrap_or(base))
}

fn frames() -> impl Strategy<Value = Vec<(Instant, usize)>> {
    proptest::collection::vec((any_clock(), 0..=65536_usize), 0..60)
}

/// What holds for each frame that passes: it is not due before it comes, and what is due later fits the limit.
fn run(shaper: &mut Shaper, frames: &[(Instant, usize)], limit: usize) -> Result<(), TestCaseError> {
    let mut dues = Vec::new();
    for &(now, length) in frames {
        if let Fate::Pass(passage, double) = shaper.admit(now, length) {
            for passage in std::iter::once(passage).chain(double) {
                prop_assert!(passage.due >= now);
                dues.push(passage.due);
            }
        }
        dues.retain(|due| *due > now);
        prop_assert!(dues.len() <= limit, "{} are under way, {limit} may be", dues.len());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn what_passes_the_check_is_carried_out(
        first in any_impairment().prop_filter("refused", |it| it.check().is_ok()),
        second in any_impairment().prop_filter("refused", |it| it.check().is_ok()),
        start in any_clock(),
        frames in frames(),
        after in frames(),
    ) {
        let mut shaper = Shaper::new(&first, Direction::In, start);
        run(&mut shaper, &frames, first.limit)?;
        shaper.set(&second, start);
        run(&mut shaper, &after, second.limit)?;
    }

    #[test]
    fn what_does_not_pass_it_cannot_cause_a_panic_either(
        any in any_impairment(),
        start in any_clock(),
        frames in frames(),
    ) {
        if let Err(error) = any.check() {
            prop_assert!(error.to_string().contains("write ") || error.to_string().contains("set "), "{error}");
        }
        let mut shaper = Shaper::new(&any, Direction::Out, start);
        run(&mut shaper, &frames, any.limit)?;
    }
}
