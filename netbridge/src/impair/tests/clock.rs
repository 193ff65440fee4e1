//! When frames are due: the line, the way, the limit, and changes on the go.

use std::time::{Duration, Instant};

use super::{Fate, Impairment, Passage, SEEDS, Shaper, assert_share, fates, ms, passage};
use crate::{Direction, Distribution};

fn shaper(impairment: &Impairment) -> (Shaper, Instant) {
    impairment.check().unwrap();
    let now = Instant::now();
    (Shaper::new(impairment, Direction::Out, now), now)
}

fn delays(impairment: &Impairment, interval: Duration, count: u32) -> Vec<f64> {
    let fates = fates(impairment, Direction::Out, interval, count);
    fates.into_iter().map(|(now, fate)| (passage(fate).due - now).as_secs_f64()).collect()
}

fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    let count = f64::from(u32::try_from(values.len()).unwrap());
    let mean = values.iter().sum::<f64>() / count;
    (mean, (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt())
}

#[test]
fn a_frame_of_which_nothing_is_asked_is_due_at_once() {
    let (mut shaper, now) = shaper(&Impairment { limit: 1, ..Impairment::default() });
    for _ in 0..10 {
        let at_once = Passage { due: now, corrupt: None, reordered: false };
        assert_eq!(shaper.admit(now, 1500), Fate::Pass(at_once, None));
    }
}

#[test]
fn a_delay_is_the_same_for_all_frames() {
    let impairment = Impairment { delay: ms(50), ..Impairment::default() };
    for (now, fate) in fates(&impairment, Direction::In, ms(1), 1000) {
        assert_eq!(passage(fate).due, now + ms(50));
    }
}

#[test]
fn jitter_has_its_mean_and_deviation() {
    for seed in SEEDS {
        // The sample's deviation is all the less sure the heavier the tail.
        for (distribution, deviation, tolerance) in [
            (Distribution::Uniform, 0.010 / 3_f64.sqrt(), 0.02),
            (Distribution::Normal, 0.010, 0.02),
            (Distribution::Pareto, 0.010, 0.25),
        ] {
            let (delay, jitter) = (ms(50), ms(10));
            let impairment = Impairment { delay, jitter, distribution, seed: Some(seed), ..Impairment::default() };
            // So far apart that none waits for another.
            let delays = delays(&impairment, Duration::from_secs(100), 100_000);
            let (mean, measured) = mean_and_deviation(&delays);
            assert!((mean - 0.050).abs() < 0.0002, "{distribution:?}, seed {seed}: mean {mean}");
            let off = (measured / deviation - 1.0).abs();
            assert!(off < tolerance, "{distribution:?}, seed {seed}: deviation {measured}");

            let within = delays.iter().filter(|&&delay| (0.040..=0.060).contains(&delay)).count();
            let early = delays.iter().filter(|&&delay| delay < 0.050).count();
            match distribution {
                Distribution::Uniform => assert_eq!(within, delays.len()),
                Distribution::Normal => assert!((67_000..69_500).contains(&within), "{within} within one deviation"),
                Distribution::Pareto => assert!((68_000..73_000).contains(&early), "{early} are early"),
            }
        }
    }
}

#[test]
fn no_delay_is_below_nothing() {
    let (delay, jitter, distribution) = (ms(10), ms(10), Distribution::Normal);
    let impairment = Impairment { delay, jitter, distribution, seed: Some(1), ..Impairment::default() };
    let delays = delays(&impairment, Duration::from_secs(100), 100_000);
    let none = delays.iter().filter(|&&delay| delay <= 0.0).count();
    // What is early by more than one deviation.
    assert_share("without delay", none, 100_000, 0.158_655);
}

#[test]
fn jitter_keeps_the_order_of_frames() {
    for distribution in [Distribution::Uniform, Distribution::Normal, Distribution::Pareto] {
        let impairment = Impairment {
            delay: ms(50),
            jitter: ms(50),
            distribution,
            duplicate: 0.1,
            limit: 100_000,
            ..Impairment::default()
        };
        let mut last = None;
        let mut waited = 0;
        for (now, fate) in fates(&impairment, Direction::Out, Duration::from_micros(100), 20_000) {
            let Fate::Pass(passage, double) = fate else { panic!("{fate:?}") };
            for Passage { due, .. } in std::iter::once(passage).chain(double) {
                assert!(due >= now && last.is_none_or(|last| due >= last), "{distribution:?}");
                waited += usize::from(last == Some(due));
                last = Some(due);
            }
        }
        assert!(waited > 1000, "{distribution:?}: {waited} waited for another");
    }
}

#[test]
fn reordered_frames_overtake_those_that_wait() {
    let impairment = Impairment { delay: ms(50), reorder: 0.5, rate: Some(8_000_000), ..Impairment::default() };
    let mut last = None;
    let mut overtaking = 0;
    for (now, fate) in fates(&impairment, Direction::Out, ms(2), 1000) {
        let Passage { due, reordered, .. } = passage(fate);
        if reordered {
            // The line takes a millisecond for them, too.
            assert_eq!(due, now + ms(1));
            overtaking += usize::from(last.is_some_and(|last| due < last));
        } else {
            assert_eq!(due, now + ms(51));
            last = Some(due);
        }
    }
    assert!(overtaking > 300, "{overtaking} overtook another");
}

#[test]
fn frames_that_wait_keep_their_order_when_others_overtake_them() {
    let impairment = Impairment { delay: ms(50), jitter: ms(50), reorder: 0.5, ..Impairment::default() };
    let mut last = None;
    for (now, fate) in fates(&impairment, Direction::Out, ms(1), 1000) {
        let Passage { due, reordered, .. } = passage(fate);
        if reordered {
            assert_eq!(due, now);
        } else {
            assert!(last.is_none_or(|last| due >= last));
            last = Some(due);
        }
    }
}

#[test]
fn frames_leave_the_line_at_its_rate() {
    let (mut shaper, now) = shaper(&Impairment { rate: Some(1_000_000), delay: ms(5), ..Impairment::default() });
    for i in 1..=100 {
        assert_eq!(passage(shaper.admit(now, 1250)).due, now + ms(10) * i + ms(5));
    }
    // A line that was idle begins when the next frame comes.
    let later = now + ms(2000);
    assert_eq!(passage(shaper.admit(later, 125)).due, later + ms(1) + ms(5));
}

#[test]
fn parts_of_nanoseconds_add_up() {
    // 51.2 ns a frame.
    let (mut shaper, now) =
        shaper(&Impairment { rate: Some(10_000_000_000), limit: 1_000_000, ..Impairment::default() });
    let last = (0..1_000_000).map(|_| passage(shaper.admit(now, 64)).due).last();
    assert_eq!(last, Some(now + Duration::from_micros(51_200)));
}

#[test]
fn both_copies_of_a_doubled_frame_take_the_line() {
    let (mut shaper, now) = shaper(&Impairment { rate: Some(8_000_000), duplicate: 1.0, ..Impairment::default() });
    let Fate::Pass(first, Some(double)) = shaper.admit(now, 1000) else { panic!("not doubled") };
    assert_eq!((first.due, double.due), (now + ms(1), now + ms(2)));
}

#[test]
fn frames_beyond_the_limit_are_dropped() {
    for impairment in [
        Impairment { rate: Some(8_000_000), limit: 100, ..Impairment::default() },
        Impairment { delay: ms(100), limit: 100, ..Impairment::default() },
    ] {
        let (mut shaper, now) = shaper(&impairment);
        let mut dropped = |now| (0..150).filter(|_| shaper.admit(now, 1000) == Fate::Overflowed).count();
        assert_eq!(dropped(now), 50);
        // Nothing left the way, and half of it the line.
        let room = if impairment.rate.is_some() { 50 } else { 0 };
        assert_eq!(dropped(now + ms(50)), 150 - room);
        assert_eq!(dropped(now + ms(1000)), 50);
    }
}

#[test]
fn a_dropped_frame_takes_no_time_of_the_line() {
    let (mut shaper, now) = shaper(&Impairment { rate: Some(8_000_000), limit: 1, ..Impairment::default() });
    passage(shaper.admit(now, 1000));
    for _ in 0..10 {
        assert_eq!(shaper.admit(now, 1000), Fate::Overflowed);
    }
    assert_eq!(passage(shaper.admit(now + ms(1), 1000)).due, now + ms(2));
}

#[test]
fn a_frame_is_not_doubled_where_there_is_room_for_one() {
    let (mut shaper, now) = shaper(&Impairment { delay: ms(1), duplicate: 1.0, limit: 1, ..Impairment::default() });
    assert_eq!(passage(shaper.admit(now, 1000)).due, now + ms(1));
    assert_eq!(shaper.admit(now, 1000), Fate::Overflowed);
}

#[test]
fn a_new_delay_holds_at_once() {
    let slow = Impairment { delay: Duration::from_secs(10), limit: 2, ..Impairment::default() };
    let (mut shaper, now) = shaper(&slow);
    passage(shaper.admit(now, 1000));
    shaper.set(&Impairment { delay: ms(1), ..slow.clone() }, now);
    assert_eq!(passage(shaper.admit(now, 1000)).due, now + ms(1));
    // Those that are still under way count.
    assert_eq!(shaper.admit(now, 1000), Fate::Overflowed);
    shaper.set(&Impairment::default(), now);
    assert_eq!(passage(shaper.admit(now, 1000)).due, now);
}

#[test]
fn a_new_rate_holds_at_once_and_the_same_rate_goes_on() {
    let slow = Impairment { rate: Some(8_000), ..Impairment::default() };
    let (mut shaper, now) = shaper(&slow);
    assert_eq!(passage(shaper.admit(now, 1000)).due, now + ms(1000));
    shaper.set(&Impairment { delay: ms(5), ..slow.clone() }, now);
    assert_eq!(passage(shaper.admit(now, 1000)).due, now + ms(2005));
    shaper.set(&Impairment { rate: Some(8_000_000), ..slow }, now);
    assert_eq!(passage(shaper.admit(now, 1000)).due, now + ms(1));
}

#[test]
fn a_change_of_another_setting_lets_no_frame_overtake() {
    let mut late = Impairment { delay: ms(50), jitter: ms(50), limit: 10_000, ..Impairment::default() };
    let (mut shaper, now) = shaper(&late);
    let mut last = now;
    for seed in 0..1000 {
        late.seed = Some(seed);
        shaper.set(&late, now);
        let due = passage(shaper.admit(now, 1000)).due;
        assert!(due >= last);
        last = due;
    }
}

#[test]
fn a_change_begins_the_seeds_sequence_anew() {
    let lossy = Impairment { loss: 0.5, seed: Some(9), ..Impairment::default() };
    let (mut shaper, now) = shaper(&lossy);
    let mut losses = || -> Vec<Fate> {
        shaper.set(&lossy, now);
        (0..100).map(|_| shaper.admit(now, 1000)).collect()
    };
    assert_eq!(losses(), losses());
}
