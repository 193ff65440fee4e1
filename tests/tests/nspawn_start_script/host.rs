//! What start scripts' containers change on the host: nothing.

use tandem_tests::leftovers::{Difference, Kind, Snapshot};
use tandem_tests::stage::Stage;
use tandem_tests::{TestResult, requirement};

use super::machines::Scripts;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nspawn_start_scripts_change_nothing_of_the_host() -> TestResult {
    if !requirement::containers() {
        return Ok(());
    }
    let scripts = Scripts::make()?;
    let identity = || ["/etc/machine-id", "/etc/os-release"].map(|path| std::fs::read(path).ok());
    let (before, was) = (Snapshot::take(&[])?, identity());
    let stage = Stage::boot(vec![scripts.machine("one", 1, &[1, 200])?]).await?;
    // Not even meanwhile; the run's own directory is no change.
    let changes = |now: &Snapshot| -> Vec<Difference> {
        let own = |it: &Difference| it.kind == Kind::Socket || it.name.starts_with("/run/tandem");
        before.differences(now).into_iter().filter(|it| !own(it)).collect()
    };
    assert_eq!(changes(&Snapshot::take(&[])?), []);
    stage.machine("one").crash().await?;
    stage.machine("one").start().await?;
    stage.finish().await?;
    assert_eq!(changes(&Snapshot::take(&[])?), []);
    assert_eq!(identity(), was);
    Ok(())
}
