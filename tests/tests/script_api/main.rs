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

fn passes(name: &str, script: &str) -> TestResult {
    if !requirement::containers_and("python3") {
        return Ok(());
    }
    let _lock = host_lock::shared()?;
    let ended = Program::start(TANDEM, &["run", name], &[(name, script)])?.wait(PATIENCE)?;
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    Ok(())
}
