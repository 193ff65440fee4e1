//! Reading what `tandem doctor --json` says.

use serde_json::Value;
use tandem_tests::TestResult;
use tandem_tests::program::Ended;

/// What was said.
pub(crate) struct Report(pub(crate) Value);

impl Report {
    pub(crate) fn of(ended: &Ended) -> TestResult<Self> {
        let value = serde_json::from_str(&ended.stdout)
            .map_err(|error| format!("{error}: status {}\n{}\n{}", ended.status, ended.stdout, ended.stderr))?;
        Ok(Self(value))
    }

    pub(crate) fn needs(&self) -> &[Value] {
        self.0["needs"].as_array().map_or(&[], Vec::as_slice)
    }

    /// The verdict on something, and what was found with the cure.
    pub(crate) fn need(&self, group: &str, name: &str) -> (String, String) {
        let need = self.needs().iter().find(|need| need["group"] == group && need["name"] == name);
        let need = need.unwrap_or_else(|| panic!("no {name} of {group} in {}", self.0));
        let verdict = need["verdict"].as_str().unwrap_or_default().to_owned();
        let lines = need["cure"]["lines"].as_array().into_iter().flatten();
        let lines = lines.flat_map(|lines| lines["lines"].as_array().cloned().unwrap_or_default());
        let lines: Vec<String> = lines.map(|line| line.as_str().unwrap_or_default().to_owned()).collect();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (verdict, [text(&need["found"]), text(&need["cure"]["advice"]), lines.join("\n")].join("\n"))
    }

    /// Whether a backend's machines, or a test, can run.
    pub(crate) fn runs(&self, kind: &str, name: &str) -> Option<bool> {
        self.0[kind].as_array()?.iter().find(|it| it["name"] == name)?["runs"].as_bool()
    }
}
