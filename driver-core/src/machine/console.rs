//! The console: its text, and waiting for some.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::sleep;

use super::Machine;
use super::boot::LAG;
use super::pattern::{Pattern, Place};
use crate::console::Console;
use crate::error::Error;
use crate::wait::Wait;

impl Machine {
    /// The console of the current boot, or of the last one.
    pub fn console(&self) -> Console {
        self.power().console.clone()
    }

    /// All console lines of the current boot, or of the last one, joined by newlines.
    pub fn console_log(&self) -> String {
        self.console().since(0).join("\n")
    }

    /// Waits until the console's text matches `pattern`, a regular expression in the syntax of the crate `regex`.
    ///
    /// The text is all lines of this boot that no earlier call has used up, joined by newlines, so a match may span lines. It is looked at
    /// after each line as if it ended there, and the lines up to the match are used up. In a pattern with `\b`, letters are those of ASCII.
    /// Starts a machine that never ran, but does not wait for its boot. A match wins over the machine's end, and over its being lost.
    pub async fn wait_for_console_text(&self, pattern: &str, timeout: Option<Duration>) -> Result<(), Error> {
        let mut search = Search::new(pattern).map_err(|why| self.cannot("wait_for_console_text", &why))?;
        let what = format!("waiting for {pattern} to appear on console");
        let what = &*what;
        let step = self.step(what, |machine| async move {
            let boot = machine.latest().await?;
            let (console, used) = machine.unused();
            let wait = Wait::new(machine.name(), what, timeout.unwrap_or(Duration::MAX));
            let over = async {
                match &boot {
                    Some(boot) => {
                        let error = boot.over(what).await;
                        if !error.gone {
                            // The line that it was lost by may be the first of several.
                            sleep(LAG).await;
                        }
                        error.into()
                    }
                    None => machine.cannot(what, "it is not running any more, and its console never said that"),
                }
            };
            let late = async { sleep(wait.remaining()).await };
            let mut changes = console.watch();
            let (mut over, mut late) = (std::pin::pin!(over), std::pin::pin!(late));
            let mut found = search.advance(&console, &used);
            while !found {
                let error = tokio::select! {
                    biased;
                    Ok(()) = changes.changed() => None,
                    error = &mut over => Some(error),
                    () = &mut late => Some(wait.timed_out(&console.last(1).concat())),
                };
                found = search.advance(&console, &used);
                if let (false, Some(error)) = (found, error) {
                    return Err(error);
                }
            }
            Ok(())
        });
        step.await
    }

    /// The console and the number of its lines that are used up.
    fn unused(&self) -> (Console, Arc<AtomicUsize>) {
        let power = self.power();
        (power.console.clone(), power.used.clone())
    }
}

/// A search that is fed line by line and looks at each byte once, so that its cost is linear in the text.
struct Search {
    pattern: Pattern,
    /// After the lines before `next`; none before the first.
    place: Option<Place>,
    /// The number of the next line; none before the first search.
    next: Option<usize>,
}

impl Search {
    fn new(pattern: &str) -> Result<Self, String> {
        Ok(Self { pattern: Pattern::new(pattern)?, place: None, next: None })
    }

    /// Searches the lines that are new, and what has come of the next. If there is a match, the lines up to it are used up.
    fn advance(&mut self, console: &Console, used: &AtomicUsize) -> bool {
        let mut next = *self.next.get_or_insert_with(|| used.load(Ordering::Relaxed));
        let (lines, unfinished) = console.since_with_unfinished(next);
        for line in lines {
            next += 1;
            if feed(&self.pattern, &mut self.place, &line) {
                used.fetch_max(next, Ordering::Relaxed);
                return true;
            }
        }
        self.next = Some(next);
        // It comes again when it is whole.
        let found = !unfinished.is_empty() && feed(&self.pattern, &mut self.place.clone(), &unfinished);
        if found {
            used.fetch_max(next + 1, Ordering::Relaxed);
        }
        found
    }
}

/// Whether the text up to `place` matches with this line added.
fn feed(pattern: &Pattern, place: &mut Option<Place>, line: &str) -> bool {
    match place {
        Some(place) => place.feed(pattern, "\n") || place.goes_on(pattern, line),
        None => place.insert(pattern.start()).goes_on(pattern, line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Recorder;

    fn console(lines: &[&str]) -> Console {
        let console = Console::new(Recorder::new(Vec::new()));
        for line in lines {
            console.push(*line);
        }
        console
    }

    /// How many lines a search for `pattern` uses up.
    fn used(pattern: &str, lines: &[&str]) -> Option<usize> {
        let used = AtomicUsize::new(0);
        Search::new(pattern).unwrap().advance(&console(lines), &used).then(|| used.into_inner())
    }

    #[test]
    fn matches_within_and_across_lines() {
        let lines = ["one", "two", "", "three"];
        assert_eq!(used("two", &lines), Some(2));
        assert_eq!(used("tw", &lines), Some(2));
        assert_eq!(used("onetwo", &lines), None);
        assert_eq!(used("one\ntwo", &lines), Some(2));
        assert_eq!(used("o\n\nt", &lines), Some(4));
        assert_eq!(used("(?s)one.*three", &lines), Some(4));
        assert_eq!(used("one.*three", &lines), None);
        assert_eq!(used("two$", &lines), Some(2));
        assert_eq!(used("^two", &lines), None);
        assert_eq!(used("(?m)^two$", &lines), Some(2));
        assert_eq!(used("(?i)TH?REE", &lines), Some(4));
        assert_eq!(used(r"\bthree\b", &lines), Some(4));
        assert_eq!(used(r"\bhree", &lines), None);
        assert_eq!(used("grüß", &["Grüße", "grüße"]), Some(2));
        assert_eq!(used(r"\w{5}e\b", &["grüße", "grusse"]), Some(2));
        assert_eq!(used("", &[]), None);
        assert_eq!(used("", &["x"]), Some(1));
    }

    #[test]
    fn a_prompt_is_found_before_its_line_ends() {
        let console = console(&["boot"]);
        let used = AtomicUsize::new(0);
        let mut search = Search::new("boot\nlogin: $").unwrap();
        console.show_unfinished("log");
        assert!(!search.advance(&console, &used));
        console.show_unfinished("login: ");
        assert!(search.advance(&console, &used));
        assert_eq!(used.load(Ordering::Relaxed), 2);
        console.push("login: root");
        assert!(!Search::new("login").unwrap().advance(&console, &used));
    }

    #[test]
    fn a_search_goes_on_where_it_was() {
        let console = console(&["boot", "login: a"]);
        let used = AtomicUsize::new(0);
        let mut search = Search::new("login: b").unwrap();
        assert!(!search.advance(&console, &used));
        console.push("login: b");
        assert!(search.advance(&console, &used));
        assert_eq!(used.load(Ordering::Relaxed), 3);
        assert!(!Search::new("login").unwrap().advance(&console, &used));
    }

    #[test]
    fn bad_patterns_are_told() {
        let error = Search::new("(open").err().unwrap();
        assert!(error.starts_with("`(open` is no regular expression: ") && error.contains("unclosed group"), "{error}");
        let error = Search::new(r"\b[é]").err().unwrap();
        assert!(error.contains("word boundar"), "{error}");
    }

    #[test]
    fn fifty_thousand_lines_one_at_a_time() {
        let console = console(&[]);
        let used = AtomicUsize::new(0);
        let mut search = Search::new(r"(?s)start.*reached target \d+").unwrap();
        console.push("start");
        for number in 0..50_000 {
            console.push(format!("[{number:>10}] unit number {number} did something that nobody cares about"));
            assert!(!search.advance(&console, &used));
        }
        console.push("reached target 9");
        assert!(search.advance(&console, &used));
    }
}
