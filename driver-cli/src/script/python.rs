//! The interpreter, looked at before there is a script for it.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use driver_core::need::{EVERY_TEST, Need};
use tokio::process::Command;
use tokio::time::timeout;

use super::problem::{PURPOSE, lacking};

/// How long it may take to say which one it is.
const PATIENCE: Duration = Duration::from_secs(20);

/// What it is asked. Any Python understands it.
const QUESTION: &str = "\
import sys
if sys.version_info < (3, 11):
    sys.exit('it is Python %d.%d' % sys.version_info[:2])
print('Python %d.%d.%d (%s)' % (sys.version_info[:3] + (sys.executable,)))
";

/// An interpreter of the right version: `python`, or `python3`.
pub(crate) async fn python(python: Option<&Path>) -> Need {
    let program = python.unwrap_or(Path::new("python3"));
    let mut command = Command::new(program);
    command.args(["-B", "-S", "-c", QUESTION]).stdin(Stdio::null()).kill_on_drop(true);
    let output = match timeout(PATIENCE, command.output()).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => return lacking("there is no such program"),
        Ok(Err(error)) => return lacking(&format!("cannot be started: {error}")),
        Err(_) => return lacking(&format!("it did not say its version within {} s", PATIENCE.as_secs())),
    };
    let last = |text: &[u8]| String::from_utf8_lossy(text).trim().lines().last().unwrap_or_default().to_owned();
    match (output.status.success(), last(&output.stdout), last(&output.stderr)) {
        (true, said, _) if said.starts_with("Python ") => Need::ok(EVERY_TEST, "python3", PURPOSE, said),
        (true, ..) => lacking("it is no Python"),
        (false, _, why) if !why.is_empty() => lacking(&why),
        (false, ..) => lacking(&format!("it ended at once with {}", output.status)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[tokio::test]
    async fn an_interpreter_that_is_none_says_why() {
        let directory = tempfile::tempdir().unwrap();
        let old = directory.path().join("old");
        fs::write(&old, "#!/bin/sh\necho 'it is Python 3.9' >&2; exit 1\n").unwrap();
        fs::set_permissions(&old, fs::Permissions::from_mode(0o755)).unwrap();
        for (program, why) in [
            (old.as_path(), "it is Python 3.9"),
            (Path::new("/no/such/python"), "there is no such program"),
            (Path::new("/bin/true"), "it is no Python"),
            (Path::new("/bin/false"), "it ended at once with exit status: 1"),
        ] {
            let told = python(Some(program)).await.problem().unwrap().to_string();
            assert!(told.starts_with(&format!("every test: python3: {why}; install python3")), "{told}");
        }
    }
}
