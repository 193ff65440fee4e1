//! LANs: how much goes through in a second, and how long a round trip takes, with the same program on both sides everywhere.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use driver_core::machine::Machine;
use driver_core::spec::MachineSpec;
use tandem_tests::TestResult;
use tandem_tests::requirement::lacking_program;
use tandem_tests::stage::container;
use tokio::process::Command;
use tokio::time::timeout;

use crate::bench::{Bench, PATIENCE, finish};
use crate::samples::Samples;
use crate::table::Row;

/// Pairs of a measurement of ours and one of the bridge.
const ROUNDS: usize = 5;

/// How long to send, and how many round trips to make, in one measurement.
const WORK: (Duration, usize) = (Duration::from_secs(3), 2000);

/// The same where a VM takes part, which may be an emulated one.
const WORK_WITH_VM: (Duration, usize) = (Duration::from_secs(3), 500);

const BRIDGE: &str = "a kernel bridge and two network namespaces";

const VDE: &str = "upstream's vde_switch --hub, with vde_plug2tap";

/// What is measured of a LAN.
#[derive(Default)]
struct Measured {
    rate: Samples,
    round_trip: Samples,
}

impl Measured {
    /// Takes what the program printed.
    fn take(&mut self, said: &str) -> TestResult {
        let (rate, round_trips) = said.split_once('\n').ok_or_else(|| format!("lan.py said only {said:?}"))?;
        self.rate.push(rate.parse()?);
        let round_trips = round_trips.split_whitespace().map(str::parse);
        self.round_trip.extend(round_trips.collect::<Result<Vec<f64>, _>>()?);
        Ok(())
    }

    fn rows(&self, between: &str, bridge: &Self) -> [Option<Row>; 2] {
        [
            Row::rates(format!("LAN, one TCP stream: {between}"), &self.rate)
                .map(|row| row.against(BRIDGE, &bridge.rate)),
            Row::short_times(format!("LAN, round trip: {between}"), &self.round_trip)
                .map(|row| row.against(BRIDGE, &bridge.round_trip)),
        ]
    }
}

pub(crate) async fn measure(bench: &Bench) -> TestResult<Vec<Option<Row>>> {
    let without = Without::new(bench)?;
    let lacking_vms = Bench::lacking_for_vms();
    let lacking_vde = lacking_program("vde_switch").or_else(|| lacking_program("vde_plug2tap"));
    let mut machines = vec![container("c1"), container("c2")];
    if lacking_vms.is_none() {
        machines.push(MachineSpec::new("v1", "vm"));
    }
    let run = bench.run_of(machines).await?;
    run.start_all().await?;
    for machine in run.machines() {
        prepare(machine, bench).await?;
    }
    let [mut bridge, mut containers, mut to_vm, mut from_vm, mut vde] = [(); 5].map(|()| Measured::default());
    for _ in 0..bench.rounds(ROUNDS) {
        without.measure("bridge", &mut bridge).await?;
        between(run.machines(), "c1", "c2", WORK, bench, &mut containers).await?;
        if lacking_vms.is_none() {
            between(run.machines(), "c1", "v1", WORK_WITH_VM, bench, &mut to_vm).await?;
            between(run.machines(), "v1", "c2", WORK_WITH_VM, bench, &mut from_vm).await?;
        }
        if lacking_vde.is_none() {
            without.measure("vde", &mut vde).await?;
        }
    }
    finish(run).await?;
    let mut rows = Vec::from(containers.rows("container to container", &bridge));
    match lacking_vms {
        None => {
            rows.extend(to_vm.rows("container to VM", &bridge));
            rows.extend(from_vm.rows("VM to container", &bridge));
        }
        Some(why) => rows.push(Some(Row::lacking("LAN: containers and VMs", why))),
    }
    match lacking_vde {
        None => rows.extend(vde.rows(VDE, &bridge)),
        Some(why) => rows.push(Some(Row::lacking(format!("LAN: {VDE}"), why))),
    }
    Ok(rows)
}

const PROGRAM: &str = include_str!("lan.py");

/// Where the program is in a machine.
const PLACE: &str = "/root/lan.py";

/// Waits until a machine has nothing more to do, and starts the serving side in it.
async fn prepare(machine: &Machine, bench: &Bench) -> TestResult {
    machine.execute("systemctl is-system-running --wait", Some(PATIENCE)).await?;
    machine.succeed(&format!("cat >{PLACE} <<'END'\n{PROGRAM}\nEND"), Some(PATIENCE)).await?;
    let serve = format!("systemd-run --quiet --unit=lan {} {PLACE} serve", bench.python().display());
    machine.succeed(&serve, Some(PATIENCE)).await?;
    Ok(())
}

async fn between(
    machines: &[Machine],
    from: &str,
    to: &str,
    (time, count): (Duration, usize),
    bench: &Bench,
    measured: &mut Measured,
) -> TestResult {
    let from = machines.iter().find(|machine| machine.name() == from).ok_or("no such machine")?;
    let ask = format!("{} {PLACE} measure {to} {} {count}", bench.python().display(), time.as_secs_f64());
    measured.take(&from.succeed(&ask, Some(PATIENCE)).await?)
}

/// LANs without Tandem.
struct Without {
    script: PathBuf,
    program: PathBuf,
    directory: PathBuf,
    python: PathBuf,
}

impl Without {
    fn new(bench: &Bench) -> TestResult<Self> {
        let place = |name: &str| bench.directory().join(name);
        let (script, program, directory) = (place("lan.sh"), place("lan.py"), place("lan"));
        fs::write(&script, include_str!("lan.sh"))?;
        fs::write(&program, PROGRAM)?;
        fs::create_dir(&directory)?;
        Ok(Self { script, program, directory, python: bench.python().to_owned() })
    }

    async fn measure(&self, kind: &str, measured: &mut Measured) -> TestResult {
        let (time, count) = WORK;
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", "--kill-child", "--mount", "--net", "--mount-proc", "bash"]);
        command.arg(&self.script).arg(kind).args([&self.directory, &self.python, &self.program]);
        command.args([time.as_secs_f64().to_string(), count.to_string()]);
        command.stdin(Stdio::null()).process_group(0).kill_on_drop(true);
        let output = timeout(PATIENCE, command.output()).await??;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(format!("lan.sh {kind}: {}; it said:\n{said}", output.status).into());
        }
        measured.take(&String::from_utf8(output.stdout)?)
    }
}
