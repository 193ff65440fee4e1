//! What seeds mean. These numbers never change: who has chosen a seed for what it does gets the same from later releases.

use rand::Rng;

use super::super::chance::{Decision, sequence};
use super::super::decisions::Decisions;
use super::{Impairment, ms};
use crate::{Direction, Distribution};

#[test]
fn sequences() {
    use Direction::{In, Out};
    for (seed, direction, decision, expected) in [
        (0, Out, Decision::Loss, [0x20ac_3121_0434_eebd, 0x561b_9cab_76e1_5310]),
        (7, Out, Decision::Loss, [0xb345_3962_e407_ef56, 0x9667_3cbb_b41b_1c0a]),
        (7, In, Decision::Loss, [0xc8b9_0df2_b7df_9656, 0x4e00_03ba_cb45_e0ea]),
        (7, Out, Decision::Duplicate, [0xe54b_d4d9_757f_acf0, 0x0deb_44bf_777a_9f3c]),
        (7, In, Decision::Corrupt, [0xd422_bf09_8fb9_c724, 0x00b9_3231_effb_7472]),
        (7, Out, Decision::Reorder, [0xc7f5_6f84_c062_86a0, 0x9a56_dca8_d5c1_32a7]),
        (u64::MAX, In, Decision::Jitter, [0x7435_1c80_999a_f6e7, 0x03f3_1cad_6260_2a5b]),
    ] {
        let mut sequence = sequence(seed, direction, decision);
        let numbers = [sequence.next_u64(), sequence.next_u64()];
        assert_eq!(numbers, expected, "{seed}, {direction:?}, {decision:?}: {numbers:#x?}");
    }
}

#[test]
fn decisions() {
    let impairment = Impairment {
        delay: ms(50),
        loss: 0.1,
        duplicate: 0.1,
        reorder: 0.1,
        corrupt: 0.1,
        seed: Some(7),
        ..Impairment::default()
    };
    let places = |impairment: &Impairment| {
        let mut decisions = Decisions::new(impairment, Direction::Out);
        let mut places: [Vec<usize>; 4] = Default::default();
        for place in 0..60 {
            let verdict = decisions.next();
            let [copy, _] = verdict.copies;
            let happened = [verdict.lost, verdict.twice, copy.reordered, copy.corrupt.is_some()];
            for (places, _) in places.iter_mut().zip(happened).filter(|(_, happened)| *happened) {
                places.push(place);
            }
        }
        places
    };
    let [lost, doubled, reordered, corrupted] = places(&impairment);
    assert_eq!(lost, [2, 12, 17, 24, 30, 40]);
    assert_eq!(doubled, [1, 3, 4, 14, 24, 32, 36, 52, 54, 59]);
    assert_eq!(reordered, [1, 10, 12, 20, 31, 39, 42]);
    assert_eq!(corrupted, [2, 23, 26, 41, 56]);
    let bursts = Impairment { burst: 4.0, ..impairment };
    assert_eq!(places(&bursts)[0], [12, 17, 18, 40, 41, 42, 43]);
}

#[test]
fn delays() {
    for (distribution, expected) in [
        (Distribution::Uniform, [57_341, 53_740, 51_589]),
        (Distribution::Normal, [63_552, 56_395, 51_027]),
        (Distribution::Pareto, [44_788, 45_765, 46_529]),
    ] {
        let (delay, jitter) = (ms(50), ms(10));
        let impairment = Impairment { delay, jitter, distribution, seed: Some(7), ..Impairment::default() };
        let mut decisions = Decisions::new(&impairment, Direction::Out);
        // In whole microseconds, since logarithms and roots may differ in their last digits from machine to machine.
        let delays = [(); 3].map(|()| decisions.next().copies[0].delay.as_micros());
        assert_eq!(delays, expected, "{distribution:?}");
    }
}
