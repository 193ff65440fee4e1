//! Patterns: regular expressions in the syntax of the crate `regex`, matched in time linear in the text.

use std::error::Error as _;

use regex_automata::Input;
use regex_automata::hybrid::LazyStateID;
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson;
use regex_automata::util::syntax;

const UNLIMITED: &str = "a cache without a limit of clearings never gives up";

/// A pattern that can be searched for in texts.
pub(super) struct Pattern(DFA);

impl Pattern {
    /// The pattern; otherwise what is wrong with it.
    pub(super) fn new(pattern: &str) -> Result<Self, String> {
        // An automaton cannot tell the word boundaries of Unicode, but those of ASCII, and then only without Unicode classes.
        automaton(pattern, true).or_else(|why| automaton(pattern, false).map_err(|_| why)).map(Self)
    }

    /// Whether it matches somewhere in a text.
    pub(super) fn matches(&self, text: &str) -> bool {
        let mut place = self.start();
        place.feed(self, text) || place.ends(self)
    }

    /// The start of a text that comes piece by piece.
    pub(super) fn start(&self) -> Place {
        let mut cache = self.0.create_cache();
        let state = self.0.start_state_forward(&mut cache, &Input::new("")).expect("no quit bytes are set");
        Place { cache, state }
    }
}

/// Where a search stands in a text that comes piece by piece.
#[derive(Clone)]
pub(super) struct Place {
    cache: Cache,
    state: LazyStateID,
}

impl Place {
    /// Goes on with the next piece; whether there is a match up to here, whatever follows.
    pub(super) fn feed(&mut self, pattern: &Pattern, piece: &str) -> bool {
        for &byte in piece.as_bytes() {
            self.state = pattern.0.next_state(&mut self.cache, self.state, byte).expect(UNLIMITED);
            if self.state.is_match() {
                return true;
            }
        }
        false
    }

    /// Whether there is a match if the text ends here.
    fn ends(&mut self, pattern: &Pattern) -> bool {
        pattern.0.next_eoi_state(&mut self.cache, self.state).expect(UNLIMITED).is_match()
    }

    /// Goes on with the next piece; whether there is a match up to here as if the text ended here.
    pub(super) fn goes_on(&mut self, pattern: &Pattern, piece: &str) -> bool {
        self.feed(pattern, piece) || self.ends(pattern)
    }
}

fn automaton(pattern: &str, unicode: bool) -> Result<DFA, String> {
    let automaton = DFA::builder()
        .configure(DFA::config().skip_cache_capacity_check(true))
        .syntax(syntax::Config::new().unicode(unicode).utf8(unicode))
        .thompson(thompson::Config::new().utf8(unicode))
        .build(pattern);
    automaton.map_err(|error| {
        let mut why = format!("`{pattern}` is no regular expression: {error}");
        let mut cause = error.source();
        while let Some(error) = cause {
            why.push_str(": ");
            why.push_str(&error.to_string());
            cause = error.source();
        }
        why
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_texts_are_matched_one_after_the_other() {
        let pattern = Pattern::new(r"(?m)^login: $").unwrap();
        assert!(!pattern.matches("a login: b"));
        assert!(pattern.matches("Welcome\nlogin: "));
        assert!(!pattern.matches("Welcome"));
        assert!(Pattern::new("").unwrap().matches(""));
        assert!(Pattern::new("^$").unwrap().matches(""));
        assert!(!Pattern::new("x").unwrap().matches(""));
    }
}
