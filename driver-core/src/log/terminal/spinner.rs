//! The moving last line that tells what is waited for.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::spans::Wait;

/// How often the line moves.
pub(super) const TICK: Duration = Duration::from_millis(100);

/// How many characters of what is waited for are shown.
const TITLE: usize = 60;

/// A line below the log, shown while something is waited for. It draws on standard error.
pub(super) struct Spinner {
    style: ProgressStyle,
    bar: Option<ProgressBar>,
}

impl Spinner {
    pub(super) fn new(colours: bool) -> Self {
        // `wide_msg` cuts the line at the terminal's width.
        let template = if colours { "{spinner:.cyan} {wide_msg:.cyan}" } else { "{spinner} {wide_msg}" };
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner());
        Self { style, bar: None }
    }

    /// Shows what is waited for, or takes the line away.
    pub(super) fn show(&mut self, waits: &[Wait]) {
        if waits.is_empty() {
            if let Some(bar) = self.bar.take() {
                bar.finish_and_clear();
            }
            return;
        }
        let bar = self.bar.get_or_insert_with(|| {
            ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(self.style.clone())
        });
        bar.set_message(message(waits, Instant::now()));
        bar.tick();
    }

    /// Does what writes to the terminal with the line out of the way.
    pub(super) fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}

fn message(waits: &[Wait], now: Instant) -> String {
    let each = waits.iter().map(|wait| {
        let seconds = now.saturating_duration_since(wait.since).as_secs();
        let (title, cut) = match wait.title.char_indices().nth(TITLE) {
            Some((end, _)) => (&wait.title[..end], "…"),
            None => (wait.title.as_str(), ""),
        };
        format!("{title}{cut} ({seconds} s)")
    });
    each.collect::<Vec<_>>().join(" · ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_is_waited_for_and_since_when() {
        let began = Instant::now();
        let wait = |title: &str, after| Wait { title: title.into(), since: began + Duration::from_secs(after) };
        let waits = [wait("a: waiting for unit x", 0), wait("b: boot", 8)];
        let text = message(&waits, began + Duration::from_secs(10));
        assert_eq!(text, "a: waiting for unit x (10 s) · b: boot (2 s)");

        let text = message(&[wait(&"é".repeat(100), 0)], began);
        assert_eq!(text, format!("{}… (0 s)", "é".repeat(TITLE)));
    }
}
