//! The search for a text among 50,000 console lines.

use std::sync::Arc;
use std::time::Instant;

use driver_core::event::Recorder;
use driver_core::fake::FakeBackend;
use driver_core::machine::{Machine, Options};
use tandem_tests::TestResult;

use crate::bench::{Bench, PATIENCE};
use crate::samples::Samples;
use crate::table::Row;
use crate::tandem::{Tandem, numbers};

const LINES: usize = 50_000;

/// With everything that goes on around a search: the container's terminal, the record in its files.
const SCRIPT: &str = "\
import time
m1.systemctl('is-system-running --wait')
began = time.perf_counter_ns()
m1.execute('(seq --format=\"%.0f: something that nobody reads\" LINES; echo last line) >/dev/console &')
m1.wait_for_console_text('last line')
(driver.out_dir / 'took').write_text(str((time.perf_counter_ns() - began) / 1e6))
";

pub(crate) async fn measure(bench: &Bench) -> TestResult<Vec<Option<Row>>> {
    let (mut search, mut all) = (Samples::default(), Samples::default());
    for _ in 0..bench.rounds(5) {
        let fake = FakeBackend::new().machine("m1");
        fake.boot_says((1..LINES).map(|number| format!("{number}: something that nobody reads")));
        let options = Options::new(bench.directory());
        let machine = Machine::new(fake.spec(), Arc::new(fake.clone()), Recorder::new(vec![]), options);
        machine.start().await?;
        fake.say("last line");
        let began = Instant::now();
        machine.wait_for_console_text("last line", Some(PATIENCE)).await?;
        search.time(began.elapsed());

        let output = Tandem::run(bench, &["m1"], &SCRIPT.replace("LINES", &LINES.to_string())).await?;
        all.extend(numbers(&output.join("took"))?);
    }
    Ok(vec![
        Row::times("a search in 50,000 console lines", &search),
        Row::times("a container prints them and the last is found", &all),
    ])
}
