//! How Nix is set up here, for tests that it builds.

use std::collections::BTreeMap;
use std::fs;
use std::process::Stdio;
use std::time::Duration;

use driver_core::need::{Cure, Need, find, nix};
use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

const GROUP: &str = "Nix builds";

/// The file that has the settings where no program tells them.
const CONF: &str = "/etc/nix/nix.conf";

/// How long Nix may take to tell its settings.
const PATIENCE: Duration = Duration::from_secs(10);

/// What tests need that are built by Nix. None of it is missing: tests run without Nix.
pub(super) async fn needs() -> Vec<Need> {
    match Settings::find().await {
        None => vec![Need::unused(GROUP, "Nix", "it can build tests as derivations", "there is no Nix here")],
        Some((source, settings)) => settings.needs(&source),
    }
}

/// Settings of Nix: each is a list of words.
#[derive(Debug, Default, PartialEq, Eq)]
struct Settings(BTreeMap<String, Vec<String>>);

impl Settings {
    /// Finds them, and says where.
    async fn find() -> Option<(String, Self)> {
        if let Some(program) = find("nix") {
            let new = ["--extra-experimental-features", "nix-command", "config", "show", "--json"];
            let old = ["--extra-experimental-features", "nix-command", "show-config", "--json"];
            for arguments in [&new, &old[..]] {
                let mut command = Command::new(&program);
                command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
                if let Ok(Ok(output)) = timeout(PATIENCE, command.output()).await
                    && output.status.success()
                    && let Ok(json) = serde_json::from_slice(&output.stdout)
                {
                    return Some((program.display().to_string(), Self::of_json(&json)));
                }
            }
        }
        let text = fs::read_to_string(CONF).ok()?;
        Some((CONF.into(), Self::of_conf(&text)))
    }

    /// Reads what `nix config show --json` says.
    fn of_json(json: &Value) -> Self {
        let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let words = |setting: &Value| match &setting["value"] {
            Value::Array(values) => values.iter().map(word).collect(),
            // Sandbox paths are a table of what they are paths to.
            Value::Object(values) => values.keys().cloned().collect(),
            value => vec![word(value)],
        };
        let settings = json.as_object().into_iter().flatten();
        Self(settings.map(|(name, setting)| (name.clone(), words(setting))).collect())
    }

    /// Reads a `nix.conf`, of which included files are not followed. What is not in it is as Nix has it by default.
    fn of_conf(text: &str) -> Self {
        let mut settings: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in [("sandbox", "true"), ("system-features", "benchmark big-parallel kvm nixos-test")] {
            settings.insert(name.into(), value.split(' ').map(str::to_owned).collect());
        }
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default();
            let Some((name, value)) = line.split_once('=') else { continue };
            let words = value.split_whitespace().map(str::to_owned);
            match name.trim().strip_prefix("extra-") {
                Some(name) => settings.entry(name.into()).or_default().extend(words),
                None => drop(settings.insert(name.trim().into(), words.collect())),
            }
        }
        Self(settings)
    }

    fn has(&self, name: &str, word: &str) -> bool {
        self.0.get(name).is_some_and(|words| words.iter().any(|have| have == word))
    }

    fn needs(&self, source: &str) -> Vec<Need> {
        vec![self.sandbox(source), self.uid_range(), self.tests(), self.kvm(), self.devnet()]
    }

    fn sandbox(&self, source: &str) -> Need {
        const PURPOSE: &str = "builds of tests are apart from this host";
        // `true`, or the number by which newer versions tell it.
        if self.has("sandbox", "true") || self.has("sandbox", "1") || !self.0.contains_key("sandbox") {
            return Need::ok(GROUP, "sandbox", PURPOSE, format!("on, as {source} says"));
        }
        if self.has("sandbox", "relaxed") {
            return Need::ok(
                GROUP,
                "sandbox",
                PURPOSE,
                format!("on for builds that do not ask to be without, as {source} says"),
            );
        }
        let found = format!("`sandbox` is not `true`, as {source} says: tests with containers are refused");
        Need::limited(GROUP, "sandbox", PURPOSE, found, nix::sandbox("turn it on"))
    }

    fn uid_range(&self) -> Need {
        const PURPOSE: &str = "builds of tests with containers are root in a range of user ids";
        let lacks: Vec<&str> = [
            ("auto-allocate-uids", "true", "`auto-allocate-uids`"),
            ("experimental-features", "auto-allocate-uids", "the experimental feature `auto-allocate-uids`"),
            ("experimental-features", "cgroups", "the experimental feature `cgroups`"),
            ("system-features", "uid-range", "the system feature `uid-range`"),
        ]
        .into_iter()
        .filter_map(|(name, word, what)| (!self.has(name, word)).then_some(what))
        .collect();
        if lacks.is_empty() {
            return Need::ok(GROUP, "uid-range", PURPOSE, "on, with auto-allocate-uids and cgroups");
        }
        let found = format!("off: {}", lacks.join(", "));
        Need::limited(GROUP, "uid-range", PURPOSE, found, nix::uid_range("merge these settings with what there is"))
    }

    fn tests(&self) -> Need {
        const PURPOSE: &str = "builds of tests ask for it";
        if self.has("system-features", "nixos-test") {
            return Need::ok(GROUP, "nixos-test", PURPOSE, "the builder has this system feature");
        }
        let cure = feature("nixos-test");
        Need::limited(GROUP, "nixos-test", PURPOSE, "the builder does not have this system feature", cure)
    }

    fn kvm(&self) -> Need {
        const PURPOSE: &str = "builds of tests with VMs ask for it, unless they say otherwise";
        // Nix itself looks for the device, unless it is told what the features are.
        if self.has("system-features", "kvm") {
            return Need::ok(GROUP, "kvm", PURPOSE, "the builder has this system feature");
        }
        Need::limited(GROUP, "kvm", PURPOSE, "the builder does not have this system feature", feature("kvm"))
    }

    fn devnet(&self) -> Need {
        const PURPOSE: &str = "builds of tests with both VMs and containers ask for it, unless they say otherwise";
        let is_tun =
            |path: &String| path.split('=').next().is_some_and(|path| path.trim_end_matches('/') == "/dev/net");
        let shown = self.0.get("sandbox-paths").is_some_and(|paths| paths.iter().any(is_tun));
        let found = match (self.has("system-features", "devnet"), shown) {
            (true, true) => return Need::ok(GROUP, "devnet", PURPOSE, "on, with /dev/net in the sandbox"),
            (true, false) => "the builder says that it has it, but /dev/net is not in the sandbox",
            (false, true) => "/dev/net is in the sandbox, but the builder does not have this system feature",
            (false, false) => "off: the builder does not have this system feature",
        };
        let advice = "merge these settings with what there is; they give builds taps, which may weaken the sandbox";
        Need::limited(GROUP, "devnet", PURPOSE, found, nix::devnet(advice))
    }
}

fn feature(name: &str) -> Cure {
    nix::feature("merge this setting with what there is", name)
}

#[cfg(test)]
mod tests {
    use driver_core::need::Verdict;
    use serde_json::json;

    use super::*;

    fn verdicts(settings: &Settings) -> Vec<(String, Verdict)> {
        settings.needs("x").into_iter().map(|need| (need.name, need.verdict)).collect()
    }

    #[test]
    fn the_lines_of_the_manual_are_all_that_is_needed() {
        let text = format!("# mine\nsandbox = true\n{}{}", nix::CONTAINERS, nix::DEVNET);
        let found = verdicts(&Settings::of_conf(&text));
        assert_eq!(found.len(), 5);
        assert!(found.iter().all(|(_, verdict)| *verdict == Verdict::Ok), "{found:?}");
        let found = Settings::of_conf("sandbox = false\nsystem-features = benchmark # no more\n").needs("x");
        assert!(found.iter().all(|need| need.verdict == Verdict::Limited), "{found:?}");
        let uid_range = found.iter().find(|need| need.name == "uid-range").unwrap();
        assert!(uid_range.found.contains("`auto-allocate-uids`, the experimental feature"), "{}", uid_range.found);
        assert!(uid_range.cure.to_string().contains("extra-system-features = uid-range"));
    }

    #[test]
    fn what_nix_says_of_itself_is_read() {
        let json = json!({
            "auto-allocate-uids": {"value": true, "description": "x"},
            "experimental-features": {"value": ["auto-allocate-uids", "cgroups"]},
            "sandbox": {"value": 1},
            "sandbox-paths": {"value": {"/dev/net": {"optional": false, "source": "/dev/net"}}},
            "system-features": {"value": ["nixos-test", "uid-range", "devnet"]},
        });
        let found = verdicts(&Settings::of_json(&json));
        for (name, verdict) in found {
            assert_eq!(verdict, if name == "kvm" { Verdict::Limited } else { Verdict::Ok }, "{name}");
        }
    }

    #[test]
    fn half_of_devnet_is_told() {
        let told = |text: &str| Settings::of_conf(text).devnet().found;
        assert!(told("extra-system-features = devnet").contains("not in the sandbox"));
        assert!(told("extra-sandbox-paths = /dev/net").contains("does not have this system feature"));
    }
}
