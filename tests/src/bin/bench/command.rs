//! A command in a container that has nothing else to do.

use std::process::Command;
use std::time::Instant;

use tandem_tests::TestResult;

use crate::bench::{Bench, finish};
use crate::samples::Samples;
use crate::table::Row;
use crate::tandem::{Tandem, numbers};

const ROUNDS: usize = 300;

const SCRIPT: &str = "\
import subprocess, time
def timed(function, *arguments):
    began = time.perf_counter_ns()
    function(*arguments)
    return str((time.perf_counter_ns() - began) / 1e6)
m1.systemctl('is-system-running --wait')
ours, floor = [], []
for _ in range(ROUNDS):
    ours.append(timed(m1.succeed, 'true'))
    floor.append(timed(subprocess.run, ['bash', '-c', 'true']))
(driver.out_dir / 'ours').write_text(' '.join(ours))
(driver.out_dir / 'floor').write_text(' '.join(floor))
";

pub(crate) async fn measure(bench: &Bench) -> TestResult<Vec<Option<Row>>> {
    let (mut ours, mut floor) = (Samples::default(), Samples::default());
    let run = bench.settled().await?;
    for _ in 0..bench.rounds(ROUNDS) {
        let began = Instant::now();
        run.machines()[0].succeed("true", None).await?;
        ours.time(began.elapsed());

        let began = Instant::now();
        Command::new("bash").args(["-c", "true"]).status()?;
        floor.time(began.elapsed());
    }
    finish(run).await?;
    let rust = Row::times("a command, from Rust", &ours).map(|row| row.against("bash -c true on the host", &floor));

    let script = SCRIPT.replace("ROUNDS", &bench.rounds(ROUNDS).to_string());
    let output = Tandem::run(bench, &["m1"], &script).await?;
    let (mut ours, mut floor) = (Samples::default(), Samples::default());
    ours.extend(numbers(&output.join("ours"))?);
    floor.extend(numbers(&output.join("floor"))?);
    let what = "the same by Python's subprocess.run";
    Ok(vec![rust, Row::times("a command, from Python", &ours).map(|row| row.against(what, &floor))])
}
