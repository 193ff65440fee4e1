//! Boots and ends of containers that have the host's root.

use std::time::Instant;

use tandem_tests::TestResult;

use crate::bench::{Bench, finish};
use crate::raw::Kit;
use crate::samples::Samples;
use crate::table::Row;

/// Many, for one host.
const MANY: usize = 24;

const BOOT: &str = "systemd-nspawn alone, to READY=1";
const KILL: &str = "kill -9 until all is gone";

/// What is measured of a number of containers.
#[derive(Default)]
struct Measured {
    boot: Samples,
    raw_boot: Samples,
    crash: Samples,
    finish: Samples,
    raw_kill: Samples,
}

pub(crate) async fn measure(bench: &Bench) -> TestResult<Vec<Option<Row>>> {
    let kit = Kit::new(bench).await?;
    let (mut one, mut many) = (Measured::default(), Measured::default());
    for _ in 0..bench.rounds(15) {
        ours(bench, 1, &mut one).await?;
        raw(&kit, 1, &mut one).await?;
    }
    for _ in 0..bench.rounds(5) {
        ours(bench, MANY, &mut many).await?;
        raw(&kit, MANY, &mut many).await?;
    }
    let row = |what: &str, ours: &Samples, against: &'static str, floor: &Samples| {
        Row::times(what, ours).map(|row| row.against(against, floor))
    };
    Ok(vec![
        row("boot of 1 container", &one.boot, BOOT, &one.raw_boot),
        row("boot of 24 containers at once", &many.boot, BOOT, &many.raw_boot),
        row("crash of 1 container", &one.crash, KILL, &one.raw_kill),
        row("end of a run with 1 container", &one.finish, KILL, &one.raw_kill),
        row("end of a run with 24 containers", &many.finish, KILL, &many.raw_kill),
    ])
}

async fn ours(bench: &Bench, count: usize, measured: &mut Measured) -> TestResult {
    let run = bench.run(count).await?;
    let began = Instant::now();
    run.start_all().await?;
    measured.boot.time(began.elapsed());
    if let [only] = run.machines() {
        let began = Instant::now();
        only.crash().await?;
        measured.crash.time(began.elapsed());
        only.start().await?;
    }
    let began = Instant::now();
    finish(run).await?;
    measured.finish.time(began.elapsed());
    Ok(())
}

async fn raw(kit: &Kit, count: usize, measured: &mut Measured) -> TestResult {
    let mut containers = kit.containers(count).await?;
    let began = Instant::now();
    for container in &mut containers {
        container.go().await?;
    }
    for container in &containers {
        container.ready().await?;
    }
    measured.raw_boot.time(began.elapsed());
    let began = Instant::now();
    for container in &containers {
        container.kill()?;
    }
    for container in containers {
        container.gone().await?;
    }
    measured.raw_kill.time(began.elapsed());
    Ok(())
}
