//! A test of two containers that goes through every phase of a run and says on standard output which one begins, so that it can be killed
//! in each. An argument names a file for the XML log.

use std::io::Write;
use std::sync::Arc;

use backend_nspawn::Nspawn;
use driver_core::backend::Backend;
use driver_core::event::{Recorder, Sink};
use driver_core::log::{WriteFaults, Xml};
use driver_core::run::Run;
use driver_core::spec::{MachineSpec, TestSpec};

#[tokio::main]
async fn main() -> tandem_tests::TestResult {
    say("plan")?;
    let machines = vec![MachineSpec::new("one", "container"), MachineSpec::new("two", "container")];
    let backends: Vec<Arc<dyn Backend>> = vec![Arc::new(Nspawn::new())];
    let output = tempfile::tempdir()?;
    let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
    if let Some(path) = std::env::args_os().nth(1) {
        sinks.push(Box::new(Xml::create(path.as_ref(), &WriteFaults::default())?));
    }
    let spec = TestSpec::new("story", machines);
    let run = Run::start(&spec, &backends, Recorder::new(sinks), output.path()).await?;
    say("boot")?;
    run.start_all().await?;
    let [one, two] = run.machines() else { unreachable!("the test has two machines") };
    say("command")?;
    for _ in 0..5 {
        one.succeed("head -c 100000 /dev/zero | wc -c; sleep 0.05", None).await?;
    }
    say("copy")?;
    two.succeed("head -c 20000000 /dev/zero > /root/zeros", None).await?;
    two.copy_from_machine("/root/zeros", "".as_ref()).await?;
    one.copy_from_host(&output.path().join("zeros"), "/root/zeros").await?;
    say("reboot")?;
    one.reboot().await?;
    one.succeed("true", None).await?;
    say("shutdown")?;
    one.shutdown().await?;
    say("teardown")?;
    let left = run.finish().await;
    if !left.is_empty() {
        return Err(format!("the run could not be undone: {left:?}").into());
    }
    say("end")?;
    Ok(())
}

fn say(phase: &str) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{phase}")?;
    stdout.flush()
}
