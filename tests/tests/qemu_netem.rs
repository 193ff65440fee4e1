//! Faults of links as a kernel that has netem carries them. The kernel is that of a VM, for the host's may lack it.

use std::time::Duration;

use driver_core::spec::{Disk, Image, ImageFormat, MachineSpec};
use serde_json::{Value, json};
use tandem_tests::stage::{Stage, vm};
use tandem_tests::{TestResult, images, requirement};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_have_their_faults_from_the_kernel() -> TestResult {
    if !requirement::virtual_machines() || !requirement::program("tc") {
        return Ok(());
    }
    // The machine has the host's files, but not all of them: /tmp is its own.
    let directory = tempfile::tempdir()?;
    let (files, disk) = (directory.path().join("files"), directory.path().join("disk.img"));
    std::fs::create_dir(&files)?;
    std::fs::copy(env!("CARGO_BIN_EXE_faults-under-test"), files.join("faults"))?;
    images::file_system(&disk, 256, Some(&files))?;
    let disk = Disk::Image(Image { path: disk, format: ImageFormat::Raw });
    let stage = Stage::boot(vec![MachineSpec { disks: vec![disk], ..vm("netem") }]).await?;
    let run = "modprobe ifb numifbs=0 && serial=$(grep -lx disk1 /sys/block/vd*/serial) && mount /dev/$(basename \"${serial%/serial}\") /mnt && /mnt/faults";
    let said = stage.machine("netem").succeed(run, Some(Duration::from_secs(300))).await?;
    stage.finish().await?;

    let measured: Value = serde_json::from_str(&said)?;
    let number = |pointer: &str| measured.pointer(pointer).and_then(Value::as_u64).expect(pointer);
    let within = |pointer: &str, least: u64, most: u64| {
        assert!((least..=most).contains(&number(pointer)), "{pointer} is not {least} to {most}: {said}");
    };
    // The machine is emulated, and slow.
    for (case, into, out) in [("plain", 0, 0), ("delayed in", 1000, 0), ("delayed out", 0, 1000), ("cleared", 0, 0)] {
        within(&format!("/{case}/in"), into, into + 900);
        within(&format!("/{case}/out"), out, out + 900);
    }
    assert_eq!(measured["order of a slow and a fast one"], json!(["fast", "slow"]));
    for case in ["lost in", "lost out"] {
        // Five standard deviations of 2000 draws.
        within(&format!("/{case}/datagrams"), 400 - 90, 400 + 90);
        let arrived = 2000 - number(&format!("/{case}/datagrams"));
        // An ARP request may be among them.
        within(&format!("/{case}/counted as passed"), arrived, arrived + 10);
    }
    assert_eq!(measured["copies"], 100);
    assert_eq!(measured["ahead"]["arrived"], 51);
    within("/ahead/ahead", 5, 45);
    // A flipped bit of the sender's MAC address changes nothing else.
    within("/intact", 0, 5);
    for case in ["/line in", "/line out"] {
        within(case, 300, 2000);
    }
    within("/queued", 9, 10);
    let queues = measured["queues"].as_str().unwrap_or_default();
    assert_eq!(queues.matches("qdisc netem").count(), 2, "the kernel carries both directions: {queues}");
    Ok(())
}
