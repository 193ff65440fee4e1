//! Amounts of memory and disk space, in MiB.

use super::report::{Report, quote};
use super::value::Value;

/// 16 TiB in MiB: the largest file of ext4 with its usual blocks. Guest memory and empty disks are files.
const LARGEST: u64 = 16 << 20;

/// How many MiB each unit is. Case does not matter.
const UNITS: [(&str, u64); 6] =
    [("m", 1), ("mib", 1), ("g", 1 << 10), ("gib", 1 << 10), ("t", 1 << 20), ("tib", 1 << 20)];

/// What else can follow a number that is meant as a size.
const OTHER_UNITS: [&str; 10] = ["", "b", "k", "kb", "kib", "mb", "gb", "tb", "p", "pib"];

/// Why something is no size; reads after "is".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidSize {
    /// It has another form altogether, such as that of a path.
    #[error("not a size such as `512M` or `2G`")]
    Form,
    /// It is a number, but not of MiB, GiB or TiB.
    #[error("a number without one of the units `M`, `G` and `T`, which count MiB, GiB and TiB")]
    Unit,
    /// It has a decimal point.
    #[error("no whole number")]
    Fraction,
    /// It is zero or less.
    #[error("not more than zero")]
    NotPositive,
    /// It is more than any host has.
    #[error("more than 16 TiB")]
    TooLarge,
}

impl InvalidSize {
    /// What to do about it.
    pub(super) fn cure(self) -> &'static str {
        match self {
            Self::Form | Self::NotPositive => "write a size such as `\"512M\"` or `\"2G\"`",
            Self::Unit => "write such as `\"512M\"` or `\"2G\"`; a number without quotes counts MiB",
            Self::Fraction => "use the next smaller unit, such as `\"1536M\"` for 1.5 GiB",
            Self::TooLarge => "give less",
        }
    }
}

/// Reads a size such as `512M` or `2GiB`.
pub(super) fn parse(text: &str) -> Result<u64, InvalidSize> {
    let (number, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len()));
    let unit = unit.to_ascii_lowercase();
    let factor = UNITS.iter().find_map(|(name, factor)| (*name == unit).then_some(*factor));
    let (sign, digits) = number.strip_prefix('-').map_or(("", number), |digits| ("-", digits));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let fraction = digits.split_once('.').is_some_and(|(whole, part)| is_digits(whole) && is_digits(part));
    if !(is_digits(digits) || fraction) || (factor.is_none() && !OTHER_UNITS.contains(&unit.as_str())) {
        return Err(InvalidSize::Form);
    }
    let factor = factor.ok_or(InvalidSize::Unit)?;
    if sign == "-" {
        return Err(InvalidSize::NotPositive);
    }
    if fraction {
        return Err(InvalidSize::Fraction);
    }
    // All are digits, so that only too many of them are no number.
    mebibytes(digits.parse::<u64>().ok().and_then(|number| number.checked_mul(factor)).unwrap_or(u64::MAX))
}

fn mebibytes(number: u64) -> Result<u64, InvalidSize> {
    match number {
        0 => Err(InvalidSize::NotPositive),
        number if number > LARGEST => Err(InvalidSize::TooLarge),
        number => Ok(number),
    }
}

/// Reads a whole number of MiB, or a text with a unit. `expected` is both, to be read after "expected".
pub(super) fn read(value: &Value, expected: &str, report: &mut Report<'_>) -> Option<u64> {
    let (shown, size) = match value {
        Value::Integer(number) => {
            (number.to_string(), u64::try_from(*number).map_or(Err(InvalidSize::NotPositive), mebibytes))
        }
        // Whole numbers that are too large for others get here, too.
        Value::Float(number) if *number > 1e18 => (number.to_string(), Err(InvalidSize::TooLarge)),
        Value::Float(number) => (number.to_string(), Err(InvalidSize::Fraction)),
        Value::String(text) => (text.clone(), parse(text)),
        other => {
            report.wrong_type(expected, other);
            return None;
        }
    };
    size.map_err(|wrong| report.problem(format!("{} is {wrong}", quote(&shown)), wrong.cure())).ok()
}

#[cfg(test)]
mod tests {
    use super::InvalidSize::{Form, Fraction, NotPositive, TooLarge, Unit};
    use super::*;

    #[test]
    fn sizes_are_whole_numbers_with_a_unit() {
        for (text, size) in [
            ("1M", 1),
            ("512M", 512),
            ("512MiB", 512),
            ("2G", 2048),
            ("2g", 2048),
            ("2GiB", 2048),
            ("007G", 7 * 1024),
            ("1T", 1 << 20),
            ("16TiB", 16 << 20),
            ("16777216M", 16 << 20),
        ] {
            assert_eq!(parse(text), Ok(size), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for (text, error) in [
            ("", Form),
            ("much", Form),
            ("G", Form),
            ("-", Form),
            (".5G", Form),
            ("1.G", Form),
            ("1.5.1G", Form),
            ("2 G", Form),
            (" 2G", Form),
            ("2G ", Form),
            ("+2G", Form),
            ("--2G", Form),
            ("2nd", Form),
            ("2G.img", Form),
            ("2é", Form),
            ("512", Unit),
            ("1.5", Unit),
            ("512K", Unit),
            ("2GB", Unit),
            ("1.5G", Fraction),
            ("0G", NotPositive),
            ("-1G", NotPositive),
            ("16777217M", TooLarge),
            ("17T", TooLarge),
            ("18446744073709551615T", TooLarge),
            ("99999999999999999999999M", TooLarge),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn numbers_count_mib() {
        let said = |value: Value| {
            let mut problems = Vec::new();
            let size = read(&value, "a size", &mut Report::new(std::path::Path::new("t"), &mut problems));
            assert_eq!(size.is_some(), problems.is_empty());
            size.map_or_else(|| super::super::list(&problems), |size| size.to_string())
        };
        assert_eq!(said(Value::Integer(512)), "512");
        assert_eq!(said(Value::String("1G".to_owned())), "1024");
        assert_eq!(said(Value::Integer(16 << 20)), "16777216");
        for (value, expected) in [
            (Value::Integer(0), "t: `0` is not more than zero; write a size such as `\"512M\"` or `\"2G\"`"),
            (Value::Integer(i64::MIN), "t: `-9223372036854775808` is not more than zero; write a size"),
            (Value::Integer(i64::MAX), "t: `9223372036854775807` is more than 16 TiB; give less"),
            (Value::Float(1e20), "t: `100000000000000000000` is more than 16 TiB; give less"),
            (Value::Float(f64::INFINITY), "t: `inf` is more than 16 TiB; give less"),
            (Value::Float(1.5), "t: `1.5` is no whole number; use the next smaller unit"),
            (Value::Float(f64::NAN), "t: `NaN` is no whole number; use the next smaller unit"),
            (Value::String("512".to_owned()), "t: `512` is a number without one of the units `M`, `G` and `T`"),
            (Value::List(vec![]), "t: expected a size, found a list"),
            (Value::Null, "t: expected a size, found null"),
        ] {
            let said = said(value);
            assert!(said.starts_with(expected), "{said}");
        }
    }
}
