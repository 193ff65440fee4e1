//! Tests as an ordinary user runs them, who has no right that others have not.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tandem_tests::TestResult;
use tandem_tests::program::Program;
use tempfile::TempDir;

/// The user's id on Debian, and that of the user's group.
const NOBODY: u32 = 65534;

/// A user's directory, `/mnt/test` to the user, and others that the user sees.
pub(crate) struct User {
    directory: TempDir,
    binds: Vec<(PathBuf, String)>,
    /// Whether something of /proc is hidden.
    pub(crate) hidden: bool,
}

impl User {
    pub(crate) fn new() -> TestResult<Self> {
        let directory = tempfile::Builder::new().prefix("tandem-test-").tempdir()?;
        let path = directory.path();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
        chown(path, Some(NOBODY), Some(NOBODY))?;
        fs::copy(env!("CARGO_BIN_EXE_tandem-under-test"), path.join("tandem"))?;
        symlink("tandem", path.join("nixos-test-driver"))?;
        let user = Self { binds: vec![(path.to_owned(), "/mnt/test".into())], directory, hidden: false };
        user.own("tmp", None)?;
        user.own("out", None)?;
        Ok(user)
    }

    /// Where the directory is on the host.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file of the user's, or makes a directory.
    pub(crate) fn own(&self, name: &str, content: Option<&str>) -> TestResult {
        let path = self.path(name);
        match content {
            Some(content) => fs::write(&path, content)?,
            None => fs::create_dir(&path)?,
        }
        Ok(chown(path, Some(NOBODY), Some(NOBODY))?)
    }

    /// Lets the user see a directory, and tells where.
    pub(crate) fn see(&mut self, directory: &Path) -> String {
        let place = format!("/mnt/{}", self.binds.len());
        self.see_at(directory, &place);
        place
    }

    /// The same at this place below `/mnt`.
    pub(crate) fn see_at(&mut self, directory: &Path, place: &str) {
        self.binds.push((directory.to_owned(), place.to_owned()));
    }

    /// A configuration of upstream's for `nixos-test-driver`, with these machines and their start scripts.
    pub(crate) fn configure(&self, machines: &[(&str, String)], script: &str) -> TestResult {
        let vms: serde_json::Map<String, Value> =
            machines.iter().map(|(name, script)| ((*name).to_owned(), json!({ "start_script": script }))).collect();
        let configuration = json!({
            "vms": vms,
            "containers": {},
            "vlans": [1],
            "global_timeout": 3600,
            "enable_ssh_backdoor": false,
            "test_script": "/mnt/test/test-script",
        });
        self.own("configuration", Some(&configuration.to_string()))?;
        self.own("test-script", Some(script))
    }

    /// Starts a program with the environment of a Nix build.
    pub(crate) fn start(&self, command: &[&str]) -> TestResult<Program> {
        let binds: Vec<String> = self.binds.iter().map(|(from, to)| format!("{}:{to}", from.display())).collect();
        let (binds, hidden) =
            (format!("BINDS={}", binds.join("\n")), format!("HIDDEN={}", if self.hidden { "fs" } else { "" }));
        let path = format!("PATH={}:/usr/sbin", std::env::var("PATH")?);
        let words = ["-u", "XDG_RUNTIME_DIR", "TMPDIR=/mnt/test/tmp", "HOME=/homeless-shelter", &path, &binds, &hidden];
        let shell = ["unshare", "--mount", "bash", "-c", include_str!("user.sh"), "user"];
        Ok(Program::start("env", &[&words[..], &shell, command].concat(), &[])?)
    }

    /// What is in the user's directory for temporary files.
    pub(crate) fn left(&self) -> TestResult<Vec<String>> {
        let entries = fs::read_dir(self.path("tmp"))?;
        Ok(entries
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<std::io::Result<_>>()?)
    }
}
