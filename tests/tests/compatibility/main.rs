//! docs/compatibility.md says what tests/contract/compatibility.toml says, and what that says is proven by tests that are there.
//!
//! `UPDATE=1 cargo test -p tandem-tests --test compatibility` writes the page anew.

#[cfg(test)]
mod contract;
#[cfg(test)]
mod page;

#[cfg(test)]
use std::collections::BTreeSet;
#[cfg(test)]
use std::path::{Path, PathBuf};

#[cfg(test)]
use contract::{Contract, Proof, Verdict};

/// The parts of the contract, each of which has rows.
#[cfg(test)]
const SECTIONS: &[&str] = &[
    "1.1", "1.2", "1.3", "1.4", "1.5", "1.6", "1.7", "2.1", "2.2", "2.3", "2.4", "2.5", "3.1", "3.2", "3.3", "3.4",
    "3.5", "3.6", "4.1", "4.2", "4.3", "4.4", "4.5", "5.1", "5.2", "5.3", "5.4", "5.5", "5.6", "5.7", "6.1", "6.2",
    "6.3", "6.4", "9",
];

/// How many numbered faults of upstream's there are.
#[cfg(test)]
const FAULTS: usize = 20;

#[cfg(test)]
fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn the_page_is_what_the_data_says() {
    let file = repository().join(page::FILE);
    let expected = page::write(&Contract::read());
    if std::env::var_os("UPDATE").is_some_and(|value| !value.is_empty()) {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, &expected).unwrap();
    }
    let page = std::fs::read_to_string(&file).unwrap_or_default();
    let differing = page.lines().zip(expected.lines()).position(|(is, shall)| is != shall);
    let line = differing.map_or_else(|| page.lines().count().min(expected.lines().count()) + 1, |line| line + 1);
    assert!(
        page == expected,
        "{} differs from its data at line {line}; UPDATE=1 cargo test -p tandem-tests --test compatibility writes it anew",
        page::FILE
    );
}

#[test]
fn every_test_that_is_named_is_there() {
    let contract = Contract::read();
    let missing: Vec<_> = contract.rows().flat_map(|row| &row.test.0).filter_map(Proof::lacking).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn every_row_says_what_its_verdict_needs() {
    let mut wrong = Vec::new();
    for row in Contract::read().rows() {
        let (proven, explained) = (!row.test.0.is_empty(), !row.how.is_empty());
        let (shall_be_proven, shall_be_explained) = match row.is {
            Verdict::Same => (true, explained),
            Verdict::Better | Verdict::Different => (true, true),
            Verdict::Missing => (false, explained),
        };
        if proven != shall_be_proven || explained != shall_be_explained {
            wrong.push(format!("{}: {:?} with {} tests and `how` = {:?}", row.id, row.is, row.test.0.len(), row.how));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_part_of_the_contract_has_rows_with_names_of_their_own() {
    let contract = Contract::read();
    let sections: Vec<_> = contract.sections.iter().map(|section| &*section.number).collect();
    assert_eq!(sections, SECTIONS);
    assert!(contract.sections.iter().all(|section| !section.rows.is_empty()));

    let mut seen = BTreeSet::new();
    let twice: Vec<_> = contract.rows().map(|row| &row.id).filter(|id| !seen.insert(*id)).collect();
    assert!(twice.is_empty(), "more than one row is named so: {twice:?}");
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._".contains(c);
    let odd: Vec<_> = seen.iter().filter(|id| !id.contains('.') || !id.chars().all(plain)).collect();
    assert!(odd.is_empty(), "{odd:?}");
    let faults: Vec<_> = contract.rows().map(|row| &*row.id).filter(|id| id.starts_with("fault.")).collect();
    assert_eq!(faults, (1..=FAULTS).map(|number| format!("fault.{number}")).collect::<Vec<_>>());
}
