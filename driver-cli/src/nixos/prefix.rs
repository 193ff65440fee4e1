//! Names of long options, which Python's argparse, and so upstream, lets people cut short.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use driver_core::spec::nearest;

/// The long options. What only an older command line had does not make a name ambiguous.
const CURRENT: [&str; 10] = [
    "help",
    "config",
    "keep-machine-state",
    "keep-vm-state",
    "interactive",
    "no-interactive",
    "output_directory",
    "junit-xml",
    "log-level",
    "debug-hook-attach",
];

/// Long options of older command lines.
pub(super) const OLDER: [&str; 4] = ["start-scripts", "vlans", "global-timeout", "dump-vsocks"];

/// The same words with all long options written in full. The error is what argparse would say.
pub(super) fn in_full(words: impl IntoIterator<Item = OsString>) -> Result<Vec<OsString>, String> {
    let mut options = true;
    let full = words.into_iter().map(|word| {
        options &= word != "--";
        match word.as_bytes().strip_prefix(b"--") {
            Some(option) if options => long(option),
            _ => Ok(word),
        }
    });
    full.collect()
}

/// One word, from after its dashes.
fn long(word: &[u8]) -> Result<OsString, String> {
    let end = word.iter().position(|byte| *byte == b'=').unwrap_or(word.len());
    let (given, value) = word.split_at(end);
    let given = String::from_utf8_lossy(given);
    let name = resolve(&given)?;
    let mut full = b"--".to_vec();
    full.extend_from_slice(name.as_bytes());
    full.extend_from_slice(OsStr::from_bytes(value).as_bytes());
    Ok(OsString::from_vec(full))
}

fn resolve(given: &str) -> Result<&'static str, String> {
    let all = || CURRENT.into_iter().chain(OLDER);
    if let Some(name) = all().find(|name| *name == given) {
        return Ok(name);
    }
    let begin =
        |names: &[&'static str]| names.iter().copied().filter(|name| name.starts_with(given)).collect::<Vec<_>>();
    let current = begin(&CURRENT);
    let found = if current.is_empty() { begin(&OLDER) } else { current };
    match found[..] {
        [name] => Ok(name),
        [] => {
            let near = nearest(given, all()).map(|name| format!("; did you mean --{name}?")).unwrap_or_default();
            Err(format!("unrecognized arguments: --{given}{near}"))
        }
        _ => {
            let found: Vec<_> = found.iter().map(|name| format!("--{name}")).collect();
            Err(format!("ambiguous option: --{given} could match {}", found.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full(line: &str) -> Result<String, String> {
        let words = in_full(line.split(' ').map(Into::into))?;
        Ok(words.iter().map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn options_may_be_cut_short() {
        for (line, expected) in [
            ("--config c", "--config c"),
            // As nixpkgs does.
            ("--debug-hook=/attach", "--debug-hook-attach=/attach"),
            ("--junit=junit.xml", "--junit-xml=junit.xml"),
            ("--c=a=b --l debug --no --in", "--config=a=b --log-level debug --no-interactive --interactive"),
            ("--keep-m --keep-v --out x", "--keep-machine-state --keep-vm-state --output_directory x"),
            // Not ambiguous, for the other one is not of today.
            ("--d x", "--debug-hook-attach x"),
            ("--start a --vl 1 --g 5 --dump=2", "--start-scripts a --vlans 1 --global-timeout 5 --dump-vsocks=2"),
            ("-o --c -- --x", "-o --config -- --x"),
        ] {
            assert_eq!(full(line).as_deref(), Ok(expected), "{line}");
        }
    }

    #[test]
    fn what_could_be_several_or_is_none_is_told() {
        for (line, expected) in [
            ("--keep", "ambiguous option: --keep could match --keep-machine-state, --keep-vm-state"),
            ("--junit-xnl=a", "unrecognized arguments: --junit-xnl; did you mean --junit-xml?"),
            ("--output-directory x", "unrecognized arguments: --output-directory; did you mean --output_directory?"),
            ("--frobnicate", "unrecognized arguments: --frobnicate"),
            ("--configs=a", "unrecognized arguments: --configs; did you mean --config?"),
        ] {
            assert_eq!(full(line).unwrap_err(), expected, "{line}");
        }
    }
}
