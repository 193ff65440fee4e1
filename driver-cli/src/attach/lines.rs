//! A shell that takes a line and runs it to its end before it takes another: all that a machine with one command channel has.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::Path;

use nix::sys::signal::Signal;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::termios::{QueueSelector, isatty, tcflush};
use serde_json::json;

use super::Failure;
use super::client::{Answer, Client};
use super::signals::{self, Signals};

/// Stands before the working directory in what a line has said.
const PLACE: char = '\x1e';

/// Where the first line runs.
const FIRST_PLACE: &str = "/tmp";

/// Reads lines and runs them until one says `exit`, or until there are no more; returns the status of the last one.
pub(super) fn shell(socket: &Path, machine: &str) -> Result<i32, Failure> {
    let mut lines = Lines {
        signals: Signals::listen()?,
        typed: Vec::new(),
        over: false,
        prompt: isatty(io::stdin()).then(|| format!("{machine}# ")),
    };
    let (mut place, mut status) = (FIRST_PLACE.to_owned(), 0);
    while let Some(line) = lines.next()? {
        let words: Vec<&str> = line.split_whitespace().collect();
        match *words {
            [] => continue,
            ["exit" | "logout"] => return Ok(status),
            ["exit", number] if number.parse::<u8>().is_ok() => return Ok(number.parse().unwrap_or_default()),
            _ => {}
        }
        let mut client =
            Client::connect(socket).map_err(|error| Failure::Broken(format!("the run's script has ended: {error}")))?;
        client.call("Execute", &json!({"machine": machine, "command": script(&place, &line), "timeout": null}))?;
        let Some(answer) = lines.wait(&mut client)? else {
            // Ctrl-C. Without its connection, the command is ended.
            show("\n")?;
            status = 130;
            continue;
        };
        status = answer.status;
        let (said, now) = told(&answer);
        show(said)?;
        if let Some(now) = now {
            now.clone_into(&mut place);
        }
    }
    if lines.prompt.is_some() {
        show("\n")?;
    }
    Ok(status)
}

/// A line, to be run in a place, of which the end is told.
fn script(place: &str, line: &str) -> String {
    format!(
        "set +euo pipefail; cd {}; eval {} 2>&1; set -- $?\nprintf '{PLACE}%s' \"$PWD\"; exit $1",
        quote(place),
        quote(line)
    )
}

fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// What a line has said, and where it has ended. One that replaces the shell leaves no word of that.
fn told(answer: &Answer) -> (&str, Option<&str>) {
    match answer.stdout.rsplit_once(PLACE) {
        Some((said, place)) if place.starts_with('/') => (said, Some(place)),
        _ => (&answer.stdout, None),
    }
}

fn show(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    let shown = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    shown.map_err(|error| Failure::Broken(format!("nothing can be shown any more: {error}")))
}

/// What is typed.
struct Lines {
    signals: Signals,
    typed: Vec<u8>,
    over: bool,
    prompt: Option<String>,
}

impl Lines {
    /// The next line.
    fn next(&mut self) -> Result<Option<String>, Failure> {
        let stdin = io::stdin();
        let mut prompts = true;
        loop {
            if let Some(end) = self.typed.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.typed.drain(..=end).collect();
                return Ok(Some(String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned()));
            }
            if self.over {
                let rest = std::mem::take(&mut self.typed);
                return Ok((!rest.is_empty()).then(|| String::from_utf8_lossy(&rest).into_owned()));
            }
            if std::mem::take(&mut prompts)
                && let Some(prompt) = &self.prompt
            {
                show(prompt)?;
            }
            let mut fds = [
                PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN),
                PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN),
            ];
            match poll(&mut fds, None) {
                Err(Errno::INTR) => continue,
                other => other?,
            };
            let (typed, signalled) = (!fds[0].revents().is_empty(), !fds[1].revents().is_empty());
            if signalled {
                match self.signals.next() {
                    None | Some(Signal::SIGWINCH) => {}
                    Some(Signal::SIGINT) if self.prompt.is_some() => {
                        self.typed.clear();
                        show("\n")?;
                        prompts = true;
                    }
                    Some(signal) => return Err(signals::end(signal)),
                }
            }
            if typed {
                let mut buffer = [0; 4096];
                match rustix::io::read(&stdin, &mut buffer) {
                    Ok(0) => self.over = true,
                    Ok(length) => self.typed.extend_from_slice(&buffer[..length]),
                    Err(Errno::INTR | Errno::AGAIN) => {}
                    Err(errno) => return Err(Failure::Broken(format!("nothing can be typed any more: {errno}"))),
                }
            }
        }
    }

    /// The answer to a call; none if Ctrl-C comes before.
    fn wait(&self, client: &mut Client) -> Result<Option<Answer>, Failure> {
        loop {
            let mut fds = [
                PollFd::from_borrowed_fd(client.as_fd(), PollFlags::IN),
                PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN),
            ];
            match poll(&mut fds, None) {
                Err(Errno::INTR) => continue,
                other => other?,
            };
            let (answered, signalled) = (!fds[0].revents().is_empty(), !fds[1].revents().is_empty());
            if signalled {
                match self.signals.next() {
                    None | Some(Signal::SIGWINCH) => {}
                    Some(Signal::SIGINT) if self.prompt.is_some() => {
                        let _ = tcflush(io::stdin(), QueueSelector::IFlush);
                        return Ok(None);
                    }
                    Some(signal) => return Err(signals::end(signal)),
                }
            }
            if answered && let Some(answer) = client.answer()? {
                return Ok(Some(answer));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(place: &str, line: &str) -> Answer {
        let output = std::process::Command::new("bash").args(["-euo", "pipefail", "-c", &script(place, line)]).output();
        let output = output.unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        Answer { status: output.status.code().unwrap(), stdout }
    }

    #[test]
    fn a_line_tells_its_status_and_where_it_ends() {
        for (line, status, said, place) in [
            ("echo 'a b'; false", 1, "a b\n", Some("/")),
            ("cd usr; pwd; (exit 7)", 7, "/usr\n", Some("/usr")),
            ("echo x >&2; cd /nonexistent 2>/dev/null", 1, "x\n", Some("/")),
            ("exec echo gone", 0, "gone\n", None),
            ("if", 1, "", Some("/")),
        ] {
            let answer = run("/", line);
            let (told, now) = told(&answer);
            if line == "if" {
                assert_ne!(answer.status, 0);
                continue;
            }
            assert_eq!((answer.status, told, now), (status, said, place), "{line}");
        }
    }
}
