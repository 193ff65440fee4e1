//! Text that others wrote, made safe to show on a terminal.

use std::borrow::Cow;

use anstyle_parse::{Parser, Perform};

/// One line of text without anything that a terminal would obey.
///
/// Escape sequences are removed. What else controls a terminal (C0 and C1 characters but for the tab, and characters that reorder text) is
/// shown escaped, a line feed included.
pub fn harmless(line: &str) -> Cow<'_, str> {
    if !line.chars().any(controls) {
        return Cow::Borrowed(line);
    }
    let mut text = Printed(String::with_capacity(line.len()));
    let mut parser = Parser::<anstyle_parse::DefaultCharAccumulator>::new();
    for byte in line.bytes() {
        parser.advance(&mut text, byte);
    }
    Cow::Owned(text.0)
}

/// The first `limit` bytes of a line, at most, and a note of how much is missing. A guest can print a line of any length.
pub(super) fn bounded(line: &str, limit: usize) -> Cow<'_, str> {
    if line.len() <= limit {
        return Cow::Borrowed(line);
    }
    let end = (0..=limit).rev().find(|end| line.is_char_boundary(*end)).unwrap_or_default();
    let shown = &line[..end];
    Cow::Owned(format!("{shown}… ({} more bytes)", line.len() - shown.len()))
}

/// What a terminal prints, once a parser has taken the sequences out.
struct Printed(String);

impl Perform for Printed {
    fn print(&mut self, character: char) {
        if controls(character) {
            self.0.extend(character.escape_default());
        } else {
            self.0.push(character);
        }
    }

    fn execute(&mut self, byte: u8) {
        self.print(byte.into());
    }
}

fn controls(character: char) -> bool {
    let reorders = matches!(character,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    reorders || (character.is_control() && character != '\t')
}

#[cfg(test)]
mod tests {
    use super::{bounded, harmless};

    #[test]
    fn plain_text_is_left_alone() {
        for text in ["", "plain", "tab\tand ümläut ☃"] {
            assert_eq!(harmless(text), text);
        }
    }

    #[test]
    fn nothing_that_a_terminal_obeys_remains() {
        for (text, expected) in [
            ("\x1b[31mred\x1b[0m", "red"),
            ("clear\x1b[2J\x1b[H screen", "clear screen"),
            ("\x1b]0;title\x07bell ended", "bell ended"),
            ("\x1b]52;c;cGFzdGU=\x1b\\string ended", "string ended"),
            ("\x1bPq#0;2;0;0;0\x1b\\sixel", "sixel"),
            ("\x1b_Gkitty\x1b\\graphics", "graphics"),
            ("\x1bcreset", "reset"),
            ("over\rwrite", "over\\rwrite"),
            ("two\nlines", "two\\nlines"),
            ("bell\x07 back\x08 nul\0", "bell\\u{7} back\\u{8} nul\\u{0}"),
            ("8-bit \u{9b}31m", "8-bit \\u{9b}31m"),
            ("cut off \x1b[3", "cut off "),
            ("unended \x1b]0;title", "unended "),
            ("\u{202e}drawkcab", "\\u{202e}drawkcab"),
            ("é\x1b[1mé", "éé"),
        ] {
            assert_eq!(harmless(text), expected, "{text:?}");
        }
    }

    #[test]
    fn every_control_character_is_caught() {
        for code in (0..0x20).chain(0x7f..0xa0) {
            let character = char::from(code);
            let shown = harmless(&format!("a{character}b")).into_owned();
            assert!(character == '\t' || !shown.contains(char::is_control), "{code:#x}: {shown:?}");
        }
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        assert_eq!(bounded("abc", 3), "abc");
        assert_eq!(bounded("abcdef", 3), "abc… (3 more bytes)");
        assert_eq!(bounded("éé", 3), "é… (2 more bytes)");
    }
}
