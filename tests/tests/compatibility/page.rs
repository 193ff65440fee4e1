//! The page.

use std::fmt::Write as _;

use crate::contract::{Contract, Proof, Row, Verdict};

/// Where it is, in the repository.
pub(crate) const FILE: &str = "docs/compatibility.md";

const HEAD: &str = "\
<!-- Written from tests/contract/compatibility.toml, by UPDATE=1 cargo test -p tandem-tests --test compatibility. -->

# Compatibility with the NixOS test driver

What Tandem makes of each thing that nixpkgs' test driver does, and the test that shows it. *Upstream* is that driver. What is *different*
says why or how; what is *missing* is not there yet.
";

/// Writes it.
pub(crate) fn write(contract: &Contract) -> String {
    let mut page = HEAD.to_owned();
    let count = |verdict| contract.rows().filter(|row| row.is == verdict).count();
    line(&mut page, "");
    line(&mut page, "| the same | better | different | missing | in all |");
    line(&mut page, "| --- | --- | --- | --- | --- |");
    let counts = [Verdict::Same, Verdict::Better, Verdict::Different, Verdict::Missing].map(count);
    let [same, better, different, missing] = counts;
    let all: usize = counts.iter().sum();
    line(&mut page, &format!("| {same} | {better} | {different} | {missing} | {all} |"));
    for section in &contract.sections {
        line(&mut page, &format!("\n## {}\n", section.title));
        line(&mut page, "| upstream | here | shown by |");
        line(&mut page, "| --- | --- | --- |");
        for row in &section.rows {
            let tests: Vec<_> = row.test.0.iter().map(link).collect();
            let cells = [row.what.replace('|', "\\|"), verdict(row).replace('|', "\\|"), tests.join(", ")];
            line(&mut page, &format!("| {} |", cells.join(" | ")));
        }
    }
    page
}

fn verdict(row: &Row) -> String {
    let word = match row.is {
        Verdict::Same => "same",
        Verdict::Better => "better",
        Verdict::Different => "different",
        Verdict::Missing => "missing",
    };
    if row.how.is_empty() { word.to_owned() } else { format!("{word}: {}", row.how) }
}

fn link(proof: &Proof) -> String {
    format!("[{}](../{})", proof.function(), proof.file())
}

fn line(page: &mut String, line: &str) {
    // Writing to a `String` cannot fail.
    let _ = writeln!(page, "{line}");
}
