//! Which machine of which run is meant.

use driver_core::run::{FoundRun, MachineStatus, Power};

/// A machine that is up.
#[derive(Debug)]
pub(super) struct Choice<'a> {
    pub(super) run: &'a FoundRun,
    pub(super) machine: &'a MachineStatus,
}

/// Finds what these words mean. The error tells what there is.
pub(super) fn choose<'a>(runs: &'a [FoundRun], run: Option<&str>, machine: Option<&str>) -> Result<Choice<'a>, String> {
    let living: Vec<&FoundRun> = runs.iter().filter(|run| run.alive).collect();
    let choice = match (run, machine) {
        (None, _) => in_run(one(&living, &living, "which run is meant?")?, None),
        (Some(word), None) if named(&living, word).is_empty() => {
            // It may be a machine's.
            let with: Vec<_> = living.iter().copied().filter(|run| has(run, word)).collect();
            let asked = match with.len() {
                0 => format!("no run and no machine is named `{word}`"),
                _ => format!("several runs have a machine `{word}`"),
            };
            in_run(one(&with, &living, &asked)?, Some(word))
        }
        (Some(word), machine) => {
            let named = named(&living, word);
            let asked = match named.len() {
                0 => format!("no run is named `{word}`"),
                _ => format!("`{word}` may be any of several runs"),
            };
            in_run(one(&named, &living, &asked)?, machine)
        }
    }?;
    match choice.machine.state {
        Power::Up => Ok(choice),
        state => Err(format!("machine {} of run {} is {}", choice.machine.name, choice.run.name, state.word())),
    }
}

/// The runs that a word may mean: a name, else a test's name, else the beginning of a name.
fn named<'a>(living: &[&'a FoundRun], word: &str) -> Vec<&'a FoundRun> {
    let by = |means: &dyn Fn(&FoundRun) -> bool| living.iter().copied().filter(|run| means(run)).collect::<Vec<_>>();
    let ways: [&dyn Fn(&FoundRun) -> bool; 3] =
        [&|run| run.name == word, &|run| run.status.as_ref().is_ok_and(|status| status.test == word), &|run| {
            !word.is_empty() && run.name.starts_with(word)
        }];
    ways.into_iter().map(by).find(|found| !found.is_empty()).unwrap_or_default()
}

fn has(run: &FoundRun, machine: &str) -> bool {
    run.status.as_ref().is_ok_and(|status| status.machines.iter().any(|known| known.name == machine))
}

fn one<'a>(found: &[&'a FoundRun], all: &[&'a FoundRun], asked: &str) -> Result<&'a FoundRun, String> {
    match (found, all) {
        ([run], _) => Ok(run),
        (_, []) => Err("no test runs here".into()),
        // What is told of several is which they are.
        ([], shown) | (shown, _) => Err(format!("{asked}; there are:\n{}", list(shown))),
    }
}

fn in_run<'a>(run: &'a FoundRun, name: Option<&str>) -> Result<Choice<'a>, String> {
    let status = run.status.as_ref().map_err(|why| format!("run {}: {why}", run.name))?;
    let machine = match (name, &*status.machines) {
        (None, [machine]) => Some(machine),
        (None, _) => None,
        (Some(name), machines) => machines.iter().find(|machine| machine.name == name),
    };
    if let Some(machine) = machine {
        return Ok(Choice { run, machine });
    }
    if status.machines.is_empty() {
        return Err(format!("run {} has no machines", run.name));
    }
    let asked = match name {
        Some(name) => format!("run {} has no machine `{name}`", run.name),
        None => format!("which machine of run {} is meant?", run.name),
    };
    Err(format!("{asked}; there are:\n{}", list(&[run])))
}

/// Runs with their machines, a line each.
fn list(runs: &[&FoundRun]) -> String {
    let line = |run: &&FoundRun| match &run.status {
        Ok(status) => {
            let machine = |machine: &MachineStatus| match machine.state {
                Power::Up => machine.name.clone(),
                state => format!("{} ({})", machine.name, state.word()),
            };
            let machines: Vec<_> = status.machines.iter().map(machine).collect();
            format!("  {}  test {}: {}", run.name, status.test, machines.join(", "))
        }
        Err(why) => format!("  {}  {why}", run.name),
    };
    runs.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(name: &str, test: &str, machines: &[(&str, &str)]) -> FoundRun {
        let machines: Vec<_> = machines
            .iter()
            .map(|(name, state)| serde_json::json!({"name": name, "backend": "container", "state": state}))
            .collect();
        let status = serde_json::json!({"schema": 1, "version": "0", "test": test, "script": "", "driver": 1, "started": 0.0,
            "output": "", "machines": machines});
        let status = serde_json::from_value(status).map_err(|error| error.to_string());
        FoundRun { name: name.into(), directory: name.into(), alive: true, status }
    }

    fn chosen(runs: &[FoundRun], words: &str) -> String {
        let mut words = words.split_whitespace();
        match choose(runs, words.next(), words.next()) {
            Ok(choice) => format!("{}/{}", choice.run.name, choice.machine.name),
            Err(why) => why,
        }
    }

    #[test]
    fn words_that_are_not_needed_can_be_left_out() {
        let single = [run("abcd", "t", &[("m", "up")])];
        for words in ["", "a", "abcd", "t", "m", "abcd m", "t m"] {
            assert_eq!(chosen(&single, words), "abcd/m", "{words}");
        }
        let two = [run("abcd", "t", &[("m", "up"), ("n", "up")]), run("abxy", "u", &[("m", "up")])];
        for (words, meant) in
            [("n", "abcd/n"), ("abx", "abxy/m"), ("u", "abxy/m"), ("t n", "abcd/n"), ("abc m", "abcd/m")]
        {
            assert_eq!(chosen(&two, words), meant, "{words}");
        }
    }

    #[test]
    fn what_is_unclear_is_told_with_what_there_is() {
        let list = "  abcd  test t: m, n (starting)\n  abxy  test t: m";
        let two = [run("abcd", "t", &[("m", "up"), ("n", "starting")]), run("abxy", "t", &[("m", "up")])];
        for (words, said) in [
            ("", "which run is meant?"),
            ("ab", "`ab` may be any of several runs"),
            ("t", "`t` may be any of several runs"),
            ("m", "several runs have a machine `m`"),
            ("x", "no run and no machine is named `x`"),
            ("x m", "no run is named `x`"),
        ] {
            assert_eq!(chosen(&two, words), format!("{said}; there are:\n{list}"), "{words}");
        }
        let machines = "there are:\n  abcd  test t: m, n (starting)";
        assert_eq!(chosen(&two, "abc"), format!("which machine of run abcd is meant?; {machines}"));
        assert_eq!(chosen(&two, "abc x"), format!("run abcd has no machine `x`; {machines}"));
        assert_eq!(chosen(&two, "abc n"), "machine n of run abcd is starting");
        assert_eq!(chosen(&[], "abc n"), "no test runs here");
        let odd = FoundRun { status: Err("it is odd".into()), ..run("abcd", "t", &[]) };
        assert_eq!(chosen(std::slice::from_ref(&odd), ""), "run abcd: it is odd");
        assert_eq!(chosen(&[FoundRun { alive: false, ..odd }], ""), "no test runs here");
    }
}
