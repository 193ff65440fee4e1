//! A configuration with its scripts and places, and the program called with it.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tandem_tests::TestResult;
use tandem_tests::program::{Ended, Program};
use tempfile::TempDir;

/// Much more than a run without machines takes on a busy host.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A directory with a test, and with the places that it uses.
pub(crate) struct Ground {
    directory: TempDir,
    configuration: Value,
}

impl Ground {
    /// A test without machines.
    pub(crate) fn new() -> TestResult<Self> {
        let directory = tempfile::Builder::new().prefix("tandem-test-").tempdir()?;
        for name in ["state", "out"] {
            fs::create_dir(directory.path().join(name))?;
        }
        for name in ["nixos-test-driver", "generate-driver-symbols"] {
            symlink(env!("CARGO_BIN_EXE_tandem-under-test"), directory.path().join(name))?;
        }
        let configuration = json!({
            "vms": {},
            "containers": {},
            "vlans": [],
            "global_timeout": 3600,
            "enable_ssh_backdoor": false,
            "test_script": directory.path().join("test-script"),
        });
        let ground = Self { directory, configuration };
        ground.script("")?;
        Ok(ground)
    }

    /// A path in the directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The same as text.
    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// Writes the test script.
    pub(crate) fn script(&self, text: &str) -> io::Result<()> {
        fs::write(self.path("test-script"), text)
    }

    /// Sets a key of the configuration.
    pub(crate) fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.configuration[key] = value.into();
    }

    /// Adds a VM whose start script has this text.
    pub(crate) fn vm(&mut self, name: &str, script: &str) -> io::Result<()> {
        let path = self.path(&format!("run-{name}-vm"));
        fs::write(&path, script)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        self.start_script(name, &path);
        Ok(())
    }

    /// Adds a VM with a start script that is there.
    pub(crate) fn start_script(&mut self, name: &str, path: &Path) {
        self.configuration["vms"][name] = json!({"name": name, "start_script": path});
    }

    /// Starts the driver with the configuration, the places and these arguments.
    pub(crate) fn start(&self, args: &[&str]) -> TestResult<Program> {
        self.start_with(&[], args)
    }

    /// The same with variables `NAME=VALUE`.
    pub(crate) fn start_with(&self, environment: &[&str], args: &[&str]) -> TestResult<Program> {
        let configuration = self.path("driverConfiguration.json");
        fs::write(&configuration, self.configuration.to_string())?;
        let (configuration, output) = (configuration.display().to_string(), self.text("out"));
        // As the wrapper that nixpkgs makes, and its test: these come first.
        let own = ["--config", &configuration, "--log-level", "info", "-o", &output];
        self.call("nixos-test-driver", environment, &[&own, args].concat())
    }

    /// Starts a shell's command that calls the driver with `"$@"`.
    pub(crate) fn shell(&self, command: &str, args: &[&str]) -> TestResult<Program> {
        let configuration = self.path("driverConfiguration.json");
        fs::write(&configuration, self.configuration.to_string())?;
        let (state, configuration) =
            (format!("XDG_RUNTIME_DIR={}", self.text("state")), configuration.display().to_string());
        let own = [&state, "sh", "-c", command, "sh", "--config", &configuration, "-o", &self.text("out")];
        Ok(Program::start("env", &[&own, args].concat(), &[])?)
    }

    /// Runs the driver to its end.
    pub(crate) fn run(&self, args: &[&str]) -> TestResult<Ended> {
        Ok(self.start(args)?.wait(PATIENCE)?)
    }

    /// Starts one of the programs with the place of its state, and nothing else that it is not told.
    pub(crate) fn call(&self, program: &str, environment: &[&str], args: &[&str]) -> TestResult<Program> {
        let state = format!("XDG_RUNTIME_DIR={}", self.text("state"));
        let mut words = vec!["-u", "DISPLAY", "-u", "LOGFILE", &state];
        words.extend(environment);
        let program = self.text(program);
        words.push(&program);
        words.extend(args);
        Ok(Program::start("env", &words, &[])?)
    }

    /// What is in a directory, sorted.
    pub(crate) fn names(&self, name: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(name)).into_iter().flatten().flatten();
        let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

/// Waits until it is so.
pub(crate) fn soon(what: &str, limit: Duration, is_so: impl Fn() -> bool) -> TestResult {
    let began = Instant::now();
    while !is_so() {
        if began.elapsed() > limit {
            return Err(format!("{what}: not within {limit:?}").into());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Fails unless these parts stand in the text in this order.
pub(crate) fn in_order(text: &str, parts: &[&str]) -> TestResult {
    let mut rest = text;
    for part in parts {
        let (_, after) = rest.split_once(part).ok_or_else(|| format!("no {part:?} in its place in {text}"))?;
        rest = after;
    }
    Ok(())
}
