//! The program `tandem` with the backends that it comes with, built as part of the tests.

use std::process::ExitCode;

fn main() -> ExitCode {
    driver_cli::main_with(driver_cli::backends())
}
