//! The data.

use serde::Deserialize;

use crate::repository;

/// Everything that the contract has, part by part.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contract {
    #[serde(rename = "section")]
    pub(crate) sections: Vec<Section>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Section {
    pub(crate) number: String,
    pub(crate) title: String,
    pub(crate) rows: Vec<Row>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Row {
    /// Its name, which others can refer to.
    pub(crate) id: String,
    /// What upstream's driver does.
    pub(crate) what: String,
    pub(crate) is: Verdict,
    /// In what way it is not the same, or what else is worth saying.
    #[serde(default)]
    pub(crate) how: String,
    #[serde(default)]
    pub(crate) test: Proofs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    Same,
    Better,
    Different,
    Missing,
}

/// Tests, written as one text or as a list of such.
#[derive(Debug, Default, Deserialize)]
#[serde(from = "OneOrMore")]
pub(crate) struct Proofs(pub(crate) Vec<Proof>);

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl From<OneOrMore> for Proofs {
    fn from(tests: OneOrMore) -> Self {
        let tests = match tests {
            OneOrMore::One(test) => vec![test],
            OneOrMore::More(tests) => tests,
        };
        Self(tests.into_iter().map(Proof).collect())
    }
}

/// A test, as `FILE::FUNCTION`.
#[derive(Debug)]
pub(crate) struct Proof(String);

impl Proof {
    pub(crate) fn file(&self) -> &str {
        self.0.split_once("::").map_or(&*self.0, |(file, _)| file)
    }

    pub(crate) fn function(&self) -> &str {
        self.0.split_once("::").map_or("", |(_, function)| function)
    }

    /// Why it is none, if it is.
    pub(crate) fn lacking(&self) -> Option<String> {
        let (file, function) = (self.file(), self.function());
        let Ok(text) = std::fs::read_to_string(repository().join(file)) else {
            return Some(format!("{}: no such file", self.0));
        };
        let there = ["fn", "def"].iter().any(|keyword| text.contains(&format!("{keyword} {function}(")));
        (!there).then(|| format!("{}: no such function", self.0))
    }
}

impl Contract {
    /// Reads the data.
    pub(crate) fn read() -> Self {
        let file = repository().join("tests/contract/compatibility.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
    }

    /// All rows, in order.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.sections.iter().flat_map(|section| &section.rows)
    }
}
