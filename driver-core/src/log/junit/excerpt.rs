//! The beginning and the end of a text of any length.

use std::collections::VecDeque;
use std::fmt::Write as _;

use crate::log::harmless::bounded;
use crate::log::words::non_empty;

/// How many bytes of a line are kept, and how many of the first and of the last lines each.
const LINE: usize = 4 << 10;
const SIDE: usize = 128 << 10;

/// Keeps the first and the last lines that it is given.
#[derive(Debug, Default)]
pub(super) struct Excerpt {
    first: String,
    last: VecDeque<String>,
    last_size: usize,
    left_out: usize,
}

impl Excerpt {
    /// Adds a text, which is one line at least.
    pub(super) fn add(&mut self, text: &str) {
        non_empty(text).for_each(|line| self.line(line));
    }

    fn line(&mut self, line: &str) {
        let line = format!("{}\n", bounded(line, LINE));
        if self.last.is_empty() && self.first.len() + line.len() <= SIDE {
            return self.first.push_str(&line);
        }
        self.last_size += line.len();
        self.last.push_back(line);
        while self.last_size > SIDE
            && let Some(line) = self.last.pop_front()
        {
            self.last_size -= line.len();
            self.left_out += 1;
        }
    }

    /// All of it, if there is any.
    pub(super) fn text(&self) -> Option<String> {
        let mut text = self.first.clone();
        if self.left_out > 0 {
            let _ = writeln!(text, "… ({} more lines)", self.left_out);
        }
        text.extend(self.last.iter().map(String::as_str));
        (!text.is_empty()).then_some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_is_kept_as_it_is() {
        let mut excerpt = Excerpt::default();
        assert_eq!(excerpt.text(), None);
        excerpt.line("one");
        excerpt.line("two");
        assert_eq!(excerpt.text().unwrap(), "one\ntwo\n");
    }

    #[test]
    fn much_is_cut_in_the_middle() {
        let mut excerpt = Excerpt::default();
        for number in 0..100_000 {
            excerpt.line(&format!("line {number}"));
        }
        excerpt.line(&"x".repeat(1 << 20));
        let text = excerpt.text().unwrap();
        assert!(text.len() < 2 * SIDE + 100, "{}", text.len());
        assert!(text.starts_with("line 0\n") && text.contains("line 99999\nxxx"));
        let shown = text.lines().count() - 1;
        assert!(text.contains(&format!("\n… ({} more lines)\n", 100_001 - shown)));
    }
}
