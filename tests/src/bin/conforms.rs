//! The conformance suite on containers with a directory as their root, where there is no cargo, such as in a Nix build.

use driver_core::spec::Root;
use tandem_tests::TestResult;
use tandem_tests::conformance::{containers, run};

fn main() -> TestResult {
    // While there are no threads.
    driver_core::run::furnish()?;
    let root = std::env::args_os().nth(1).ok_or("the first argument is a directory")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(run(&containers(Root::Directory(root.into())))).passed()
}
