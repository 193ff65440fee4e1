//! The program `generate-driver-symbols`, by which nixpkgs' linter knows what a script finds defined.

use std::process::ExitCode;

use crate::exit::Status;
use crate::output::say;
use crate::script;

/// In the working directory.
const FILE: &str = "driver-symbols";

const HELP: &str = "\
usage: generate-driver-symbols [-h]

Writes the names that every test script finds defined to the file driver-symbols in the working directory, with commas
between. nixpkgs has pyflakes take them for built-in.

Example:
  generate-driver-symbols && PYFLAKES_BUILTINS=$(cat driver-symbols) pyflakes test-script.py
";

/// Writes the file.
pub(super) fn main() -> ExitCode {
    match std::env::args_os().nth(1) {
        None => {}
        Some(word) if word == "-h" || word == "--help" => {
            return crate::written(std::io::Write::write_all(&mut std::io::stdout(), HELP.as_bytes())).into();
        }
        Some(word) => {
            say("usage: generate-driver-symbols [-h]");
            let word = word.to_string_lossy();
            say(format_args!("generate-driver-symbols: error: unrecognized arguments: {word}"));
            return Status::Usage.into();
        }
    }
    match script::symbols().and_then(|symbols| std::fs::write(FILE, symbols)) {
        Ok(()) => Status::Passed.into(),
        Err(error) => {
            say(format_args!("writing {FILE} failed: {error}"));
            Status::Failed.into()
        }
    }
}
