//! `make bench`: how long things take, each beside the least that it could take here or beside upstream's way.
//!
//! Machines drift, so ours and the other are measured in turns, and what counts is the ratio. Nothing fails because it is slow.
//!
//! Called by the name `tandem` or `nixos-test-driver`, this program is that program: what is measured is then built as the rest is, and always up to date.

mod bench;
mod boot;
mod command;
mod console;
mod first_line;
mod group;
mod lan;
mod memory;
mod raw;
mod raw_vm;
mod samples;
mod segments;
mod table;
mod tandem;
mod upstream;
mod vm;
mod wait;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use tandem_tests::TestResult;
use tokio::signal::unix::{SignalKind, signal};

use bench::Bench;
use table::Table;

/// Measures Tandem on this host, as root: prints a table, fails only if something does not work.
#[derive(Debug, Parser)]
#[command(name = "bench", max_term_width = 110)]
struct Arguments {
    /// What to measure, in groups [default: everything]
    what: Vec<What>,
    /// Measures a fifth as often.
    #[arg(long)]
    quick: bool,
    /// Writes the numbers to this file too, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// The Python that runs the scripts [default: /usr/bin/python3 if it is there, else python3]
    #[arg(long, value_name = "P")]
    python: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// From the start of `tandem run` to the first line of its script.
    FirstLine,
    /// Boots and ends of 1 and of 24 containers.
    Boot,
    /// A command in a container, from Rust and from Python.
    Command,
    /// How late waits return.
    Wait,
    /// Memory of the driver.
    Memory,
    /// The search for a text among 50,000 console lines.
    Console,
    /// Boots of a VM, and commands in it; upstream's way beside them.
    Vm,
    /// LANs between containers and VMs; a kernel bridge and, with vde2, upstream's way beside them.
    Lan,
    /// Segments of netbridge between each two kinds of ports; a plain bridge and, with vde2, upstream's way beside them.
    Netbridge,
    /// A whole run over a guest of upstream's kind; the same by upstream's driver, which `TANDEM_BENCH_UPSTREAM` names.
    Upstream,
}

fn main() -> ExitCode {
    let name = std::env::args_os().next().unwrap_or_default();
    if name == tandem::NAME || Path::new(&name).ends_with(upstream::NAME) {
        return driver_cli::main_with(driver_cli::backends());
    }
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(status) => status,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Measures until that is done or a signal ends it. What was started is undone either way, by being dropped.
fn run(arguments: &Arguments) -> TestResult<ExitCode> {
    // As many threads as the driver has.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        tokio::select! {
            result = measure(arguments) => result.map(|()| ExitCode::SUCCESS),
            _ = interrupt.recv() => Ok(ExitCode::from(130)),
            _ = terminate.recv() => Ok(ExitCode::from(143)),
        }
    })
}

async fn measure(arguments: &Arguments) -> TestResult {
    let bench = Bench::new(arguments.quick, arguments.python.as_deref().unwrap_or(python()))?;
    let mut table = Table::new(&bench);
    for what in What::value_variants() {
        if !arguments.what.is_empty() && !arguments.what.contains(what) {
            continue;
        }
        writeln!(std::io::stderr(), "measuring: {what:?}")?;
        table.add(match what {
            What::FirstLine => first_line::measure(&bench).await?,
            What::Boot => boot::measure(&bench).await?,
            What::Command => command::measure(&bench).await?,
            What::Wait => wait::measure(&bench).await?,
            What::Memory => memory::measure(&bench).await?,
            What::Console => console::measure(&bench).await?,
            What::Vm => vm::measure(&bench).await?,
            What::Lan => lan::measure(&bench).await?,
            What::Netbridge => segments::measure(&bench).await?,
            What::Upstream => upstream::measure(&bench).await?,
        });
    }
    write!(std::io::stdout(), "{table}")?;
    if let Some(path) = &arguments.json {
        let json = serde_json::to_vec_pretty(&table)?;
        std::fs::write(path, json).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

/// A python3 that starts at once: version managers put slow scripts of this name on the `PATH`.
fn python() -> &'static Path {
    let system = Path::new("/usr/bin/python3");
    if system.exists() { system } else { Path::new("python3") }
}
