//! Times, shares and rates as people write them.

use std::time::Duration;

use super::Impairment;
use crate::Error;

impl Impairment {
    /// Reads a time, such as `50ms`, `1.5s`, `10us` or `200 ns`. It needs its unit.
    pub fn duration(text: &str) -> Result<Duration, Error> {
        read_duration(text).map_err(|why| fault("duration", text, &why))
    }

    /// Reads a share, such as `1%`, `0.5 %` or, as a number below 1, `0.005`.
    pub fn share(text: &str) -> Result<f64, Error> {
        read_share(text).map_err(|why| fault("share", text, &why))
    }

    /// Reads bits a second, such as `10mbit`, `1.5 Mbit/s`, `64Kibit` or `9600bit`, as tc(8) does but for units of bytes. It needs its
    /// unit, in which case does not matter.
    pub fn rate(text: &str) -> Result<u64, Error> {
        read_rate(text).map_err(|why| fault("rate", text, &why))
    }
}

fn fault(what: &str, text: &str, why: &str) -> Error {
    Error::Impairment { fault: format!("{what} {text:?} {why}") }
}

fn read_duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = number_and_unit(text, "50ms")?;
    let seconds = match unit {
        "s" => 1.0,
        "ms" => 1e-3,
        // Both characters for micro: Greek mu and the micro sign.
        "us" | "\u{3bc}s" | "\u{b5}s" => 1e-6,
        "ns" => 1e-9,
        "" => return Err(format!("has no unit; write \"{number}ms\" or \"{number}s\"")),
        unit => return Err(format!("has the unknown unit {unit:?}; write s, ms, us or ns")),
    };
    match Duration::try_from_secs_f64(number * seconds) {
        Ok(Duration::ZERO) if number > 0.0 => Err("is less than a nanosecond; write at least \"1ns\"".to_owned()),
        Ok(duration) => Ok(duration),
        Err(_) => Err("is too long; write \"3600s\" at most".to_owned()),
    }
}

fn read_share(text: &str) -> Result<f64, String> {
    match number_and_unit(text, "1%")? {
        (number, "%") if number <= 100.0 => Ok(number / 100.0),
        (number, "") if number < 1.0 => Ok(number),
        (1.0, "") => Err("may be a percent or all; write \"1%\" or \"100%\"".to_owned()),
        (number, "") if number <= 100.0 => Err(format!("is more than all; write \"{number}%\"")),
        (_, "%" | "") => Err("is more than all; write \"100%\" at most".to_owned()),
        (_, unit) => Err(format!("has the unknown unit {unit:?}; write a percentage such as \"1%\"")),
    }
}

fn read_rate(text: &str) -> Result<u64, String> {
    let (number, unit) = number_and_unit(text, "10mbit")?;
    let name = unit.to_ascii_lowercase();
    let bits = match name.strip_suffix("/s").unwrap_or(&name) {
        "bit" => 1.0,
        "kbit" => 1e3,
        "mbit" => 1e6,
        "gbit" => 1e9,
        "tbit" => 1e12,
        "kibit" => 1024.0,
        "mibit" => 1_048_576.0,
        "gibit" => 1_073_741_824.0,
        "tibit" => 1_099_511_627_776.0,
        "" => return Err(format!("has no unit; write \"{number}bit\", \"{number}kbit\" or \"{number}mbit\"")),
        // tc(8) takes them for bytes, most people for bits.
        short if short.ends_with("bps") || short.ends_with('b') => {
            return Err(format!("has the unit {unit:?}, which may mean bytes; write bit, kbit, mbit or gbit"));
        }
        _ => return Err(format!("has the unknown unit {unit:?}; write bit, kbit, mbit, gbit or tbit")),
    };
    let rate = (number * bits).round();
    if rate < 1.0 {
        Err("lets nothing pass; write at least \"1bit\", or take the link down".to_owned())
    } else if rate < 1e18 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is whole, and from 1 to 10^18")]
        let rate = rate as u64;
        Ok(rate)
    } else {
        Err("is too high; write a rate below \"1000000tbit\", or none for no limit".to_owned())
    }
}

/// Splits `text` at the end of its decimal number; `example` is how it could be written.
fn number_and_unit<'a>(text: &'a str, example: &str) -> Result<(f64, &'a str), String> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    match number.parse() {
        Ok(number) => Ok((number, unit.trim_start())),
        Err(_) => Err(format!("begins with no decimal number; write it as \"{example}\", without a sign")),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use proptest::prelude::*;

    use super::*;

    fn assert_refused<T: Debug>(result: Result<T, Error>, text: &str, why: &str) {
        let error = result.expect_err(text).to_string();
        assert!(error.starts_with("impairment: ") && error.contains(&format!("{text:?}")), "{text:?}: {error}");
        assert!(error.contains(why), "{text:?}: {error}");
    }

    #[test]
    fn durations() {
        for (text, nanos) in [
            ("50ms", 50_000_000),
            ("1.5s", 1_500_000_000),
            ("10us", 10_000),
            ("10\u{b5}s", 10_000),
            ("10\u{3bc}s", 10_000),
            (" 200 ns ", 200),
            ("0.1ms", 100_000),
            (".5s", 500_000_000),
            ("0s", 0),
        ] {
            assert_eq!(Impairment::duration(text).unwrap(), Duration::from_nanos(nanos), "{text:?}");
        }
        for (text, why) in [
            ("2", "no unit; write \"2ms\" or \"2s\""),
            ("", "no decimal number"),
            (".", "no decimal number"),
            ("ms", "no decimal number"),
            ("-5ms", "without a sign"),
            ("+5ms", "without a sign"),
            ("1.2.3s", "no decimal number"),
            ("1,5s", "unknown unit \",5s\""),
            ("1e3ms", "unknown unit"),
            ("5m", "write s, ms, us or ns"),
            ("0.1ns", "less than a nanosecond"),
            ("99999999999999999999999s", "too long"),
        ] {
            assert_refused(Impairment::duration(text), text, why);
        }
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "a share is the nearest number to what is written")]
    fn shares() {
        for (text, share) in
            [("1%", 0.01), ("0.5 %", 0.005), ("100%", 1.0), ("0%", 0.0), ("0.01", 0.01), ("0", 0.0), (" .5 ", 0.5)]
        {
            assert_eq!(Impairment::share(text).unwrap(), share, "{text:?}");
        }
        for (text, why) in [
            ("5", "write \"5%\""),
            ("1", "write \"1%\" or \"100%\""),
            ("1.0", "write \"1%\" or \"100%\""),
            ("101%", "\"100%\" at most"),
            ("101", "\"100%\" at most"),
            ("-1%", "without a sign"),
            ("%", "no decimal number"),
            ("nan", "no decimal number"),
            ("1 percent", "unknown unit \"percent\""),
            ("1%%", "unknown unit \"%%\""),
        ] {
            assert_refused(Impairment::share(text), text, why);
        }
    }

    #[test]
    fn rates() {
        for (text, rate) in [
            ("10mbit", 10_000_000),
            ("500kbit", 500_000),
            ("1gbit", 1_000_000_000),
            ("1.5 Mbit/s", 1_500_000),
            ("9600bit", 9600),
            ("100 GBIT/S", 100_000_000_000),
            ("0.001tbit", 1_000_000_000),
            ("64Kibit", 65_536),
            ("1mibit", 1 << 20),
            ("1gibit", 1 << 30),
            ("1tibit", 1 << 40),
        ] {
            assert_eq!(Impairment::rate(text).unwrap(), rate, "{text:?}");
        }
        for (text, why) in [
            ("10", "write \"10bit\", \"10kbit\" or \"10mbit\""),
            ("fast", "no decimal number"),
            ("-1mbit", "without a sign"),
            ("10mbps", "may mean bytes"),
            ("10 Mb/s", "may mean bytes"),
            ("10MB/s", "may mean bytes"),
            ("10furlong", "unknown unit"),
            ("0mbit", "lets nothing pass"),
            ("0.1bit", "lets nothing pass"),
            ("1000000tbit", "too high"),
        ] {
            assert_refused(Impairment::rate(text), text, why);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in r"[0-9.]{0,400} ?(\PC{0,4}|ms|%|mbit)") {
            let _ = Impairment::duration(&text);
            let share = Impairment::share(&text);
            prop_assert!(share.is_err() || share.is_ok_and(|share| (0.0..=1.0).contains(&share)));
            let rate = Impairment::rate(&text);
            prop_assert!(rate.is_err() || rate.is_ok_and(|rate| rate > 0));
        }

        #[test]
        fn what_was_written_is_read(number in 0_u64..4_000_000_000) {
            let duration = Duration::from_nanos(number);
            prop_assert_eq!(Impairment::duration(&format!("{duration:?}")).unwrap(), duration);
            prop_assert_eq!(Impairment::rate(&format!("{}bit", number + 1)).unwrap(), number + 1);
        }
    }
}
