//! The program `tandem`.

use std::process::ExitCode;

fn main() -> ExitCode {
    driver_cli::main_with(driver_cli::backends())
}
