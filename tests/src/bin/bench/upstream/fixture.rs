//! The guest that both drivers boot, and what tells them of it.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use serde_json::json;
use tandem_tests::TestResult;

use crate::bench::Bench;

#[expect(dead_code, reason = "what its tests look at is not looked at here")]
#[path = "../../../../tests/qemu_start_script/machines.rs"]
mod machines;

/// The name by which Tandem's program is upstream's.
pub(crate) const NAME: &str = "nixos-test-driver";

/// The name that the script has for the machine.
const MACHINE: &str = "server";

/// How often each driver runs a command, and waits.
const REPEATS: &str = "COMMANDS = 50\nWAITS = 8\n";

/// Files that go with the program.
pub(super) struct Fixture {
    /// What the start script boots.
    _guest: machines::Guest,
    /// Upstream's `driverConfiguration.json`.
    pub(super) configuration: PathBuf,
    /// Tandem's program of upstream's name.
    pub(super) program: PathBuf,
    /// What that finds before all other programs.
    programs: PathBuf,
}

impl Fixture {
    pub(super) fn make(bench: &Bench) -> TestResult<Self> {
        let directory = bench.directory().join("upstream");
        fs::create_dir(&directory)?;
        let guest = machines::Guest::make()?;
        let start_script = start_script(&guest, &directory)?;
        let script = directory.join("script.py");
        fs::write(&script, format!("{REPEATS}{}", include_str!("script.py")))?;

        let configuration = directory.join("configuration.json");
        let machine = json!({"name": MACHINE, "start_script": start_script});
        let written = json!({
            "vms": {MACHINE: machine}, "containers": {}, "vlans": [], "global_timeout": 600,
            "enable_ssh_backdoor": false, "test_script": script
        });
        fs::write(&configuration, serde_json::to_vec_pretty(&written)?)?;
        let programs = directory.join("bin");
        fs::create_dir(&programs)?;
        let program = programs.join(NAME);
        symlink(env::current_exe()?, &program)?;
        // The driver of that name has no option for its interpreter.
        if bench.python().is_absolute() {
            symlink(bench.python(), programs.join("python3"))?;
        }
        Ok(Self { _guest: guest, configuration, program, programs })
    }

    /// `PATH` for Tandem's program.
    pub(super) fn search_path(&self) -> TestResult<OsString> {
        let others = env::var_os("PATH").unwrap_or_default();
        Ok(env::join_paths([self.programs.clone()].into_iter().chain(env::split_paths(&others)))?)
    }
}

/// The start script under a name that upstream's driver can have: it quotes no paths.
fn start_script(guest: &machines::Guest, directory: &Path) -> TestResult<PathBuf> {
    // The mark is what a process beside QEMU sleeps, in seconds: longer than any run, and it ends with the run's machine or by itself.
    let spec = guest.machine(MACHINE, "600")?;
    let path = directory.join(format!("run-{MACHINE}-vm"));
    fs::copy(spec.start_script.ok_or("the machine has no start script")?, &path)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Ok(path)
}
