//! The first program of a guest with a root of the host's choice: pid 1 of the initramfs.
//!
//! It does what `/plan` says, in that order: loads modules, names and addresses the network interfaces, mounts the root, writes the files
//! that make the root this machine's, and becomes the root's init. What goes wrong is said on the console, and the machine ends.
//!
//! It is one static program without dependencies, compiled by the build script of `backend-qemu`.

mod files;
mod kernel;
mod network;
mod plan;
mod root;

use std::convert::Infallible;
use std::fmt::Display;
use std::fs;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use plan::{Plan, Step};

/// What failed, to be read after "tandem-init: ".
type Failure = String;

fn main() -> ExitCode {
    let Err(failure) = run();
    // The console carries it to the driver, which ends the boot with it.
    let _ = writeln!(io::stdout(), "tandem-init: {failure}");
    kernel::power_off();
    ExitCode::FAILURE
}

fn run() -> Result<Infallible, Failure> {
    for (kind, place) in [("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev")] {
        fs::create_dir_all(place).map_err(at("make", place))?;
        kernel::mount(kind, place, kind, 0, "").map_err(at("mount", place))?;
    }
    let plan = fs::read("/plan").map_err(at("read", "/plan"))?;
    let plan = Plan::parse(&plan).ok_or("the plan cannot be read")?;
    let mut done = false;
    let (mut rooted, mut rootless) = (false, Vec::new());
    for step in plan.steps {
        match step {
            Step::Module { file } => kernel::load(file).map_err(at("load", file))?,
            Step::Interface { mac, name, addresses } => {
                network::configure(mac, name, &addresses).map_err(at("set up", name))?;
            }
            Step::Wait { path } => kernel::wait_for(Path::new(path)).map_err(at("wait for", path))?,
            Step::Overlay { tag, upper } => root::overlay(tag, upper)?,
            Step::Empty { device } => root::empty(device)?,
            Step::Disk { .. } if rooted => {}
            Step::Disk { device, kind, inits } => match root::disk(device, kind, &inits) {
                Ok(()) => rooted = true,
                Err(failure) => rootless.push(failure),
            },
            Step::Enter if !rooted && !rootless.is_empty() => return Err(rootless.join("; ")),
            Step::Enter => root::enter()?,
            Step::Share { tag, target } => root::share(tag, target)?,
            Step::Volume { device, target } => root::volume(device, target)?,
            Step::Scratch { target, mode } => root::scratch(target, mode)?,
            Step::Unless { path, content } => done = fs::read_to_string(path).is_ok_and(|found| found == content),
            // From here on the root is the machine's, and paths mean what they mean in it.
            Step::File(_) if done => {}
            Step::File(change) => files::apply(&change)?,
            Step::Execute { inits } => return Err(execute(&inits)),
        }
    }
    Err("the plan has no init".to_owned())
}

/// Becomes the root's init: the first that can be executed. Returns only if there is none.
fn execute(inits: &[&str]) -> Failure {
    let failure = |init: &&str| at("execute", init)(Command::new(init).env_clear().exec());
    inits.iter().map(failure).collect::<Vec<_>>().join("; ")
}

/// Words for an error of a step.
fn at<E: Display>(what: &'static str, place: &str) -> impl FnOnce(E) -> Failure {
    let place = place.to_owned();
    move |error| format!("cannot {what} {place}: {error}")
}
