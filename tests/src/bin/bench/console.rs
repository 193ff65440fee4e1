//! The search for a text among 50,000 console lines.

use std::sync::Arc;
use std::time::{Duration, Instant};

use driver_core::event::Recorder;
use driver_core::fake::FakeBackend;
use driver_core::machine::{Machine, Options};
use tandem_tests::TestResult;
use tokio::process::Command;
use tokio::time::timeout;

use crate::bench::{Bench, PATIENCE};
use crate::samples::Samples;
use crate::table::Row;
use crate::tandem::{Tandem, numbers};

const LINES: usize = 50_000;

/// First with everything that goes on around a search: the container's terminal, the record in its files. Then the search alone.
const SCRIPT: &str = "\
import time
def say(last):
    m1.execute(f'(seq --format=\"%.0f: something that nobody reads\" LINES; echo {last}) >/dev/console &')
def timed():
    return str((time.perf_counter_ns() - began) / 1e6)
m1.systemctl('is-system-running --wait')
began = time.perf_counter_ns()
say('first last line')
m1.wait_for_console_text('first last line')
(driver.out_dir / 'all').write_text(timed())
say('second last line')
while 'second last line' not in m1.get_console_log():
    time.sleep(0.1)
began = time.perf_counter_ns()
m1.wait_for_console_text('second last line')
(driver.out_dir / 'search').write_text(timed())
";

/// Upstream's way: each line goes from a queue into a buffer, and all of the buffer is searched again.
const UPSTREAM: &str = "\
import queue, re, time
lines = queue.SimpleQueue()
for number in range(LINES):
    lines.put(f'{number + 1}: something that nobody reads')
lines.put('second last line')
began, buffer = time.perf_counter_ns(), ''
while not re.search('second last line', buffer):
    buffer += lines.get()
print((time.perf_counter_ns() - began) / 1e6)
";

/// How long that may take: it grows with the square of the lines.
const LONG: Duration = Duration::from_secs(900);

pub(crate) async fn measure(bench: &Bench) -> TestResult<Vec<Option<Row>>> {
    let [mut search, mut from_python, mut all, mut upstream] = [(); 4].map(|()| Samples::default());
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

        let output = Tandem::run(bench, &["m1"], &with_lines(SCRIPT)).await?;
        all.extend(numbers(&output.join("all"))?);
        from_python.extend(numbers(&output.join("search"))?);
    }
    upstream.push(upstreams(bench).await?);
    let what = "upstream's way with the lines in memory, once";
    Ok(vec![
        Row::times("a search in 50,000 console lines, from Rust", &search),
        Row::times("the same from Python", &from_python).map(|row| row.against(what, &upstream)),
        Row::times("a container prints them and the last is found", &all),
    ])
}

fn with_lines(script: &str) -> String {
    script.replace("LINES", &LINES.to_string())
}

async fn upstreams(bench: &Bench) -> TestResult<f64> {
    let mut command = Command::new(bench.python());
    command.arg("-c").arg(with_lines(UPSTREAM)).process_group(0).kill_on_drop(true);
    let output = timeout(LONG, command.output()).await??;
    let said = String::from_utf8_lossy(&output.stdout);
    said.trim().parse().map_err(|_| format!("python: {}", String::from_utf8_lossy(&output.stderr)).into())
}
