//! Containers that upstream's kind of start script boots.

mod machines;

use machines::Scripts;
use tandem_tests::stage::Stage;
use tandem_tests::{TestResult, requirement};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nspawn_start_scripts_boot_machines() -> TestResult {
    if !requirement::containers() {
        return Ok(());
    }
    let scripts = Scripts::make()?;
    let stage = Stage::boot(vec![scripts.machine("one", 1, &[1])?]).await?;
    let one = stage.machine("one");
    println!("{}", one.console_log());
    println!("{}", one.succeed("env; pwd; ls -la / /tmp/shared; ip a; cat /proc/self/cgroup; systemctl is-system-running; systemctl --failed; mount", None).await?);
    drop(one);
    stage.finish().await
}
