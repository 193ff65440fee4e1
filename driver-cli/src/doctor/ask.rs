//! Asking programs what they are.

use std::process::Stdio;
use std::time::Duration;

use driver_core::need::{Ask, Cure, Need, Verdict};
use futures::future::join_all;
use tokio::process::Command;
use tokio::time::timeout;

/// How long a program may take to say its version.
const PATIENCE: Duration = Duration::from_secs(5);

/// The most characters of an answer that are shown.
const LONGEST: usize = 60;

/// Asks all programs at once, and writes what they say into their needs.
pub(super) async fn all(needs: &mut [Need]) {
    join_all(needs.iter_mut().map(one)).await;
}

async fn one(need: &mut Need) {
    let Some(ask) = need.ask.take().filter(|_| need.verdict == Verdict::Ok) else { return };
    let path = ask.program.display();
    match answer(&ask).await {
        Ok(said) if ask.oldest.is_some_and(|oldest| version(&said).is_some_and(|version| version < oldest)) => {
            need.verdict = Verdict::Limited;
            need.cure = Cure::new("install a newer one");
            let oldest = ask.oldest.unwrap_or_default();
            need.found = format!("{said} ({path}): tests have been run with {oldest} and newer, not with it");
        }
        Ok(said) => need.found = format!("{said} ({path})"),
        Err(why) => {
            need.verdict = Verdict::Limited;
            need.cure = Cure::new("run it by hand to see why, and install it anew");
            need.found = format!("{path} does not say its version: {why}");
        }
    }
}

/// The first line of what a program says.
async fn answer(ask: &Ask) -> Result<String, String> {
    let mut command = Command::new(&ask.program);
    command.args(&ask.arguments).stdin(Stdio::null()).env("LC_ALL", "C").kill_on_drop(true);
    let output = timeout(PATIENCE, command.output()).await;
    let output = output.map_err(|_| format!("it did not answer within {} s", PATIENCE.as_secs()))?;
    let output = output.map_err(|error| error.to_string())?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let first = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    match output.status.success() {
        true if !first.is_empty() => Ok(first.chars().take(LONGEST).collect()),
        true => Err("it says nothing".into()),
        false => Err(format!("{}, {first}", output.status)),
    }
}

/// The first whole number in an answer.
fn version(said: &str) -> Option<u32> {
    let digits = said.trim_start_matches(|c: char| !c.is_ascii_digit());
    digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(script: &str, oldest: Option<u32>) -> Need {
        let ask = Ask { program: "/bin/sh".into(), arguments: vec!["-c".into(), script.into()], oldest };
        Need { ask: Some(ask), ..Need::ok("VMs", "QEMU", "", "/bin/sh") }
    }

    #[tokio::test]
    async fn programs_say_their_versions() {
        let mut needs = [
            asked("echo; echo QEMU emulator version 9.2; echo more", Some(9)),
            asked("echo 'systemd 251 (251.4)' >&2", Some(252)),
            asked("echo no version; exit 3", None),
            Need::ok("VMs", "memory", "", "much"),
        ];
        all(&mut needs).await;
        let found = needs.each_ref().map(|need| (need.verdict, need.found.as_str()));
        let old = "systemd 251 (251.4) (/bin/sh): tests have been run with 252 and newer, not with it";
        assert_eq!(found[0], (Verdict::Ok, "QEMU emulator version 9.2 (/bin/sh)"));
        assert_eq!(found[1], (Verdict::Limited, old));
        assert_eq!(found[2], (Verdict::Limited, "/bin/sh does not say its version: exit status: 3, no version"));
        assert_eq!(found[3], (Verdict::Ok, "much"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_program_that_hangs_holds_nobody_up() {
        let mut needs = [asked("exec sleep 3600", None)];
        all(&mut needs).await;
        assert!(needs[0].found.ends_with("it did not answer within 5 s"), "{}", needs[0].found);
    }

    #[test]
    fn the_first_number_is_the_version() {
        for (said, expected) in
            [("systemd 252 (252.39-1)", Some(252)), ("QEMU version 7.2.22", Some(7)), ("none", None)]
        {
            assert_eq!(version(said), expected);
        }
    }
}
