//! The command line before there were configurations, as some wrappers still use it.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::{ArgAction, Args, ValueHint};
use driver_core::spec::{self, Problem, TestSpec};
use serde_json::{Map, Value, json};

/// What stood in the place of `--config`. Each may be given by an environment variable, too.
#[derive(Debug, Args)]
#[command(next_help_heading = "In the place of --config, as it was once")]
pub(super) struct Older {
    /// The start scripts of the machines, run-NAME-vm or run-NAME-nspawn [env: startScripts]
    #[arg(long, value_name = "PATH", num_args = 0.., action = ArgAction::Set, value_hint = ValueHint::FilePath)]
    start_scripts: Option<Vec<OsString>>,
    /// The VLANs [env: vlans]
    #[arg(long, value_name = "N", num_args = 0.., action = ArgAction::Set)]
    vlans: Option<Vec<String>>,
    /// How many seconds the test may take [env: globalTimeout]
    #[arg(long, value_name = "S")]
    global_timeout: Option<String>,
    /// Lets people log in to the machines by SSH; the number means nothing any more.
    #[arg(long, value_name = "OFFSET")]
    dump_vsocks: Option<u32>,
    /// The test script [env: testScript]
    #[arg(value_name = "testScript", value_hint = ValueHint::FilePath)]
    test_script: Option<PathBuf>,
}

impl Older {
    /// Whether no test was given in this way.
    pub(super) fn is_empty(&self) -> bool {
        self.test_script.is_none() && self.start_scripts.is_none()
    }

    /// Fails if something was given that a configuration has.
    pub(super) fn refuse(&self) -> Result<(), String> {
        let given = [
            ("--start-scripts", self.start_scripts.is_some()),
            ("--vlans", self.vlans.is_some()),
            ("--global-timeout", self.global_timeout.is_some()),
            ("--dump-vsocks", self.dump_vsocks.is_some()),
            ("testScript", self.test_script.is_some()),
        ];
        let given: Vec<_> = given.into_iter().filter_map(|(name, given)| given.then_some(name)).collect();
        if given.is_empty() {
            return Ok(());
        }
        Err(format!("unrecognized arguments: {}; --config says all of that", given.join(" ")))
    }

    /// Takes from the environment what the command line does not say.
    pub(super) fn complete(&mut self, environment: &impl Fn(&str) -> Option<OsString>) -> Result<(), String> {
        let words = |name: &str| {
            let Some(text) = environment(name) else { return Ok(None) };
            let text = text.into_string().map_err(|_| format!("the environment variable {name} is not UTF-8"))?;
            Ok::<_, String>(Some(text.split_whitespace().map(str::to_owned).collect::<Vec<_>>()))
        };
        if self.start_scripts.is_none() {
            self.start_scripts = words("startScripts")?.map(|scripts| scripts.into_iter().map(Into::into).collect());
        }
        if self.vlans.is_none() {
            self.vlans = words("vlans")?;
        }
        if self.global_timeout.is_none() {
            self.global_timeout = words("globalTimeout")?.map(|words| words.concat());
        }
        self.test_script = self.test_script.take().or_else(|| environment("testScript").map(Into::into));
        Ok(())
    }

    /// The test, as a configuration would have it.
    pub(super) fn test(&self) -> (String, Option<TestSpec>, Vec<Problem>) {
        const ABOUT: &str = "command line";
        let (mut vms, mut containers, mut problems) = (Map::new(), Map::new(), Vec::new());
        for script in self.start_scripts.iter().flatten() {
            let (name, is_container) = name_of(script);
            let machines = if is_container { &mut containers } else { &mut vms };
            let machine = json!({"name": name, "start_script": script.to_string_lossy()});
            if machines.insert(name.clone(), machine).is_some() {
                let message = format!("two start scripts are of a machine `{name}`");
                problems.push(Problem::user("--start-scripts", message, "name them run-NAME-vm"));
            }
        }
        let number = |text: &String| text.parse::<f64>().map_or_else(|_| json!(text), |number| json!(number));
        let vlan = |text: &String| text.parse::<u32>().map_or_else(|_| json!(text), |number| json!(number));
        let configuration = json!({
            "vms": vms,
            "containers": containers,
            "vlans": self.vlans.iter().flatten().map(vlan).collect::<Vec<_>>(),
            "global_timeout": self.global_timeout.as_ref().map_or_else(|| json!(3600), number),
            "enable_ssh_backdoor": self.dump_vsocks.is_some(),
            "test_script": self.test_script.as_deref().map_or(Value::from(""), |path| path.to_string_lossy().into()),
        });
        let (mut spec, found) = spec::examine_configuration_text(Path::new(ABOUT), &configuration.to_string());
        problems.extend(found);
        if let Some(spec) = &mut spec {
            let stem = self.test_script.as_deref().and_then(Path::file_stem);
            spec.name = stem.map_or_else(|| "test".into(), |stem| stem.to_string_lossy().into_owned());
        }
        (ABOUT.into(), spec, problems)
    }
}

/// The machine that a start script is named after, and whether that is a container.
fn name_of(script: &OsStr) -> (String, bool) {
    let file = Path::new(script).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let between = |end: &str| file.strip_prefix("run-")?.strip_suffix(end).filter(|name| !name.is_empty());
    match (between("-vm"), between("-nspawn")) {
        (Some(name), _) => (name.into(), false),
        (None, Some(name)) => (name.into(), true),
        (None, None) => ("machine".into(), false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_are_named_by_their_start_scripts() {
        for (script, name, is_container) in [
            ("/nix/store/x/bin/run-server-vm", "server", false),
            ("run-a-b-vm", "a-b", false),
            ("run-web-nspawn", "web", true),
            ("run-vm", "machine", false),
            ("run--vm", "machine", false),
            ("/bin/start", "machine", false),
        ] {
            assert_eq!(name_of(script.as_ref()), (name.to_owned(), is_container), "{script}");
        }
    }
}
