//! Builds that do something with machines.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use tandem_tests::{TestResult, requirement};

const TANDEM: &str = env!("CARGO_BIN_EXE_tandem-under-test");

/// What a build needs besides Nix.
pub(crate) struct Build<'a> {
    pub(crate) settings: &'a str,
    /// System features that it requires, as JSON.
    pub(crate) features: &'a str,
    /// What comes before the command.
    pub(crate) enter: &'a str,
    pub(crate) command: &'a str,
    /// Files that the command finds in `$files`.
    pub(crate) files: &'a [(&'a str, &'a str)],
    /// Directories of this host that the builder has, and where.
    pub(crate) binds: &'a [(PathBuf, &'static str)],
    /// What is done with its result.
    pub(crate) then: &'a str,
}

/// Builds it and returns all that was said. None where there is no Nix.
pub(crate) fn build(build: &Build<'_>) -> TestResult<Option<String>> {
    let Some(host) = requirement::nix_host() else { return Ok(None) };
    let mut script = "mkdir -p /root/files\n".to_owned();
    let mut file =
        |path: &str, content: &str| writeln!(script, "cat >/root/{path} <<'END-OF-FILE'\n{content}\nEND-OF-FILE");
    file("enter.sh", build.enter)?;
    file("build.nix", include_str!("build.nix"))?;
    for (name, content) in build.files {
        file(&format!("files/{name}"), content)?;
    }
    let arguments = format!("--argstr features '{}' --argstr command '{}'", build.features, build.command);
    writeln!(script, "nix-build build.nix --arg enter /root/enter.sh {arguments} 2>&1\n{}", build.then)?;
    let output = host.run_with(Path::new(TANDEM), build.settings, build.binds, &script)?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    Ok(Some(said))
}
