//! VMs: their boots, and commands in them.

use std::time::Instant;

use driver_core::spec::MachineSpec;
use tandem_tests::TestResult;

use crate::bench::{Bench, PATIENCE, finish};
use crate::raw_vm::{Recipe, TIMEOUT};
use crate::samples::Samples;
use crate::table::Row;

/// An emulated VM boots for a quarter of a minute.
const BOOTS: usize = 3;

/// In each boot.
const COMMANDS: usize = 20;

pub(crate) async fn measure(bench: &Bench) -> TestResult<Vec<Option<Row>>> {
    if let Some(why) = Bench::lacking_for_vms() {
        return Ok(vec![Some(Row::lacking("boot of a VM, commands in it", why))]);
    }
    let (mut boot, mut raw_boot) = (Samples::default(), Samples::default());
    let (mut command, mut upstream) = (Samples::default(), Samples::default());
    for _ in 0..bench.rounds(BOOTS) {
        let run = bench.run_of(vec![MachineSpec { vlans: Vec::new(), ..MachineSpec::new("m1", "vm") }]).await?;
        let machine = &run.machines()[0];
        let began = Instant::now();
        machine.start().await?;
        machine.execute("true", Some(TIMEOUT)).await?;
        boot.time(began.elapsed());
        // Its status is not 0 if a unit has failed, which does not matter here.
        machine.execute(SETTLED, Some(PATIENCE)).await?;
        for _ in 0..COMMANDS {
            let began = Instant::now();
            machine.execute("true", Some(TIMEOUT)).await?;
            command.time(began.elapsed());
        }
        let recipe = Recipe::of(&run)?;
        machine.crash().await?;

        // The same guest once more, from its kernel, initramfs and share.
        recipe.empty_disks(&run).await?;
        let began = Instant::now();
        let mut raw = recipe.boot(bench, &run).await?;
        raw.execute("true").await?;
        raw_boot.time(began.elapsed());
        raw.execute(SETTLED).await?;
        for _ in 0..COMMANDS {
            let began = Instant::now();
            raw.execute("true").await?;
            upstream.time(began.elapsed());
        }
        raw.end().await?;
        finish(run).await?;
    }
    Ok(vec![
        Row::times("boot of a VM to its first command", &boot)
            .map(|row| row.against("QEMU and virtiofsd alone, the same guest", &raw_boot)),
        Row::times("a command in a VM, from Rust", &command)
            .map(|row| row.against("what upstream sends, to the same guest", &upstream)),
    ])
}

/// Waits until the guest has nothing more to do.
const SETTLED: &str = "systemctl is-system-running --wait";
