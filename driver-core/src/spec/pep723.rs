//! The block of metadata in a Python file: comments that hold TOML, as PEP 723 has it.
//!
//! <https://peps.python.org/pep-0723/>

use super::report::Report;
use super::toml;
use super::value::{Table, Value};

/// The line that ends a block.
const END: &str = "# ///";

const KEYS: [&str; 3] = ["requires-python", "dependencies", "tool"];

/// What the block of a script says.
#[derive(Debug, Default)]
pub(super) struct Metadata {
    /// The versions of Python that the script is for.
    pub(super) requires_python: Option<String>,
    /// The packages that it needs.
    pub(super) dependencies: Vec<String>,
    /// The table `[tool.tandem]`.
    pub(super) tandem: Option<Table>,
}

/// The block of `script` that is about the script, if it has one. A second one is told as a problem.
pub(super) fn block(script: &str, report: &mut Report<'_>) -> Option<Block> {
    let lines: Vec<&str> = script.lines().collect();
    let mut blocks = blocks(&lines).into_iter().filter(|block| block.kind == "script");
    let block = blocks.next()?;
    for other in blocks {
        let first = block.opening + 1;
        report
            .line(other.opening + 1)
            .problem(format!("a second `# /// script` block; the first begins at line {first}"), "make one of them");
    }
    Some(block)
}

/// A block of comments.
#[derive(Debug, PartialEq)]
pub(super) struct Block {
    kind: String,
    /// The index of the line `# /// KIND`.
    opening: usize,
    /// What the lines between the first and the last hold.
    content: String,
}

impl Block {
    /// What the block says, if it is TOML.
    pub(super) fn metadata(&self, report: &mut Report<'_>) -> Option<Metadata> {
        match toml::parse(&self.content) {
            Ok(table) => Some(read(table, report)),
            Err(mut errors) => {
                for error in &mut errors {
                    error.line += self.opening + 1;
                    error.column += "# ".len();
                }
                report.syntax("TOML", errors);
                None
            }
        }
    }
}

/// Why a script without a block has none though it begins one: the line of the beginning, counted from 1, and what is wrong with it.
pub(super) fn broken(script: &str) -> Option<(usize, String)> {
    let lines: Vec<&str> = script.lines().collect();
    let first = lines.iter().position(|line| kind(line) == Some("script"))? + 1;
    let wrong = if lines.get(first) == Some(&END) {
        "is empty".to_owned()
    } else {
        format!("has no `{END}` before its comments end in line {}", end_of_comments(&lines, first))
    };
    Some((first, wrong))
}

fn read(table: Table, report: &mut Report<'_>) -> Metadata {
    let mut metadata = Metadata::default();
    for (key, value) in table.0 {
        let mut report = report.key(&key);
        match key.as_str() {
            "requires-python" => {
                metadata.requires_python = report.string(&value, "a string such as `\">=3.11\"`").map(str::to_owned);
            }
            "dependencies" => {
                let texts = report.strings(&value, "a list of strings such as `[\"requests\"]`");
                metadata.dependencies = texts.into_iter().map(str::to_owned).collect();
            }
            "tool" => metadata.tandem = tandem(value, &mut report),
            _ => report.unknown_key(&key, &KEYS),
        }
    }
    metadata
}

/// The table of ours among those of other tools. One of a wrong type counts as empty: nobody needs to be told to add it.
fn tandem(tools: Value, report: &mut Report<'_>) -> Option<Table> {
    let Value::Table(tools) = tools else {
        report.wrong_type("a table", tools);
        return Some(Table::default());
    };
    match tools.0.into_iter().find_map(|(name, value)| (name == "tandem").then_some(value))? {
        Value::Table(table) => Some(table),
        other => {
            report.key("tandem").wrong_type("a table `[tool.tandem]`", other);
            Some(Table::default())
        }
    }
}

/// All blocks, as PEP 723's reference implementation finds them: a block ends with the last `# ///` of its comments, and holds at least
/// one line. What is not ended is no block.
fn blocks(lines: &[&str]) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut index = 0;
    while let Some(line) = lines.get(index) {
        let opening = index;
        index += 1;
        let Some(kind) = kind(line) else { continue };
        let comments = &lines[index..end_of_comments(lines, index)];
        if let Some(length) = comments.iter().rposition(|line| *line == END).filter(|length| *length > 0) {
            let content: Vec<_> =
                comments[..length].iter().map(|line| line.strip_prefix("# ").unwrap_or_default()).collect();
            let content = content.join("\n");
            blocks.push(Block { kind: kind.to_owned(), opening, content });
            index += length + 1;
        }
    }
    blocks
}

/// The kind of block that a line begins.
fn kind(line: &str) -> Option<&str> {
    let kind = line.strip_prefix("# /// ")?;
    (!kind.is_empty() && kind.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')).then_some(kind)
}

/// The index of the first line from `start` on that cannot be in a block.
fn end_of_comments(lines: &[&str], start: usize) -> usize {
    let is_comment = |line: &&str| *line == "#" || line.starts_with("# ");
    start + lines[start..].iter().take_while(|line| is_comment(line)).count()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn blocks_are_those_of_the_reference() {
        let block =
            |kind: &str, opening, content: &str| Block { kind: kind.to_owned(), opening, content: content.to_owned() };
        for (script, expected) in [
            ("# /// script\n# a = 1\n#\n#  b = 2\n# ///\n", vec![block("script", 0, "a = 1\n\n b = 2")]),
            ("#!/bin/x\n# /// script\r\n# a = 1\r\n# ///\r\ncode", vec![block("script", 1, "a = 1")]),
            ("# /// x-1\n# a\n# ///\n\n# /// script\n# b\n# ///", vec![block("x-1", 0, "a"), block("script", 4, "b")]),
            // The last end counts, so a second opening in the same comment is content.
            ("# /// script\n# a\n# ///\n# b\n# ///\n# c", vec![block("script", 0, "a\n///\nb")]),
            // Neither ended, nor with content, nor of comments only, nor begun to the letter.
            ("# /// script\n# a\n", vec![]),
            ("# /// script\n# ///\n", vec![]),
            ("# /// script\n# a\n\n# ///\n", vec![]),
            ("# /// script\n#a\n# ///\n", vec![]),
            ("# /// script \n# a\n# ///\n", vec![]),
            ("#/// script\n# a\n# ///\n", vec![]),
            (" # /// script\n# a\n# ///\n", vec![]),
            // What follows a block that is not ended is looked at again.
            ("# /// a\nx\n# /// script\n# b\n# ///", vec![block("script", 2, "b")]),
        ] {
            let lines: Vec<_> = script.lines().collect();
            assert_eq!(blocks(&lines), expected, "{script:?}");
        }
    }

    #[test]
    fn a_broken_block_is_told_from_none() {
        for (script, expected) in [
            (
                "x\n# /// script\n# a = 1\n#b = 2\n# ///\n",
                Some((2, "has no `# ///` before its comments end in line 3")),
            ),
            ("# /// script\n# a = 1\n# /// ", Some((1, "has no `# ///` before its comments end in line 3"))),
            ("# /// script\n# ///\nx", Some((1, "is empty"))),
            ("# script", None),
        ] {
            assert_eq!(broken(script), expected.map(|(line, wrong)| (line, wrong.to_owned())), "{script:?}");
        }
    }

    fn said(script: &str) -> (Option<Metadata>, String) {
        let mut problems = Vec::new();
        let mut report = Report::new(Path::new("t.py"), &mut problems);
        let metadata = block(script, &mut report).and_then(|block| block.metadata(&mut report));
        (metadata, super::super::list(&problems))
    }

    #[test]
    fn metadata_is_ours_among_that_of_other_tools() {
        let (metadata, problems) = said(
            "# /// script\n# requires-python = '>=3.11'\n# dependencies = ['a', 'b>1']\n# [tool.uv]\n# x = 1\n# [tool.tandem]\n# ///\n",
        );
        let metadata = metadata.unwrap();
        assert_eq!(problems, "");
        assert_eq!(metadata.requires_python.as_deref(), Some(">=3.11"));
        assert_eq!(metadata.dependencies, ["a", "b>1"]);
        assert_eq!(metadata.tandem, Some(Table::default()));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (script, expected) in [
            (
                "# /// script\n# a = 1\n# ///\n\n# /// script\n# b = 1\n# ///\n",
                "t.py:5: a second `# /// script` block; the first begins at line 1; make one of them",
            ),
            ("# /// script\n# tool = 1\n# ///\n", "t.py: key `tool`: expected a table, found a whole number"),
            (
                "# /// script\n# dependencies = [1]\n# ///\n",
                "t.py: key `dependencies`: expected a list of strings such as `[\"requests\"]`, found a whole number in the list",
            ),
            (
                "# /// script\n# tool.tandem = 1\n# ///\n",
                "t.py: key `tool`: key `tandem`: expected a table `[tool.tandem]`, found a whole number",
            ),
            (
                "# /// script\n# dependences = []\n# ///\n",
                "t.py: key `dependences`: unknown key; did you mean `dependencies`?",
            ),
            ("\n# /// script\n# a = 'x'\n#\n# b\n# ///\n", "t.py:5:4: not valid TOML: "),
        ] {
            let (_, problems) = said(script);
            assert!(problems.lines().any(|line| line.starts_with(expected)), "{script:?}: {problems}");
        }
    }
}
