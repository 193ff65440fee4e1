//! Many builds on one host, each with settings of its own.

use std::fmt::Write;

use tandem_tests::nix::{self, BUILDER, NixHost};

use super::tandem;

/// A build.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    /// What it is about.
    pub(crate) name: &'static str,
    /// Lines of nix.conf, each in the place of the usual one.
    pub(crate) settings: &'static str,
    /// Bash code.
    pub(crate) script: &'static str,
    /// Whether it succeeds.
    pub(crate) succeeds: bool,
    /// What it says among other things.
    pub(crate) says: &'static [&'static str],
}

/// What every case has but what it says otherwise.
pub(crate) const CASE: Case = Case { name: "", settings: "", script: "", succeeds: false, says: &[] };

/// Boots a host, runs the cases one after the other, and says what is wrong with each.
pub(crate) fn run(host: &NixHost, prelude: &str, cases: &[Case]) -> std::io::Result<Vec<String>> {
    let mut script = format!("{prelude}\n");
    for (number, case) in cases.iter().enumerate() {
        let (settings, command) = (nix::settings(case.settings), case.script);
        // A build's name differs from case to case, or Nix would know the result of an earlier one.
        let _ = write!(
            script,
            "settings <<'SETTINGS'\n{settings}SETTINGS\nexport CASE={number}\necho '=== case {number}'\n\
             status=0\n( {command}\n) || status=$?\necho \"=== status $status\"\n"
        );
    }
    let output = host.run(tandem(), BUILDER, &script)?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        return Ok(vec![format!("{}\n{said}\n{}", output.status, String::from_utf8_lossy(&output.stderr))]);
    }
    Ok(cases.iter().enumerate().filter_map(|(number, case)| problem(&said, number, case)).collect())
}

fn problem(said: &str, number: usize, case: &Case) -> Option<String> {
    let own = said.split_once(&format!("=== case {number}\n")).map_or("", |(_, rest)| rest);
    let (own, rest) = own.split_once("=== status ").unwrap_or((own, ""));
    let succeeded = rest.starts_with("0\n");
    let missing: Vec<_> = case.says.iter().filter(|text| !own.contains(**text)).collect();
    let ended = if succeeded == case.succeeds { "" } else { "the wrong status; " };
    let wrong = !missing.is_empty() || !ended.is_empty();
    wrong.then(|| format!("{}: {ended}missing: {missing:?}; it said:\n{own}", case.name))
}
