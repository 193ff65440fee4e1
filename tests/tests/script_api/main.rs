//! The script API on real machines: a script for each area of it.

use std::time::Duration;

use tandem_tests::program::Program;
use tandem_tests::{TestResult, host_lock, requirement};

const TANDEM: &str = env!("CARGO_BIN_EXE_tandem-under-test");

/// A busy host takes some time for each boot.
const PATIENCE: Duration = Duration::from_secs(300);

macro_rules! scripts {
    ($(fn $name:ident();)*) => {$(
        #[test]
        fn $name() -> TestResult {
            passes(concat!(stringify!($name), ".py"), include_str!(concat!(stringify!($name), ".py")))
        }
    )*};
}

scripts! {
    fn commands();
    fn console();
    fn deadline();
    fn files();
    fn language();
    fn screen();
    fn units();
    fn vlans();
    fn waits();
}

#[test]
fn processes() -> TestResult {
    let Some(said) = run("processes.py", include_str!("processes.py"))? else { return Ok(()) };
    let told = |what: &str| said.lines().filter(|line| line.contains(&format!("box: {what}"))).count();
    let counts = ["systemd-nspawn running (pid ", "forced crash", "kill NspawnMachine (pid "].map(told);
    // Starts and a reboot; a crash; a release by the script, and that at the end of the run.
    assert_eq!(counts, [4, 1, 2], "{said}");
    Ok(())
}

fn passes(name: &str, script: &str) -> TestResult {
    run(name, script).map(drop)
}

/// Runs a script that must pass, and returns what was said; none if this host cannot run it.
fn run(name: &str, script: &str) -> TestResult<Option<String>> {
    if !requirement::containers_and("python3") {
        return Ok(None);
    }
    let _lock = host_lock::shared()?;
    let ended = Program::start(TANDEM, &["run", name], &[(name, script)])?.wait(PATIENCE)?;
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    Ok(Some(ended.stderr))
}
