//! What is wrong with a script or its interpreter, in words for people.

use std::path::Path;

use driver_core::need::{Cure, EVERY_TEST, Need};
use driver_core::spec::Problem;
use serde::Deserialize;

/// What the interpreter says of the script that it was asked to check.
#[derive(Debug, Deserialize)]
pub(super) struct Verdict {
    /// The interpreter's version.
    version: String,
    problems: Vec<Found>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Found {
    Syntax { message: String, line: Option<u64>, column: Option<u64>, text: Option<String> },
    Unreadable { message: String },
    Version { requirement: String },
    Dependency { requirement: String, message: String },
    Malformed { what: String, requirement: String, message: String },
}

impl Verdict {
    /// The problems of `script` with the interpreter `python`.
    pub(super) fn problems(self, script: &Path, python: &Path) -> Vec<Problem> {
        let (script, python) = (script.display(), python.display());
        let problem = |found| match found {
            Found::Syntax { message, line, column, text } => {
                let line = line.map(|line| format!(":{line}")).unwrap_or_default();
                let text = text.map(|text| excerpt(&text, column)).unwrap_or_default();
                Problem::user(format!("{script}{line}"), format!("{message}{text}"), "")
            }
            Found::Unreadable { message } => Problem::user(script.to_string(), message, ""),
            Found::Version { requirement } => Problem::host(
                format!("requires-python `{requirement}`"),
                format!("`{python}` is Python {}", self.version),
                "name another interpreter with --python",
            ),
            Found::Dependency { requirement, message } => Problem::host(
                format!("dependency `{requirement}`"),
                format!("{message}, for the interpreter `{python}`"),
                "install it there, as with pip in a virtual environment, or name an interpreter that has it with --python",
            ),
            Found::Malformed { what, requirement, message } => {
                Problem::user(format!("{what} `{requirement}`"), message, "")
            }
        };
        self.problems.into_iter().map(problem).collect()
    }
}

/// An interpreter that cannot be started or does not do what it should. Which one it is was the user's choice if `chosen`.
pub(super) fn unusable(python: &Path, chosen: bool, why: &str) -> Problem {
    if chosen {
        let cure = "name a Python of at least version 3.11 with --python";
        return Problem::user(format!("interpreter `{}`", python.display()), why, cure);
    }
    lacking(why).problem().expect("it is missing")
}

/// The need of an interpreter where there is none that can be used.
pub(super) fn lacking(why: &str) -> Need {
    let cure = Cure::package("python3", "python3", "python3");
    let advice = "install python3 of at least version 3.11, or name another interpreter with --python";
    Need::missing(EVERY_TEST, "python3", PURPOSE, why, Cure { advice: advice.into(), ..cure })
}

/// What an interpreter is for.
pub(super) const PURPOSE: &str = "it runs the scripts";

/// The line of a syntax error, with a mark below the place.
pub(super) fn excerpt(line: &str, column: Option<u64>) -> String {
    let code = line.trim();
    let indent = line.chars().take_while(|c| c.is_whitespace()).count();
    let mark = column.and_then(|column| usize::try_from(column).ok()?.checked_sub(indent + 1));
    let mark = mark.map(|place| format!("\n    {}^", " ".repeat(place))).unwrap_or_default();
    if code.is_empty() { String::new() } else { format!("\n    {code}{mark}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(problem: &serde_json::Value) -> String {
        let verdict = serde_json::json!({"version": "3.11.2", "problems": [problem]});
        let verdict: Verdict = serde_json::from_value(verdict).unwrap();
        verdict.problems(Path::new("/t/test.py"), Path::new("python3"))[0].to_string()
    }

    #[test]
    fn a_syntax_error_is_shown_in_its_place() {
        let error = serde_json::json!({
            "kind": "syntax", "message": "expected ':'", "line": 3, "column": 20, "text": "  with subtest(\"x\")\n"
        });
        assert_eq!(told(&error), "/t/test.py:3: expected ':'\n    with subtest(\"x\")\n                     ^");
        let error = serde_json::json!({
            "kind": "syntax", "message": "invalid", "line": null, "column": null, "text": null
        });
        assert_eq!(told(&error), "/t/test.py: invalid");
    }

    #[test]
    fn what_the_interpreter_lacks_names_the_option() {
        let missing = serde_json::json!({"kind": "dependency", "requirement": "numpy>=2", "message": "not installed"});
        assert!(told(&missing).starts_with("dependency `numpy>=2`: not installed, for the interpreter `python3`; "));
        let version = serde_json::json!({"kind": "version", "requirement": ">=3.13"});
        let told = told(&version);
        assert_eq!(
            told,
            "requires-python `>=3.13`: `python3` is Python 3.11.2; name another interpreter with --python"
        );
    }
}
