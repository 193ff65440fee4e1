//! Compiles `init/`, the first program of a guest: static, so that it runs where nothing else is.

use std::env;
use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=init");
    let variable = |name: &str| env::var(name).unwrap_or_else(|_| panic!("cargo sets {name} for build scripts"));
    let output = PathBuf::from(variable("OUT_DIR")).join("init");
    let mut rustc = Command::new(variable("RUSTC"));
    rustc.args([
        "init/main.rs",
        "--crate-name=init",
        "--crate-type=bin",
        "--edition=2024",
        "--target",
        &variable("TARGET"),
    ]);
    // It is loaded into every guest's memory: small, and without what only debuggers read.
    rustc.args(["-Copt-level=s", "-Cpanic=abort", "-Cstrip=symbols", "-Ctarget-feature=+crt-static"]);
    if let Ok(linker) = env::var("RUSTC_LINKER") {
        rustc.arg(format!("-Clinker={linker}"));
    }
    let status = rustc.arg("-o").arg(&output).status();
    assert!(
        status.as_ref().is_ok_and(std::process::ExitStatus::success),
        "init/ could not be compiled ({status:?}); it needs the C library for static programs (libc.a, of Debian's package libc6-dev)"
    );
}
