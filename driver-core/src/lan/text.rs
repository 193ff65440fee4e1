//! Amounts of an impairment as people write them. Errors are what is wrong with the text, and what to write instead.

use std::time::Duration;

use netbridge::{Error, Impairment};

/// Reads a time such as `50ms`.
pub fn duration(text: &str) -> Result<Duration, String> {
    Impairment::duration(text).map_err(fault)
}

/// Reads a share such as `1%`.
pub fn share(text: &str) -> Result<f64, String> {
    Impairment::share(text).map_err(fault)
}

/// Reads a rate in bits a second, such as `10mbit`.
pub fn rate(text: &str) -> Result<u64, String> {
    Impairment::rate(text).map_err(fault)
}

fn fault(error: Error) -> String {
    match error {
        Error::Impairment { fault } => fault,
        error => error.to_string(),
    }
}
