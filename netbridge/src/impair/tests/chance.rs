//! What is decided by chance: shares, bursts, and that settings do not disturb each other.

use std::time::Duration;

use super::super::decisions::{Decisions, Verdict};
use super::{Fate, SEEDS, assert_near, assert_share, fates, ms};
use crate::{Direction, Distribution, Impairment};

const COUNT: u32 = 100_000;

fn losses(impairment: &Impairment, direction: Direction, count: u32) -> Vec<bool> {
    fates(impairment, direction, ms(1), count).into_iter().map(|(_, fate)| fate == Fate::Lost).collect()
}

fn verdicts(impairment: &Impairment) -> Vec<Verdict> {
    let mut decisions = Decisions::new(impairment, Direction::Out);
    (0..2000).map(|_| decisions.next()).collect()
}

fn count(which: impl IntoIterator<Item = bool>) -> usize {
    which.into_iter().filter(|&it| it).count()
}

/// The lengths of the runs of losses.
fn bursts(losses: &[bool]) -> Vec<usize> {
    losses.chunk_by(|a, b| a == b).filter(|run| run[0]).map(<[bool]>::len).collect()
}

#[expect(clippy::cast_precision_loss, reason = "counts are small")]
fn mean(lengths: &[usize]) -> f64 {
    lengths.iter().sum::<usize>() as f64 / lengths.len() as f64
}

#[test]
fn losses_have_their_share() {
    for seed in SEEDS {
        for loss in [0.001, 0.01, 0.1, 0.5, 0.9] {
            let impairment = Impairment { loss, seed: Some(seed), ..Impairment::default() };
            for direction in [Direction::Out, Direction::In] {
                let lost = count(losses(&impairment, direction, COUNT));
                assert_share(&format!("loss {loss}, seed {seed}, {direction:?}"), lost, COUNT, loss);
            }
        }
    }
}

#[test]
fn a_share_of_0_is_never_and_one_of_1_is_always() {
    let none = Impairment { seed: Some(1), ..Impairment::default() };
    assert_eq!(count(losses(&none, Direction::Out, COUNT)), 0);
    let all = Impairment { loss: 1.0, ..none };
    assert_eq!(count(losses(&all, Direction::Out, 1000)), 1000);
}

#[test]
fn single_losses_do_not_depend_on_each_other() {
    let impairment = Impairment { loss: 0.3, seed: Some(5), ..Impairment::default() };
    let length = mean(&bursts(&losses(&impairment, Direction::Out, COUNT)));
    assert!((length - 1.0 / 0.7).abs() < 0.03, "{length}");
}

#[test]
fn bursts_have_their_length_and_losses_their_share() {
    for seed in SEEDS {
        for (loss, burst) in [(0.05, 4.0), (0.3, 10.0), (0.6, 1.5), (0.01, 1.5)] {
            let impairment = Impairment { loss, burst, seed: Some(seed), ..Impairment::default() };
            let what = format!("loss {loss}, burst {burst}, seed {seed}");
            let losses = losses(&impairment, Direction::Out, 400_000);
            // The chain's second eigenvalue says how far neighbours depend on each other.
            let eigenvalue = 1.0 - 1.0 / burst - loss / (1.0 - loss) / burst;
            assert_near(&what, count(losses.iter().copied()), 400_000, loss, (1.0 + eigenvalue) / (1.0 - eigenvalue));

            let lengths = bursts(&losses);
            let sigma =
                (burst * (burst - 1.0)).sqrt() * (1.0 / f64::from(u32::try_from(lengths.len()).unwrap())).sqrt();
            assert!((mean(&lengths) - burst).abs() < 5.0 * sigma, "{what}: {} long", mean(&lengths));
        }
    }
}

#[test]
fn the_first_frame_is_lost_as_often_as_any() {
    let first = |seed| {
        let impairment = Impairment { loss: 0.2, burst: 20.0, seed: Some(seed), ..Impairment::default() };
        losses(&impairment, Direction::In, 1)[0]
    };
    assert_share("first frame of each seed", count((0..20_000).map(first)), 20_000, 0.2);
}

#[test]
fn copies_are_doubled_reordered_and_corrupted_as_often_as_asked() {
    for seed in SEEDS {
        let impairment = Impairment {
            delay: ms(1),
            duplicate: 0.1,
            reorder: 0.25,
            corrupt: 0.02,
            seed: Some(seed),
            ..Impairment::default()
        };
        let passages = fates(&impairment, Direction::Out, ms(5), COUNT).into_iter().map(|(_, fate)| match fate {
            Fate::Pass(passage, double) => (passage, double),
            fate => panic!("nothing is lost here: {fate:?}"),
        });
        let (first, doubles): (Vec<_>, Vec<_>) = passages.unzip();
        let doubles: Vec<_> = doubles.into_iter().flatten().collect();
        assert_share("doubled", doubles.len(), COUNT, 0.1);
        for copies in [&first, &doubles] {
            let all = u32::try_from(copies.len()).unwrap();
            assert_share("reordered", count(copies.iter().map(|copy| copy.reordered)), all, 0.25);
            assert_share("corrupted", count(copies.iter().map(|copy| copy.corrupt.is_some())), all, 0.02);
        }
        // Each half of the bits of a frame is hit as often as the other.
        let hits: Vec<u64> = first.iter().filter_map(|copy| copy.corrupt).collect();
        let front = count(hits.iter().map(|number| number % 12_000 < 6_000));
        assert_share("hits in front", front, u32::try_from(hits.len()).unwrap(), 0.5);
    }
}

#[test]
fn a_seed_gives_one_sequence_for_each_direction() {
    let with = |seed, direction| losses(&Impairment { loss: 0.5, seed, ..Impairment::default() }, direction, 1000);
    let out = with(Some(7), Direction::Out);
    assert_eq!(out, with(Some(7), Direction::Out));
    for other in [with(Some(7), Direction::In), with(Some(8), Direction::Out), with(None, Direction::Out)] {
        let same = count(out.iter().zip(&other).map(|(a, b)| a == b));
        assert_share("agreement", same, 1000, 0.5);
    }
    assert_ne!(with(None, Direction::Out), with(None, Direction::Out));
}

#[test]
fn sequences_of_a_seed_are_independent() {
    for seed in SEEDS {
        let half = Impairment {
            delay: ms(2),
            jitter: ms(1),
            loss: 0.5,
            duplicate: 0.5,
            reorder: 0.5,
            corrupt: 0.5,
            seed: Some(seed),
            ..Impairment::default()
        };
        let of = |direction| {
            let mut decisions = Decisions::new(&half, direction);
            (0..COUNT).map(move |_| {
                let Verdict { lost, twice, copies: [copy, _] } = decisions.next();
                [lost, twice, copy.reordered, copy.corrupt.is_some(), copy.delay < ms(2)]
            })
        };
        let rows: Vec<Vec<bool>> =
            of(Direction::Out).zip(of(Direction::In)).map(|(out, r#in)| [out, r#in].concat()).collect();
        for a in 0..10 {
            for b in a + 1..10 {
                let same = count(rows.iter().map(|row| row[a] == row[b]));
                assert_share(&format!("agreement of {a} and {b}, seed {seed}"), same, COUNT, 0.5);
            }
        }
    }
}

#[test]
fn no_setting_changes_what_another_decides() {
    let base = Impairment {
        delay: ms(10),
        jitter: ms(5),
        distribution: Distribution::Normal,
        loss: 0.3,
        burst: 2.0,
        duplicate: 0.3,
        reorder: 0.3,
        corrupt: 0.3,
        seed: Some(3),
        ..Impairment::default()
    };
    let all = verdicts(&base);
    for other in [
        Impairment { loss: 0.0, burst: 1.0, ..base.clone() },
        Impairment { duplicate: 0.0, ..base.clone() },
        Impairment { reorder: 0.0, ..base.clone() },
        Impairment { corrupt: 0.0, ..base.clone() },
        Impairment { jitter: Duration::ZERO, ..base.clone() },
        Impairment { rate: Some(1), limit: 1, ..base.clone() },
    ] {
        for (mut a, mut b) in all.iter().copied().zip(verdicts(&other)) {
            // What was changed may differ; everything else is the same.
            for verdict in [&mut a, &mut b] {
                verdict.lost &= other.loss > 0.0;
                verdict.twice &= other.duplicate > 0.0;
                for copy in &mut verdict.copies {
                    copy.reordered &= other.reorder > 0.0;
                    copy.corrupt = copy.corrupt.filter(|_| other.corrupt > 0.0);
                    copy.delay = if other.jitter.is_zero() { other.delay } else { copy.delay };
                }
            }
            assert_eq!(a, b, "{other:?}");
        }
    }
}

#[test]
fn the_clock_and_the_queue_change_nothing_that_is_decided() {
    let base = Impairment { loss: 0.5, duplicate: 0.5, seed: Some(11), ..Impairment::default() };
    let narrow = Impairment { rate: Some(1000), limit: 1, ..base.clone() };
    assert!(fates(&narrow, Direction::Out, ms(1), 1000).iter().any(|(_, fate)| *fate == Fate::Overflowed));
    assert_eq!(losses(&base, Direction::Out, 1000), losses(&narrow, Direction::Out, 1000));
}
