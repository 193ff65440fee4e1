//! The text on virtual terminals.

use std::time::Duration;

use super::boot::Boot;
use super::pattern::Pattern;
use super::{DEFAULT_TIMEOUT, Machine};
use crate::error::Error;
use crate::event::Level;
use crate::guest::Output;
use crate::wait::{Found, Look};

/// The statuses by which the guest says that nothing has this terminal open, and that it has no virtual terminals at all.
const NOT_OPEN: i32 = 66;
const NONE_AT_ALL: i32 = 69;

/// The size of the terminal that the console of a machine without virtual terminals is shown as.
const ROWS: usize = 24;
const COLUMNS: usize = 80;

impl Machine {
    /// The text on a virtual terminal, given by its number: a line for each row of the screen, with all its blanks.
    ///
    /// A machine without virtual terminals (a container) has number 1 only: its console, whose last 24 rows of 80 columns are returned.
    pub async fn tty_text(&self, tty: &str) -> Result<String, Error> {
        const VERB: &str = "tty_text";
        let number = number(tty).map_err(|why| self.cannot(VERB, &why))?;
        let boot = self.connect().await?;
        let output = self.quietly(&boot, &look(number), DEFAULT_TIMEOUT).await?;
        match self.text(number, &output).map_err(|why| self.cannot(VERB, &why))? {
            Tty::Shows(text) => Ok(text),
            Tty::NotOpen => Err(self.cannot(VERB, &not_open(number))),
        }
    }

    /// Waits until the text on a virtual terminal matches `pattern`, a regular expression in the syntax of the crate `regex`. The text is that
    /// of [`tty_text`](Self::tty_text).
    pub async fn wait_until_tty_matches(&self, tty: &str, pattern: &str, timeout: Duration) -> Result<(), Error> {
        const VERB: &str = "wait_until_tty_matches";
        let number = number(tty).map_err(|why| self.cannot(VERB, &why))?;
        let wanted = &Pattern::new(pattern).map_err(|why| self.cannot(VERB, &why))?;
        let what = format!("waiting for {pattern} to appear on tty {tty}");
        let what = &*what;
        let step = self.step(what, |machine| async move {
            let boot: &Boot = &*machine.connect().await?;
            let machine = &machine;
            let glance = |moment: Look| async move {
                let output = machine.quietly(boot, &look(number), moment.limit).await?;
                if output.status == 124 {
                    return Ok(Found::Instead("no answer in time".into()));
                }
                let text = match machine.text(number, &output).map_err(|why| machine.cannot(VERB, &why))? {
                    Tty::Shows(text) if wanted.matches(&text) => return Ok(Found::Holds(())),
                    Tty::Shows(text) => visible(&text),
                    Tty::NotOpen => return Ok(Found::Instead(not_open(number))),
                };
                if moment.last {
                    let message =
                        format!("Last chance to match /{pattern}/ on TTY{tty}, which currently contains: {text}");
                    machine.recorder.message(Level::Info, message);
                }
                Ok(Found::Instead(format!("the text {text:?}")))
            };
            machine.watch(boot, what, timeout, glance).await
        });
        step.await
    }

    /// What the answer to a [`look`] says.
    fn text(&self, number: u8, output: &Output) -> Result<Tty, String> {
        match output.status {
            0 => rows(&output.stdout).map(Tty::Shows).ok_or_else(|| format!("/dev/vcsa{number} has no screen in it")),
            NOT_OPEN => Ok(Tty::NotOpen),
            NONE_AT_ALL if number == 1 => Ok(Tty::Shows(console_rows(&self.console().last(ROWS)))),
            NONE_AT_ALL => {
                let backend = &self.spec().backend;
                Err(format!(
                    "this machine of backend `{backend}` has no virtual terminals, and only its console, which is tty 1"
                ))
            }
            status => {
                let said = String::from_utf8_lossy(&output.stderr);
                Err(format!("reading tty {number} failed with exit code {status}: {}", said.trim()))
            }
        }
    }
}

enum Tty {
    Shows(String),
    NotOpen,
}

fn number(tty: &str) -> Result<u8, String> {
    let number = tty.parse().ok().filter(|number| (1..=63).contains(number) && !tty.starts_with(['+', '0']));
    number.ok_or_else(|| format!("`{tty}` is no virtual terminal; give its number, from 1 to 63"))
}

fn not_open(number: u8) -> String {
    format!("nothing has tty {number} open")
}

/// Reads a terminal's screen with its size. `cat` is the only program that it takes.
fn look(number: u8) -> String {
    format!(
        "[[ -e /dev/vcsa{number} ]] && exec cat /dev/vcsa{number}
for any in /dev/vcsa[0-9]*; do [[ -e $any ]] && exit {NOT_OPEN}; done
exit {NONE_AT_ALL}"
    )
}

/// The rows of a screen as `/dev/vcsaN` has it (vcs(4)): the numbers of rows and columns, 255 at most, the cursor's place, then the character
/// and the colours of each cell.
fn rows(screen: &[u8]) -> Option<String> {
    let (&[rows, columns, _, _], cells) = screen.split_first_chunk()?;
    let characters: Vec<u8> = cells.iter().copied().step_by(2).collect();
    // The larger one of a large screen is not told.
    let columns = match (rows, columns) {
        (1..=254, _) => characters.len() / usize::from(rows),
        _ => usize::from(columns),
    };
    if columns == 0 || characters.is_empty() {
        return None;
    }
    let lines: Vec<_> = characters.chunks(columns).map(String::from_utf8_lossy).collect();
    Some(lines.join("\n"))
}

/// The last rows of a terminal that wraps these lines.
fn console_rows(lines: &[String]) -> String {
    let mut rows = Vec::new();
    for line in lines {
        let characters: Vec<char> = line.chars().collect();
        if characters.is_empty() {
            rows.push(String::new());
        }
        rows.extend(characters.chunks(COLUMNS).map(String::from_iter));
    }
    rows[rows.len().saturating_sub(ROWS)..].join("\n")
}

/// A screen's text without blanks at the ends of rows, and without empty rows at its end.
fn visible(text: &str) -> String {
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A screen as the kernel shows it.
    fn screen(header: [u8; 2], text: &str) -> Vec<u8> {
        let cells = text.bytes().flat_map(|byte| [byte, 7]);
        header.into_iter().chain([0, 0]).chain(cells).collect()
    }

    #[test]
    fn screens_have_rows() {
        assert_eq!(rows(&screen([2, 3], "abcde ")).unwrap(), "abc\nde ");
        let wide = "x".repeat(300) + &"y".repeat(300);
        let text = rows(&screen([2, 255], &wide)).unwrap();
        assert_eq!(text.lines().map(str::len).collect::<Vec<_>>(), [300, 300]);
        assert_eq!(rows(b"\x02\x03"), None);
        assert_eq!(rows(&screen([0, 0], "")), None);
    }

    #[test]
    fn consoles_are_wrapped() {
        let mut lines: Vec<String> = (0..30).map(|number| format!("line {number}")).collect();
        assert_eq!(console_rows(&lines).lines().next(), Some("line 6"));
        lines.push("ä".repeat(170));
        lines.push(String::new());
        let text = console_rows(&lines);
        let last: Vec<_> = text.split('\n').rev().take(5).map(|line| line.chars().count()).collect();
        assert_eq!(last, [0, 10, 80, 80, 7]);
        assert_eq!(text.split('\n').count(), ROWS);
        assert_eq!(console_rows(&[]), "");
    }

    #[test]
    fn terminals_have_numbers() {
        for tty in ["1", "63"] {
            assert_eq!(number(tty).unwrap().to_string(), tty);
        }
        for tty in ["", "0", "64", "tty1", "-1", "+1", "01", "1; reboot"] {
            let why = number(tty).unwrap_err();
            assert!(why.contains(&format!("`{tty}` is no virtual terminal")), "{why}");
        }
    }

    #[test]
    fn blanks_are_not_shown() {
        assert_eq!(visible("login:   \n  x \n   \n   "), "login:\n  x");
    }
}
