//! From the start of `tandem run` to the first line of its script, without machines.

use std::process::Command;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tandem_tests::TestResult;

use crate::bench::Bench;
use crate::samples::Samples;
use crate::table::Row;
use crate::tandem::{Tandem, numbers};

const SCRIPT: &str = "\
import time
now = time.time_ns()
(driver.out_dir / 'now').write_text(str(now / 1e6))
";

pub(crate) async fn measure(bench: &Bench) -> TestResult<Vec<Option<Row>>> {
    let (mut ours, mut floor) = (Samples::default(), Samples::default());
    for _ in 0..bench.rounds(20) {
        let began = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let output = Tandem::run(bench, &[], SCRIPT).await?;
        let said = numbers(&output.join("now"))?.into_iter().map(|now| now - began.as_secs_f64() * 1e3);
        ours.extend(said);

        let began = Instant::now();
        let status = Command::new(bench.python()).args(["-c", "pass"]).status()?;
        floor.time(began.elapsed());
        if !status.success() {
            return Err(format!("python: {status}").into());
        }
    }
    Ok(vec![Row::times("start to the first line of a script", &ours).map(|row| row.against("python3 -c pass", &floor))])
}
