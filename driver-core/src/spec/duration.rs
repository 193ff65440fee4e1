//! Times in test files and on the command line.

use std::time::Duration;

/// Long enough for any test, and short enough to be added to any clock.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

const UNITS: [(&str, f64); 4] = [("h", 3600.0), ("m", 60.0), ("s", 1.0), ("ms", 0.001)];

/// Why something is no time; reads after "is".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDuration {
    /// It is neither a number nor made of numbers with units, the largest first.
    #[error("not a time such as `300` (seconds), `5m`, `1h30m` or `250ms`")]
    Form,
    /// It is zero, less, or too little to count.
    #[error("not more than zero")]
    NotPositive,
    /// It is longer than a year or infinite.
    #[error("longer than a year")]
    TooLong,
}

/// Reads a time such as `5m`, `90s`, `1h30m` or `250ms`; a bare number counts seconds.
pub fn parse(text: &str) -> Result<Duration, InvalidDuration> {
    let amount = text.parse().ok().or_else(|| amount(text));
    seconds(amount.ok_or(InvalidDuration::Form)?)
}

/// A number of seconds as a time.
pub(super) fn seconds(number: f64) -> Result<Duration, InvalidDuration> {
    if number.is_nan() {
        return Err(InvalidDuration::Form);
    }
    if number <= 0.0 {
        return Err(InvalidDuration::NotPositive);
    }
    match Duration::try_from_secs_f64(number) {
        Ok(Duration::ZERO) => Err(InvalidDuration::NotPositive),
        Ok(time) if time <= LONGEST => Ok(time),
        _ => Err(InvalidDuration::TooLong),
    }
}

/// The seconds in a row of numbers with units.
fn amount(text: &str) -> Option<f64> {
    let mut units = UNITS.iter();
    let mut total = None;
    let mut rest = text;
    while !rest.is_empty() {
        let (number, tail) = rest.split_at(rest.find(|c: char| c.is_ascii_alphabetic())?);
        let (unit, tail) = tail.split_at(tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len()));
        if !number.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        // The search goes on where the last one ended, so that larger units come first and none comes twice.
        let (_, factor) = units.find(|(name, _)| *name == unit)?;
        total = Some(total.unwrap_or(0.0) + number.parse::<f64>().ok()? * factor);
        rest = tail;
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_numbers_with_units() {
        for (text, milliseconds) in [
            ("300", 300_000),
            ("1.5", 1_500),
            ("5m", 300_000),
            ("90s", 90_000),
            ("1h30m", 5_400_000),
            ("250ms", 250),
            ("1h2m3s4ms", 3_723_004),
            ("0.5m", 30_000),
            ("8760h", 31_536_000_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        use InvalidDuration::{Form, NotPositive, TooLong};
        for (text, error) in [
            ("", Form),
            ("soon", Form),
            ("5x", Form),
            ("5 m", Form),
            ("m", Form),
            ("30m1h", Form),
            ("1m1m", Form),
            ("1h-30m", Form),
            ("1h30", Form),
            ("nan", Form),
            ("0", NotPositive),
            ("0s", NotPositive),
            ("-1", NotPositive),
            ("1e-30", NotPositive),
            ("inf", TooLong),
            ("1e300", TooLong),
            ("8761h", TooLong),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
    }
}
