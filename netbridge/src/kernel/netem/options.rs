//! What netem is told: its options, as in `linux/pkt_sched.h`.

use std::time::Duration;

use rtnetlink::packet_core::{DefaultNla, Emitable};

use crate::Impairment;

const RATE: u16 = 6;
const RATE64: u16 = 8;
const LATENCY64: u16 = 10;

/// A century and a half. The kernel adds a delay to its clock and takes the sum for a signed number.
const LONGEST: i64 = i64::MAX / 2;

/// Whether netem does just what `impairment` asks; if not, why.
pub(crate) fn can(impairment: &Impairment) -> Result<(), &'static str> {
    let Impairment { loss, duplicate, reorder, corrupt, rate, .. } = *impairment;
    let faults = [
        // Nor does it tell the frames that it lost from those for which there was no room.
        (
            loss + duplicate + reorder + corrupt > 0.0,
            "what is still to be cut into segments is one frame to the kernel",
        ),
        (!impairment.jitter.is_zero(), "with jitter, frames overtake each other in the kernel"),
        (rate.is_some_and(|bits| bits < 8 || bits % 8 != 0), "the kernel counts a rate in whole bytes a second"),
    ];
    faults.iter().find(|(applies, _)| *applies).map_or(Ok(()), |(_, why)| Err(why))
}

/// The value of `TCA_OPTIONS`: `struct tc_netem_qopt`, then attributes.
///
/// It says all that [`can`] admits, for a netem that is there keeps what it is not told anew.
pub(crate) fn encode(impairment: &Impairment) -> Vec<u8> {
    let limit = u32::try_from(impairment.limit).unwrap_or(u32::MAX);
    let bytes_a_second = impairment.rate.map_or(0, |bits| bits / 8);
    // The kernel takes the larger of the two.
    let short_rate = u32::try_from(bytes_a_second).unwrap_or(u32::MAX);

    // Of `struct tc_netem_qopt`, only the limit: the latency, in ticks, is replaced by LATENCY64.
    let head = [0, limit, 0, 0, 0, 0];
    let attributes = [
        attribute(LATENCY64, &[nanoseconds(impairment.delay).to_ne_bytes()]),
        attribute(RATE64, &[bytes_a_second.to_ne_bytes()]),
        attribute(RATE, &words(&[short_rate, 0, 0, 0])),
    ];

    let mut options = words(&head).concat();
    let start = options.len();
    options.resize(start + attributes.as_slice().buffer_len(), 0);
    attributes.as_slice().emit(&mut options[start..]);
    options
}

fn nanoseconds(delay: Duration) -> i64 {
    i64::try_from(delay.as_nanos()).map_or(LONGEST, |delay| delay.min(LONGEST))
}

fn words(words: &[u32]) -> Vec<[u8; 4]> {
    words.iter().map(|word| word.to_ne_bytes()).collect()
}

fn attribute<const N: usize>(kind: u16, value: &[[u8; N]]) -> DefaultNla {
    DefaultNla::new(kind, value.concat())
}

#[cfg(test)]
mod tests {
    use rtnetlink::packet_core::NlasIterator;

    use super::*;

    /// What `tc` sends as the head for a delay of 0, and each attribute.
    #[track_caller]
    fn check(impairment: &Impairment, head: &str, attributes: &[(u16, &str)]) {
        assert_eq!(can(impairment), Ok(()));
        let options = encode(impairment);
        assert_eq!(hex(&options[..24]), head);
        let encoded = NlasIterator::new(&options[24..]).map(|attribute| attribute.unwrap());
        let encoded: Vec<_> = encoded.map(|attribute| (attribute.kind(), hex(attribute.value()))).collect();
        for (kind, value) in attributes {
            assert!(encoded.contains(&(*kind, (*value).to_owned())), "no {kind}: {value} in {encoded:?}");
        }
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
    }

    fn milliseconds(delay: u64) -> Impairment {
        Impairment { delay: Duration::from_millis(delay), ..Impairment::default() }
    }

    // Recorded from `tc qdisc replace dev lo root netem ...` of iproute2 6.1 on a little-endian machine.
    #[cfg(target_endian = "little")]
    mod little_endian {
        use super::*;

        #[test]
        fn delay() {
            let head = "00000000e803000000000000000000000000000000000000";
            // `struct tc_netem_qopt` is as without one; 100 000 000 ns.
            check(&milliseconds(100), head, &[(10, "00e1f50500000000")]);
        }

        #[test]
        fn rate_and_limit() {
            // `limit 77 rate 10mbit`
            let impairment = Impairment { rate: Some(10_000_000), limit: 77, ..Impairment::default() };
            let head = "000000004d00000000000000000000000000000000000000";
            check(&impairment, head, &[(6, "d0121300000000000000000000000000")]);
        }

        #[test]
        fn a_rate_of_more_than_32_bits() {
            // `rate 80gbit`
            let impairment = Impairment { rate: Some(80_000_000_000), ..Impairment::default() };
            let head = "00000000e803000000000000000000000000000000000000";
            check(&impairment, head, &[(8, "00e40b5402000000"), (6, "ffffffff000000000000000000000000")]);
        }
    }

    #[test]
    fn what_is_not_asked_for_is_taken_back() {
        let kinds: Vec<u16> = NlasIterator::new(&encode(&Impairment::default())[24..])
            .map(|attribute| attribute.unwrap())
            .inspect(|attribute| assert!(attribute.value().iter().all(|byte| *byte == 0)))
            .map(|attribute| attribute.kind())
            .collect();
        for kind in [LATENCY64, RATE, RATE64] {
            assert!(kinds.contains(&kind), "{kind}");
        }
    }

    #[test]
    fn delays_go_to_their_limit() {
        assert_eq!(nanoseconds(Duration::MAX), LONGEST);
        assert_eq!(nanoseconds(Duration::from_nanos(1)), 1);
    }

    #[test]
    fn what_netem_does_otherwise_is_refused() {
        let none = Impairment::default();
        for (impairment, word) in [
            (Impairment { loss: 0.1, ..none.clone() }, "segments"),
            (Impairment { duplicate: 0.1, ..none.clone() }, "segments"),
            (Impairment { reorder: 0.1, ..milliseconds(5) }, "segments"),
            (Impairment { corrupt: 0.1, ..none.clone() }, "segments"),
            (Impairment { jitter: Duration::from_nanos(1), ..milliseconds(5) }, "overtake"),
            (Impairment { rate: Some(7), ..none.clone() }, "bytes"),
            (Impairment { rate: Some(8001), ..none.clone() }, "bytes"),
        ] {
            let why = can(&impairment).unwrap_err();
            assert!(why.contains(word), "{impairment:?}: {why}");
        }
        for impairment in [
            // It decides nothing by chance.
            Impairment { seed: Some(0), ..milliseconds(5) },
            Impairment { rate: Some(8), limit: 7, ..milliseconds(5) },
            none,
        ] {
            assert_eq!(can(&impairment), Ok(()), "{impairment:?}");
        }
    }
}
