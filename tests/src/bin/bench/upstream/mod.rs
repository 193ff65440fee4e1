//! A whole run, by Tandem and by upstream's own driver: the same script over the same guest, in turns. Where that driver is, the environment
//! variable `TANDEM_BENCH_UPSTREAM` says.

mod driver;
mod fixture;

use std::path::PathBuf;

use tandem_tests::TestResult;

use crate::bench::Bench;
use crate::samples::Samples;
use crate::table::Row;

use driver::{Driver, Told};
use fixture::Fixture;
pub(crate) use fixture::NAME;

/// What names upstream's driver: the program `nixos-test-driver`.
const VARIABLE: &str = "TANDEM_BENCH_UPSTREAM";

/// An emulated guest boots in each of them.
const RUNS: usize = 3;

/// What was measured of one driver.
#[derive(Default)]
struct Measured {
    wall: Samples,
    boot: Samples,
    commands: Samples,
    late: Samples,
    memory: Samples,
}

impl Measured {
    fn add(&mut self, told: Told) {
        self.wall.time(told.wall);
        self.boot.push(told.boot);
        self.commands.extend(told.commands);
        self.late.extend(told.late);
        self.memory.push(told.megabytes);
    }
}

pub(crate) async fn measure(bench: &Bench) -> TestResult<Vec<Option<Row>>> {
    if let Some(why) = Bench::lacking_for_vms() {
        return Ok(vec![Some(Row::lacking("a whole run, beside upstream's driver", why))]);
    }
    let upstream = upstream()?;
    let fixture = Fixture::make(bench)?;
    let (mut ours, mut theirs) = (Measured::default(), Measured::default());
    for _ in 0..bench.rounds(RUNS) {
        ours.add(Driver::Ours(&fixture.program).run(bench, &fixture).await?);
        if let Some(program) = &upstream {
            theirs.add(Driver::Upstreams(program).run(bench, &fixture).await?);
        }
    }
    let row = |row: Option<Row>, other: &Samples| row.map(|row| row.against("upstream's driver", other));
    let mut rows = vec![
        row(Row::times("a whole run with one VM of upstream's kind", &ours.wall), &theirs.wall),
        row(Row::times("in it: start to the first command done", &ours.boot), &theirs.boot),
        row(Row::times("in it: a command", &ours.commands), &theirs.commands),
        row(Row::times("in it: late: wait_for_file", &ours.late), &theirs.late),
        row(Row::megabytes("in it: memory of driver and script (RSS)", &ours.memory), &theirs.memory),
    ];
    if upstream.is_none() {
        rows.push(Some(Row::lacking("the same by upstream's driver", format!("{VARIABLE} does not say where it is"))));
    }
    Ok(rows)
}

/// Where upstream's driver is.
fn upstream() -> TestResult<Option<PathBuf>> {
    let Some(path) = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()) else { return Ok(None) };
    let path = std::path::absolute(path)?;
    if !path.is_file() {
        return Err(format!("{VARIABLE}: there is no program {}", path.display()).into());
    }
    Ok(Some(path))
}
