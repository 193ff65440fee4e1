//! Amounts of an impairment as people write them. Errors are what is wrong with the text.

use std::time::Duration;

/// Reads a time such as `50ms`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = amount(text)?;
    let factor = unit_of(text, unit, &[("us", 1e-6), ("ms", 1e-3), ("s", 1.0)])?;
    Duration::try_from_secs_f64(number * factor).map_err(|_| fault(text))
}

/// Reads a share such as `1%`.
pub fn share(text: &str) -> Result<f64, String> {
    let (number, unit) = amount(text)?;
    Ok(number * unit_of(text, unit, &[("%", 0.01)])?)
}

/// Reads a rate in bits a second, such as `10mbit`.
pub fn rate(text: &str) -> Result<u64, String> {
    let (number, unit) = amount(text)?;
    let bits = number * unit_of(text, unit, &[("bit", 1.0), ("kbit", 1e3), ("mbit", 1e6), ("gbit", 1e9)])?;
    Duration::try_from_secs_f64(bits).map(|bits| bits.as_secs()).map_err(|_| fault(text))
}

fn amount(text: &str) -> Result<(f64, &str), String> {
    let end = text.find(|c: char| c.is_ascii_alphabetic() || c == '%').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    Ok((number.parse().map_err(|_| fault(text))?, unit))
}

fn unit_of(text: &str, unit: &str, known: &[(&str, f64)]) -> Result<f64, String> {
    known.iter().find_map(|(name, factor)| (*name == unit).then_some(*factor)).ok_or_else(|| fault(text))
}

fn fault(text: &str) -> String {
    format!("`{text}` cannot be read")
}
