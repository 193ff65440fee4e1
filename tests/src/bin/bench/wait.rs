//! How late waits return: from the moment at which the condition holds, as the container saw it.

use std::future::Future;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use driver_core::machine::Machine;
use rustix::rand::{GetRandomFlags, getrandom};
use rustix::time::{ClockId, clock_gettime};
use tandem_tests::TestResult;

use crate::bench::{Bench, PATIENCE, finish};
use crate::samples::Samples;
use crate::table::Row;

pub(crate) async fn measure(bench: &Bench) -> TestResult<Vec<Option<Row>>> {
    let run = bench.settled().await?;
    let machine = &run.machines()[0];
    let files = rounds(bench, |round| file(machine, round)).await?;
    let ports = rounds(bench, |round| port(machine, bench, round)).await?;
    let units = rounds(bench, |round| unit(machine, round)).await?;
    finish(run).await?;
    Ok(vec![
        Row::times("late: wait_for_file", &files),
        Row::times("late: wait_for_open_port", &ports),
        Row::times("late: wait_for_unit", &units),
    ])
}

async fn rounds<F: Future<Output = TestResult<f64>>>(
    bench: &Bench,
    measure: impl Fn(usize) -> F,
) -> TestResult<Samples> {
    let mut samples = Samples::default();
    for round in 0..bench.rounds(30) {
        samples.push(measure(round).await?);
    }
    Ok(samples)
}

async fn file(machine: &Machine, round: usize) -> TestResult<f64> {
    let path = format!("/tmp/file-{round}");
    let script = format!("sleep {}; now=$EPOCHREALTIME; : >{path}; echo $now >{path}.made", delay()?);
    background(machine, &script).await?;
    machine.wait_for_file(&path, PATIENCE).await?;
    since(machine, &format!("{path}.made")).await
}

async fn port(machine: &Machine, bench: &Bench, round: usize) -> TestResult<f64> {
    let (port, made) = (20_000 + round, format!("/tmp/port-{round}.made"));
    let listen = format!(
        "import socket, time\n\
         with socket.socket() as listener:\n\
         \x20   listener.bind(('127.0.0.1', {port}))\n\
         \x20   time.sleep({})\n\
         \x20   now = time.time()\n\
         \x20   listener.listen()\n\
         \x20   open('{made}', 'w').write(str(now))\n\
         \x20   time.sleep(5)",
        delay()?
    );
    background(machine, &format!("exec {} -c \"{listen}\"", bench.python().display())).await?;
    machine.wait_for_open_port(u16::try_from(port)?, "localhost", PATIENCE).await?;
    since(machine, &made).await
}

async fn unit(machine: &Machine, round: usize) -> TestResult<f64> {
    let (unit, delay) = (format!("late-{round}.service"), delay()?);
    let start =
        format!("systemd-run --quiet --no-block --unit={unit} -p Type=oneshot -p RemainAfterExit=yes sleep {delay}");
    machine.succeed(&start, Some(PATIENCE)).await?;
    machine.wait_for_unit(&unit, None, PATIENCE).await?;
    // Host and container have one monotonic clock.
    let now = clock_gettime(ClockId::Monotonic);
    let now = Duration::new(now.tv_sec.try_into()?, now.tv_nsec.try_into()?);
    let active = machine.unit_property(&unit, "ActiveEnterTimestampMonotonic", None).await?;
    Ok((now.as_secs_f64() - active.trim().parse::<f64>()? / 1e6) * 1e3)
}

/// Starts a script in the container and does not wait for it.
async fn background(machine: &Machine, script: &str) -> TestResult {
    let quoted = script.replace('\'', r"'\''");
    machine.succeed(&format!("bash -c '{quoted}' <&- >/dev/null 2>&1 &"), Some(PATIENCE)).await?;
    Ok(())
}

/// Milliseconds since the time that stands in a file of the container's, once it is there.
async fn since(machine: &Machine, made: &str) -> TestResult<f64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let made = machine.wait_until_succeeds(&format!("grep . {made}"), PATIENCE).await?;
    Ok((now.as_secs_f64() - made.trim().parse::<f64>()?) * 1e3)
}

/// Seconds, at random, so that no wait can be in step with what it waits for.
fn delay() -> TestResult<f64> {
    let mut random = [0; 2];
    getrandom(&mut random, GetRandomFlags::empty())?;
    Ok(0.2 + f64::from(u16::from_ne_bytes(random)) / f64::from(u16::MAX) * 0.4)
}
