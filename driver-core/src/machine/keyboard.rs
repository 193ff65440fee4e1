//! The keyboard.

use std::time::Duration;

use tokio::time::sleep;

use super::boot::Boot;
use super::start::Again;
use super::{DEVICE, Machine};
use crate::error::Error;
use crate::guest::Keyboard;

/// The power as refusals call it.
const KEYBOARD: &str = "keyboard";

impl Machine {
    /// Presses and releases a key, or several joined by `-` at the same time, and then waits for `delay`. Names are QEMU's (`ret`,
    /// `ctrl-alt-f1`); a single character stands for what types it on a US keyboard. An unknown key is refused.
    pub async fn send_key(&self, key: &str, delay: Duration) -> Result<(), Error> {
        self.step(format!("sending key {}", quoted(key)), |machine| async move { machine.press_key(key, delay).await })
            .await
    }

    /// The same without a step in the record, for keys of which there are many.
    pub async fn press_key(&self, key: &str, delay: Duration) -> Result<(), Error> {
        const VERB: &str = "send_key";
        let boot = self.launched(Again::NotAfterDeath).await?;
        let keyboard = boot.guest.keyboard().ok_or_else(|| self.lacks(VERB, KEYBOARD))?;
        keyboard.check(key).map_err(|why| self.cannot(VERB, &why))?;
        press(&boot, keyboard, VERB, key, delay).await
    }

    /// Types a text, a key for each character, and waits for `delay` after each. A text with a character that no key types is refused before
    /// anything is typed.
    pub async fn send_chars(&self, text: &str, delay: Duration) -> Result<(), Error> {
        const VERB: &str = "send_chars";
        let step = self.step(format!("sending keys {}", quoted(text)), |machine| async move {
            let boot = machine.launched(Again::NotAfterDeath).await?;
            let keyboard = boot.guest.keyboard().ok_or_else(|| machine.lacks(VERB, KEYBOARD))?;
            let keys: Vec<String> = text.chars().map(String::from).collect();
            for key in &keys {
                keyboard.check(key).map_err(|why| machine.cannot(VERB, &why))?;
            }
            for key in &keys {
                press(&boot, keyboard, VERB, key, delay).await?;
            }
            Ok(())
        });
        step.await
    }
}

async fn press(boot: &Boot, keyboard: &dyn Keyboard, verb: &str, key: &str, delay: Duration) -> Result<(), Error> {
    boot.race(verb, Some(DEVICE), keyboard.press(key)).await?;
    sleep(delay).await;
    Ok(())
}

/// A text in quotes, as upstream's log shows it.
fn quoted(text: &str) -> String {
    let mark = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut quoted = String::from(mark);
    for character in text.chars() {
        match character {
            '\\' => quoted.push_str(r"\\"),
            _ if character == mark => quoted.extend(['\\', character]),
            _ if character.is_control() => quoted.extend(character.escape_default()),
            _ => quoted.push(character),
        }
    }
    quoted.push(mark);
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_those_of_upstreams_log() {
        for (text, expected) in [
            ("ret", "'ret'"),
            ("it's\n", r#""it's\n""#),
            ("it's \"x\"", r#"'it\'s "x"'"#),
            (r"a\b", r"'a\\b'"),
            ("grüß\t", r"'grüß\t'"),
        ] {
            assert_eq!(quoted(text), expected);
        }
    }
}
