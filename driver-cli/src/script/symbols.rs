//! The names that every script finds defined.

use std::io;
use std::process::{Command, Stdio};

use super::package;

/// Prints them, by any Python that scripts run in.
const PROGRAM: &str = "\
import sys
sys.path[:] = [sys.argv.pop(1)] + [place for place in sys.path if place]
from test_driver.symbols import main
main()
";

/// The names, with commas between, as the Python package has them. There need not be any machine.
pub(crate) fn symbols() -> io::Result<String> {
    let directory = tempfile::tempdir()?;
    package::unpack(directory.path())?;
    let mut python = Command::new("python3");
    python.args(["-B", "-S", "-c", PROGRAM]).arg(directory.path()).stdin(Stdio::null());
    let output = python.output().map_err(|error| io::Error::new(error.kind(), format!("python3: {error}")))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().last().unwrap_or("nothing was said");
        return Err(io::Error::other(format!("python3 ended with {}: {last}", output.status)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_that_a_script_finds_is_there() {
        let symbols = symbols().unwrap();
        let names: Vec<&str> = symbols.split(',').collect();
        for name in ["start_all", "subtest", "machines", "t", "QemuMachine", "polling_condition"] {
            assert!(names.contains(&name), "{name} in {symbols}");
        }
        assert!(names.iter().all(|name| !name.is_empty() && !name.contains(char::is_whitespace)), "{symbols}");
    }
}
