//! Where the program itself writes, beside the record of a test.

use std::fmt::Display;
use std::io::{self, Write};

use driver_core::log::harmless;

/// Writes lines to standard error. Nobody is left to tell if that fails.
pub(crate) fn say(text: impl Display) {
    let mut lines = String::new();
    for line in text.to_string().lines() {
        lines.push_str(&harmless(line));
        lines.push('\n');
    }
    let _ = io::stderr().write_all(lines.as_bytes());
}
