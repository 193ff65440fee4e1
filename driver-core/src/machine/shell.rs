//! Text for a guest's bash.

/// What every script begins with: a failure anywhere in it is its failure.
const STRICT: &str = "set -euo pipefail\n";

/// The status by which a loop says that the condition does not hold yet (`EX_TEMPFAIL` of sysexits.h).
pub(super) const NOT_YET: i32 = 75;

/// The script that runs `command` as upstream does.
pub(super) fn strict(command: &str) -> String {
    format!("{STRICT}{command}")
}

/// One word of a command line, whatever is in it.
pub(super) fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// How long a loop in the guest goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Looks {
    /// One look.
    Once,
    /// A quarter of a second.
    Slice,
    /// Until it is ended. Standard input must be a descriptor that nothing is ever written to; when its other end is closed, the loop ends.
    Endless,
}

/// A script that ends with 0 once `holds` is true, and with [`NOT_YET`] if that did not happen. `functions` defines it, of builtins only.
///
/// It pauses with `read -t`, a builtin too, so that a look costs no process.
pub(super) fn until_holds(functions: &str, looks: Looks) -> String {
    let (idle, times) = match looks {
        Looks::Once => ("", "1"),
        // A pipe that this shell itself has open at both ends: reading from it neither ends nor yields anything.
        Looks::Slice => ("exec 0<> <(:)\n", "25"),
        Looks::Endless => ("", "2 ** 62"),
    };
    format!(
        "{STRICT}{idle}{functions}
for ((left = {times}; left > 0; left--)); do
  if holds; then exit 0; fi
  if ((left > 1)); then
    status=0
    read -r -t 0.01 || status=$?
    ((status > 128)) || break
  fi
done
exit {NOT_YET}"
    )
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    use super::*;

    fn bash(script: &str) -> Command {
        let mut bash = Command::new("bash");
        bash.args(["--norc", "-c", script]).stdin(Stdio::null());
        bash
    }

    #[test]
    fn quotes_survive_the_shell() {
        for word in ["", "plain", "two words", "it's", "$HOME `id` \\ \"x\"", "-n", "*", "a\nb"] {
            let output = bash(&format!("printf %s {}", quote(word))).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), word);
        }
    }

    #[test]
    fn a_loop_says_whether_its_condition_held() {
        for looks in [Looks::Once, Looks::Slice] {
            assert!(bash(&until_holds("holds() { true; }", looks)).status().unwrap().success());
            let status = bash(&until_holds("holds() { false; }", looks)).status().unwrap();
            assert_eq!(status.code(), Some(NOT_YET), "{looks:?}");
        }
    }

    #[test]
    fn a_slice_lasts_and_looks_often() {
        let began = Instant::now();
        let status = bash(&until_holds("looks=0; holds() { ((++looks == 20)); }", Looks::Slice)).status().unwrap();
        assert!(status.success());
        assert!(began.elapsed() > Duration::from_millis(150), "{:?}", began.elapsed());
    }

    #[test]
    fn an_endless_loop_ends_with_its_input() {
        let mut bash = bash(&until_holds("holds() { false; }", Looks::Endless));
        let mut child = bash.stdin(Stdio::piped()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(child.try_wait().unwrap(), None);
        drop(child.stdin.take());
        assert_eq!(child.wait().unwrap().code(), Some(NOT_YET));
    }
}
