//! The program `tandem` with one more backend.

use std::process::ExitCode;
use std::sync::Arc;

fn main() -> ExitCode {
    let mut backends = driver_cli::backends();
    backends.push(Arc::new(third_backend::Sandbox));
    driver_cli::main_with(backends)
}
