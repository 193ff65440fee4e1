//! `tandem ps`: the runs of this host.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use driver_core::log::harmless;
use driver_core::run::{FoundRun, MachineStatus, Status as RunStatus, runs};
use serde::Serialize;

use crate::exit::Status;
use crate::output::say;
use crate::written;

/// What its help says at the end.
pub(crate) const HELP: &str = "\
Root sees the runs of all who are root; others see their own. A machine is not started, starting, up, stopping or stopped.
A run is dead if its driver and its keeper were both killed, and its directory is still there: `tandem clean` removes it.

Examples:
  tandem ps
  tandem ps --json | jq -r '.runs[] | select(.alive) | .machines[] | select(.state == \"up\") | .name'

With --json, an object is written: `version` (1) and `runs`. A run has `name`, `directory`, `alive`, `note` (why it says nothing
of itself, or null), and, null where there is a note, `test`, `script`, `tandem` (the version), `driver` (the pid), `started` (seconds since
1970), `elapsed` (seconds; null if it is dead), `output` (where its record goes) and `machines`, each with `name`, `backend` and `state`
(not_started, starting, up, stopping, stopped or unknown).";

/// What its command line says.
#[derive(Debug, Args)]
pub(crate) struct PsArgs {
    /// Writes JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// The version of the form for programs: it changes when a field goes or means something else, and not when one is added.
const VERSION: u32 = 1;

/// Shows the runs that this user may see.
pub(crate) fn ps(args: &PsArgs) -> Status {
    let runs = match runs() {
        Ok(runs) => runs,
        Err(error) => {
            say(format_args!("looking for runs failed: {error}"));
            return Status::Broken;
        }
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let shown = if args.json { json(&runs, now) } else { text(&runs, now) };
    written(io::stdout().lock().write_all(shown.as_bytes()))
}

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    runs: Vec<Run<'a>>,
}

#[derive(Serialize)]
struct Run<'a> {
    name: &'a str,
    directory: String,
    alive: bool,
    note: Option<&'a str>,
    test: Option<&'a str>,
    script: Option<&'a str>,
    tandem: Option<&'a str>,
    driver: Option<u32>,
    started: Option<f64>,
    elapsed: Option<f64>,
    output: Option<&'a str>,
    machines: Option<&'a [MachineStatus]>,
}

fn json(runs: &[FoundRun], now: f64) -> String {
    let runs = runs.iter().map(|run| {
        let status = run.status.as_ref().ok();
        Run {
            name: &run.name,
            directory: run.directory.display().to_string(),
            alive: run.alive,
            note: run.status.as_ref().err().map(String::as_str),
            test: status.map(|status| &*status.test),
            script: status.map(|status| &*status.script),
            tandem: status.map(|status| &*status.version),
            driver: status.map(|status| status.driver),
            started: status.map(|status| status.started),
            elapsed: status.filter(|_| run.alive).map(|status| elapsed(status, now)),
            output: status.map(|status| &*status.output),
            machines: status.map(|status| &*status.machines),
        }
    });
    // Nothing in it can fail to be written.
    let text = serde_json::to_string_pretty(&Document { version: VERSION, runs: runs.collect() }).unwrap_or_default();
    text + "\n"
}

fn text(runs: &[FoundRun], now: f64) -> String {
    let mut text = String::new();
    if runs.is_empty() {
        text.push_str("no test runs here\n");
    }
    for run in runs {
        match (&run.status, run.alive) {
            (Ok(status), true) => {
                let lasts = time(elapsed(status, now));
                let _ = writeln!(
                    text,
                    "{}  test {}, for {lasts}, driver {}",
                    run.name,
                    harmless(&status.test),
                    status.driver
                );
                text.push_str(&details(status));
            }
            (Ok(status), false) => {
                let _ = writeln!(text, "{}  test {}, dead", run.name, harmless(&status.test));
                let _ = writeln!(text, "  its driver, process {}, was killed; {CLEAN}", status.driver);
                let _ = writeln!(text, "  record  {}", harmless(&status.output));
            }
            (Err(why), true) => {
                let _ = writeln!(text, "{}  {}", run.name, harmless(why));
            }
            (Err(why), false) => {
                let _ = writeln!(text, "{}  dead\n  its driver was killed; {CLEAN}\n  {}", run.name, harmless(why));
            }
        }
    }
    text
}

const CLEAN: &str = "`tandem clean` removes what it left";

/// The lines below a run that lives.
fn details(status: &RunStatus) -> String {
    let mut text = format!("  script  {}\n  record  {}\n", harmless(&status.script), harmless(&status.output));
    let width = |of: fn(&MachineStatus) -> &str| {
        status.machines.iter().map(|machine| of(machine).chars().count()).max().unwrap_or_default()
    };
    let (names, backends) = (width(|machine| &machine.name), width(|machine| &machine.backend));
    for MachineStatus { name, backend, state } in &status.machines {
        let (name, backend) = (harmless(name), harmless(backend));
        let _ = writeln!(text, "  machine {name:<names$}  {backend:<backends$}  {}", state.word());
    }
    text
}

/// For how many seconds a run goes on. The host's clock may have been set meanwhile.
fn elapsed(status: &RunStatus, now: f64) -> f64 {
    (now - status.started).max(0.0)
}

/// Seconds as people say them.
fn time(seconds: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time that is not negative")]
    let seconds = seconds as u64;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds} s"),
        (0, _) => format!("{minutes} min {seconds} s"),
        _ => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(alive: bool, status: Result<&str, &str>) -> FoundRun {
        let status = status.map(|text| serde_json::from_str(text).unwrap()).map_err(str::to_owned);
        FoundRun { name: "abcdefgh".into(), directory: "/run/tandem/abcdefgh".into(), alive, status }
    }

    const STATUS: &str = r#"{"schema": 1, "version": "0.1.0", "test": "hello\u001b[31m", "script": "/t/hello.py", "driver": 7,
        "started": 1000.0, "output": "/out", "machines": [{"name": "one", "backend": "container", "state": "up"},
        {"name": "second", "backend": "vm", "state": "not_started"}]}"#;

    #[test]
    fn people_see_who_lives_and_who_is_dead() {
        let runs =
            [run(true, Ok(STATUS)), run(false, Ok(STATUS)), run(true, Err("it is odd")), run(false, Err("it is odd"))];
        let expected = "\
abcdefgh  test hello, for 2 min 3 s, driver 7
  script  /t/hello.py
  record  /out
  machine one     container  up
  machine second  vm         not started
abcdefgh  test hello, dead
  its driver, process 7, was killed; `tandem clean` removes what it left
  record  /out
abcdefgh  it is odd
abcdefgh  dead
  its driver was killed; `tandem clean` removes what it left
  it is odd
";
        assert_eq!(text(&runs, 1123.9), expected);
        assert_eq!(text(&[], 0.0), "no test runs here\n");
    }

    #[test]
    fn programs_get_all_of_it() {
        let value = |runs: &[FoundRun]| serde_json::from_str::<serde_json::Value>(&json(runs, 1123.5)).unwrap();
        let living = value(&[run(true, Ok(STATUS))]);
        assert_eq!((&living["version"], &living["runs"][0]["elapsed"]), (&1.into(), &123.5.into()));
        assert_eq!(living["runs"][0]["machines"][1]["state"], "not_started");
        let other = value(&[run(false, Err("why"))]);
        assert_eq!((&other["runs"][0]["note"], &other["runs"][0]["machines"]), (&"why".into(), &().into()));
        assert_eq!(value(&[])["runs"], serde_json::json!([]));
    }

    #[test]
    fn times_are_short() {
        for (seconds, said) in [(0.4, "0 s"), (59.9, "59 s"), (61.0, "1 min 1 s"), (7325.0, "2 h 2 min")] {
            assert_eq!(time(seconds), said);
        }
    }
}
