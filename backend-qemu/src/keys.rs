//! Keys by the names that tests use for them: QEMU's.
//!
//! A stroke is a key's name, names joined by `-` that are pressed together (`ctrl-alt-delete`), or one character. Names are those of QEMU's
//! monitor command `sendkey`: its `QKeyCode`s and scancodes in hexadecimal (`0x0B`). A character is typed as on a keyboard with the layout of
//! the United States.

use driver_core::spec::nearest;
use serde::Serialize;

/// A key, as QMP has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", content = "data", rename_all = "lowercase")]
pub enum Key {
    /// By name: one of QEMU's `QKeyCode`s.
    Qcode(String),
    /// By scancode: set 1, with the highest bit for the extended ones.
    Number(u8),
}

/// A stroke that no key makes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownKey {
    /// No key has this name.
    #[error("no key is named {name:?}{}", cure(name))]
    Name {
        /// The name.
        name: String,
    },
    /// No key of a keyboard with the layout of the United States types this character.
    #[error("no key of a US keyboard types {0:?}")]
    Character(char),
    /// A scancode is not one of 0x01 to 0xff.
    #[error("{0} is no scancode; one is between 0x01 and 0xff")]
    Scancode(String),
}

/// The keys of one stroke, in the order in which they go down.
pub fn parse(stroke: &str) -> Result<Vec<Key>, UnknownKey> {
    let mut characters = stroke.chars();
    if let (Some(character), None) = (characters.next(), characters.next()) {
        return typing(character);
    }
    stroke.split('-').map(key).collect()
}

/// The keys that type one character.
pub fn typing(character: char) -> Result<Vec<Key>, UnknownKey> {
    let named = |name: &str| Key::Qcode(name.into());
    if character.is_ascii_lowercase() || character.is_ascii_digit() {
        return Ok(vec![named(character.encode_utf8(&mut [0; 4]))]);
    }
    if character.is_ascii_uppercase() {
        let letter = character.to_ascii_lowercase();
        return Ok(vec![named("shift"), named(letter.encode_utf8(&mut [0; 4]))]);
    }
    CHARACTERS
        .iter()
        .find_map(|(plain, shifted, name)| {
            if *plain == Some(character) {
                Some(vec![named(name)])
            } else if *shifted == Some(character) {
                Some(vec![named("shift"), named(name)])
            } else {
                None
            }
        })
        .ok_or(UnknownKey::Character(character))
}

/// The names that a key can have.
pub fn names() -> impl Iterator<Item = &'static str> {
    NAMES.iter().copied()
}

fn key(name: &str) -> Result<Key, UnknownKey> {
    if let Some(digits) = name.strip_prefix("0x") {
        let code = u8::from_str_radix(digits, 16).ok().filter(|code| *code != 0 && !digits.starts_with('+'));
        return code.map(Key::Number).ok_or_else(|| UnknownKey::Scancode(name.into()));
    }
    // What `sendkey` calls the key between the left shift and z.
    let known = if name == "<" { "less" } else { name };
    if NAMES.contains(&known) { Ok(Key::Qcode(known.into())) } else { Err(UnknownKey::Name { name: name.into() }) }
}

fn cure(name: &str) -> String {
    // Anything short is near to some letter.
    let names = names().filter(|known| known.len() > 1 || name.len() == 1);
    match nearest(name, names) {
        Some(known) => format!("; did you mean {known:?}?"),
        None => String::new(),
    }
}

/// What a key types alone and with shift, and its name. Letters and digits alone are named as what they type.
const CHARACTERS: &[(Option<char>, Option<char>, &str)] = &[
    (None, Some('!'), "1"),
    (None, Some('@'), "2"),
    (None, Some('#'), "3"),
    (None, Some('$'), "4"),
    (None, Some('%'), "5"),
    (None, Some('^'), "6"),
    (None, Some('&'), "7"),
    (None, Some('*'), "8"),
    (None, Some('('), "9"),
    (None, Some(')'), "0"),
    (Some('-'), Some('_'), "minus"),
    (Some('='), Some('+'), "equal"),
    (Some('['), Some('{'), "bracket_left"),
    (Some(']'), Some('}'), "bracket_right"),
    (Some(';'), Some(':'), "semicolon"),
    (Some('\''), Some('"'), "apostrophe"),
    (Some('`'), Some('~'), "grave_accent"),
    (Some('\\'), Some('|'), "backslash"),
    (Some(','), Some('<'), "comma"),
    (Some('.'), Some('>'), "dot"),
    (Some('/'), Some('?'), "slash"),
    (Some(' '), None, "spc"),
    (Some('\n'), None, "ret"),
    (Some('\t'), None, "tab"),
];

/// QEMU's `QKeyCode`s but `unmapped`. QEMU 7 does not have f13 to f24 yet and refuses them by itself.
#[rustfmt::skip]
const NAMES: &[&str] = &[
    "shift", "shift_r", "alt", "alt_r", "ctrl", "ctrl_r", "menu", "esc",
    "1", "2", "3", "4", "5", "6", "7", "8", "9", "0", "minus", "equal", "backspace", "tab",
    "q", "w", "e", "r", "t", "y", "u", "i", "o", "p", "bracket_left", "bracket_right", "ret",
    "a", "s", "d", "f", "g", "h", "j", "k", "l", "semicolon", "apostrophe", "grave_accent", "backslash",
    "z", "x", "c", "v", "b", "n", "m", "comma", "dot", "slash", "asterisk", "spc", "caps_lock",
    "f1", "f2", "f3", "f4", "f5", "f6", "f7", "f8", "f9", "f10", "f11", "f12",
    "f13", "f14", "f15", "f16", "f17", "f18", "f19", "f20", "f21", "f22", "f23", "f24",
    "num_lock", "scroll_lock", "kp_divide", "kp_multiply", "kp_subtract", "kp_add", "kp_enter", "kp_decimal", "sysrq",
    "kp_0", "kp_1", "kp_2", "kp_3", "kp_4", "kp_5", "kp_6", "kp_7", "kp_8", "kp_9", "kp_comma", "kp_equals", "less",
    "print", "home", "pgup", "pgdn", "end", "left", "up", "down", "right", "insert", "delete",
    "stop", "again", "props", "undo", "front", "copy", "open", "paste", "find", "cut", "lf", "help",
    "meta_l", "meta_r", "compose", "pause", "ro", "hiragana", "henkan", "yen", "muhenkan", "katakanahiragana",
    "lang1", "lang2", "power", "sleep", "wake", "audionext", "audioprev", "audiostop", "audioplay", "audiomute",
    "volumeup", "volumedown", "mediaselect", "mail", "calculator", "computer",
    "ac_home", "ac_back", "ac_forward", "ac_refresh", "ac_bookmarks",
];

#[cfg(test)]
mod tests {
    use super::*;

    /// A stroke as `sendkey` would write it.
    fn written(stroke: &str) -> Result<String, String> {
        let keys = parse(stroke).map_err(|error| error.to_string())?;
        let names = keys.into_iter().map(|key| match key {
            Key::Qcode(name) => name,
            Key::Number(code) => format!("{code:#04x}"),
        });
        Ok(names.collect::<Vec<_>>().join("-"))
    }

    #[test]
    fn strokes_are_keys_pressed_together() {
        for (stroke, expected) in [
            ("ret", "ret"),
            ("ctrl-alt-delete", "ctrl-alt-delete"),
            ("alt-f2", "alt-f2"),
            ("meta_l-spc", "meta_l-spc"),
            ("shift-0x0B", "shift-0x0b"),
            ("0xff", "0xff"),
            ("ctrl-<", "ctrl-less"),
            ("kp_5", "kp_5"),
            ("a", "a"),
            ("Z", "shift-z"),
            ("7", "7"),
            ("<", "shift-comma"),
            ("\t", "tab"),
        ] {
            assert_eq!(written(stroke).as_deref(), Ok(expected), "{stroke}");
        }
    }

    #[test]
    fn what_is_no_key_is_told() {
        for (stroke, expected) in [
            ("rte", "no key is named \"rte\"; did you mean \"ret\"?"),
            ("ctrl-alt-del", "no key is named \"del\""),
            ("alt-caps-lock", "no key is named \"caps\""),
            ("alt-capslock", "no key is named \"capslock\"; did you mean \"caps_lock\"?"),
            ("ctrl-C", "no key is named \"C\"; did you mean \"c\"?"),
            ("Ret", "no key is named \"Ret\"; did you mean \"ret\"?"),
            ("enterprise", "no key is named \"enterprise\""),
            ("", "no key is named \"\""),
            ("xy", "no key is named \"xy\""),
            ("ctrl-", "no key is named \"\""),
            ("unmapped", "no key is named \"unmapped\""),
            ("é", "no key of a US keyboard types 'é'"),
            ("\u{7}", "no key of a US keyboard types '\\u{7}'"),
            ("0x0", "0x0 is no scancode; one is between 0x01 and 0xff"),
            ("shift-0x100", "0x100 is no scancode; one is between 0x01 and 0xff"),
            ("0x", "0x is no scancode; one is between 0x01 and 0xff"),
            ("0x+1", "0x+1 is no scancode; one is between 0x01 and 0xff"),
        ] {
            assert_eq!(written(stroke), Err(expected.into()), "{stroke:?}");
        }
    }

    #[test]
    fn characters_are_typed_as_in_the_united_states() {
        for (name, characters) in [
            ("minus", "-_"),
            ("equal", "=+"),
            ("bracket_left", "[{"),
            ("bracket_right", "]}"),
            ("semicolon", ";:"),
            ("apostrophe", "'\""),
            ("grave_accent", "`~"),
            ("backslash", "\\|"),
            ("comma", ",<"),
            ("dot", ".>"),
            ("slash", "/?"),
        ] {
            let (plain, shifted) = characters.split_at(1);
            assert_eq!(written(plain).as_deref(), Ok(name));
            assert_eq!(written(shifted), Ok(format!("shift-{name}")));
        }
        for (character, digit) in "!@#$%^&*()".chars().zip("1234567890".chars()) {
            assert_eq!(written(&character.to_string()), Ok(format!("shift-{digit}")));
        }
        assert_eq!(written(" ").as_deref(), Ok("spc"));
        assert_eq!(written("\n").as_deref(), Ok("ret"));
    }

    #[test]
    fn every_printable_character_can_be_typed() {
        for character in ' '..='~' {
            let keys = typing(character).unwrap();
            assert!((1..=2).contains(&keys.len()), "{character}");
            assert!(keys.iter().all(|key| matches!(key, Key::Qcode(name) if NAMES.contains(&name.as_str()))));
        }
    }
}
