//! Memory of the driver's own process, without its children, in a test with two containers.

use std::fs;
use std::time::{Duration, Instant};

use tandem_tests::TestResult;
use tokio::time::sleep;

use crate::bench::{Bench, PATIENCE};
use crate::samples::Samples;
use crate::table::Row;
use crate::tandem::Tandem;

/// Something of everything; then nothing is going on, until it was looked at.
const SCRIPT: &str = "\
import time
start_all()
for machine in machines:
    machine.wait_for_unit('basic.target')
    for _ in range(50):
        machine.succeed('head -c 10000 /dev/zero')
    machine.succeed('head -c 10000000 /dev/urandom > /root/file')
    machine.copy_from_machine('/root/file')
m1.succeed('ping -c 1 m2 || true')
(driver.out_dir / 'steady').touch()
while not (driver.out_dir / 'seen').exists():
    time.sleep(0.01)
";

pub(crate) async fn measure(bench: &Bench) -> TestResult<Vec<Option<Row>>> {
    let (mut steady, mut peak) = (Samples::default(), Samples::default());
    for _ in 0..bench.rounds(3) {
        let test = Tandem::start(bench, &["m1", "m2"], SCRIPT)?;
        let (mark, seen) = (test.output().join("steady"), test.output().join("seen"));
        let began = Instant::now();
        // A test that has failed is told of by its end.
        while !mark.exists() && began.elapsed() < PATIENCE && is_running(&test) {
            sleep(Duration::from_millis(50)).await;
        }
        sleep(Duration::from_millis(500)).await;
        if let Some(status) = test.pid().and_then(|pid| fs::read_to_string(format!("/proc/{pid}/status")).ok()) {
            steady.extend(field(&status, "VmRSS:"));
            peak.extend(field(&status, "VmHWM:"));
            fs::write(&seen, "")?;
        }
        test.end().await?;
        fs::remove_file(mark)?;
        fs::remove_file(seen)?;
    }
    Ok(vec![Row::megabytes("memory with two containers (RSS)", &steady), Row::megabytes("the most that it was", &peak)])
}

fn is_running(test: &Tandem) -> bool {
    let state = test.pid().and_then(|pid| fs::read_to_string(format!("/proc/{pid}/stat")).ok());
    state.is_some_and(|stat| !stat.contains(") Z "))
}

/// A field of /proc/PID/status in megabytes (proc(5) has it in kilobytes, of 1024 bytes).
fn field(status: &str, name: &str) -> Option<f64> {
    let value = status.lines().find_map(|line| line.strip_prefix(name))?;
    value.trim().strip_suffix(" kB")?.parse::<f64>().ok().map(|kilobytes| kilobytes * 1024.0 / 1e6)
}
